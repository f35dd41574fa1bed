package heartbeat

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

// wantError checks the status of an error and that its message names the cause.
func wantError(t *testing.T, err error, status error, cause string) {
	t.Helper()
	wantIs(t, err, status)
	if err != nil && !strings.Contains(err.Error(), cause) {
		t.Errorf("%q doesn't name the cause, %q", err, cause)
	}
}

func TestCallBeforeConnectIsRefused(t *testing.T) {
	needLibrary(t)
	for _, c := range everyCall {
		t.Run(c.name, func(t *testing.T) {
			wantError(t, c.call(context.Background()), ErrNotConnected, "onnect")
		})
	}
}

func TestDisconnectWithoutAClientIsNoError(t *testing.T) {
	needLibrary(t)
	done, cancel := context.WithCancel(context.Background())
	cancel()
	for _, ctx := range []context.Context{context.Background(), done} {
		if err := Disconnect(ctx); err != nil {
			t.Error(err)
		}
	}
}

func TestDisconnectWakesCallsInProgress(t *testing.T) {
	connectLazily(t, silentServer(t))
	answer := make(chan error)
	go func() {
		_, err := GetDetails(context.Background(), testToken)
		answer <- err
	}()
	waitForCalls(t, 1)
	if err := Disconnect(context.Background()); err != nil {
		t.Error(err)
	}
	wantIs(t, <-answer, ErrNotConnected)
}

func TestSecondConnectIsRefused(t *testing.T) {
	connectLazily(t, "127.0.0.1:1")
	wantError(t, Connect(context.Background(), Options{Lazy: true}), ErrAlreadyConnected, "onnect")
}

func TestRefusedConnectionIsUnavailable(t *testing.T) {
	needLibrary(t)
	err := Connect(context.Background(), Options{HostPort: "127.0.0.1:1", ConnectTimeout: 200 * time.Millisecond})
	wantError(t, err, ErrUnavailable, "127.0.0.1:1")
}

func TestServerThatNeverAnswersEndsConnectInTime(t *testing.T) {
	needLibrary(t)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	wantIs(t, Connect(ctx, Options{HostPort: silentServer(t)}), context.DeadlineExceeded)
}

func TestBadOptionsAreRefused(t *testing.T) {
	needLibrary(t)
	for _, c := range []struct {
		cause   string
		options Options
	}{
		{"address", Options{HostPort: "no port"}},
		{"ConnectTimeout", Options{ConnectTimeout: -1}},
	} {
		wantError(t, Connect(context.Background(), c.options), ErrConfig, c.cause)
	}
}

func TestWrongVariableIsNamedButItsValueIsNotShown(t *testing.T) {
	needLibrary(t)
	t.Setenv("TEMPORAL_API_KEY", "the secret")
	err := Connect(context.Background(), Options{Lazy: true})
	wantError(t, err, ErrConfig, "TEMPORAL_API_KEY")
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error shows the key: %v", err)
	}
}

func TestEveryOptionReachesTheLibrary(t *testing.T) {
	needLibrary(t)
	ctx, none := context.Background(), 0.0
	err := Connect(ctx, Options{
		HostPort:        "127.0.0.1:1",
		APIKey:          "secret",
		TLS:             &TLS{ServerName: "a.example", DisableHostVerification: true},
		GRPCMeta:        map[string]string{"X_Team": "solvers"},
		Authority:       "a.example",
		Identity:        "{pid}",
		Lazy:            true,
		Proxy:           &Proxy{TargetHost: "127.0.0.1:2", BasicAuthUser: "u", BasicAuthPassword: "p"},
		Keepalive:       &Keepalive{Interval: time.Minute},
		Retry:           &Retry{MaxRetries: 3, RandomizationFactor: &none},
		Compression:     "none",
		MaxMessageBytes: 1 << 20,

		CodecEndpoint: "https://codec.example/{namespace}", CodecAuth: "secret", CodecHeaders: map[string]string{"X-Team": "solvers"},
		CodecTLS: &CodecTLS{ServerName: "codec.example"}, CodecHTTPHost: "codec.example", EncodeCommonAttributes: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	credentials := Credentials{APIKey: "another", TLS: &TLS{Disabled: true}, CodecAuth: "another", CodecTLS: &CodecTLS{ServerName: "other.example"}}
	if err := Reconfigure(credentials); err != nil {
		t.Error(err)
	}
	if err := Disconnect(ctx); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		name    string
		options Options
	}{
		{"Retry", Options{Retry: &Retry{Multiplier: math.NaN()}}},
		{"compression", Options{Compression: "zstd"}},
		{"codec_endpoint", Options{CodecEndpoint: "codec.example"}},
		{"codec_endpoint", Options{CodecAuth: "secret"}},
		{"interval_ms", Options{Keepalive: &Keepalive{Interval: time.Millisecond}}},
	} {
		if err := Connect(ctx, c.options); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestReconfigureNeedsAConnection(t *testing.T) {
	needLibrary(t)
	wantError(t, Reconfigure(Credentials{APIKey: "another"}), ErrNotConnected, "connect")
}

func TestBadArgumentsAreRefusedEachWithItsStatus(t *testing.T) {
	connectLazily(t, "127.0.0.1:1")
	ctx := context.Background()
	token := testToken
	record := func(token []byte, details ...any) error {
		_, err := RecordHeartbeat(ctx, token, details...)
		return err
	}
	_, noDetails := GetDetails(ctx, nil)
	for _, c := range []struct {
		name   string
		err    error
		status error
		cause  string
	}{
		{"heartbeat without details", record(token), ErrInvalidArgument, "ClearHeartbeat"},
		{"heartbeat without token", record(nil, 1), ErrInvalidArgument, "token"},
		{"details without token", noDetails, ErrInvalidArgument, "token"},
		{"complete without token", Complete(ctx, nil, 1), ErrInvalidArgument, "token"},
		{"fail without token", Fail(ctx, nil, Failure{}), ErrInvalidArgument, "token"},
		{"fail without error", Fail(ctx, token, nil), ErrInvalidArgument, "Complete"},
		{"fail with a nil Failure", Fail(ctx, token, (*Failure)(nil)), ErrInvalidArgument, "Complete"},
		{"cancelled without token", ReportCancelled(ctx, nil), ErrInvalidArgument, "token"},
		{"detail of a bad type", record(token, 1, make(chan int)), ErrInvalidArgument, "value 1 of type chan int"},
		{"result of a bad type", Complete(ctx, token, make(chan int)), ErrInvalidArgument, "chan int"},
		{"failure with bad details", Fail(ctx, token, Failure{Details: []any{make(chan int)}}), ErrInvalidArgument, "chan int"},
		{"negative delay of a retry", Fail(ctx, token, Failure{NextRetryDelay: -time.Hour}), ErrInvalidArgument, "next_retry_delay_ms"},
		{"details that are too large", record(token, bytes.Repeat([]byte("x"), 2<<20)), ErrTooLarge, ""},
		{"result that is too large", Complete(ctx, token, bytes.Repeat([]byte("x"), 2<<20)), ErrTooLarge, ""},
	} {
		t.Run(c.name, func(t *testing.T) { wantError(t, c.err, c.status, c.cause) })
	}
}

func TestTokenIsReadFromTheEnvironment(t *testing.T) {
	needLibrary(t)
	_, err := TokenFromEnv()
	wantError(t, err, ErrConfig, "TEMPORAL_ACTIVITY_TASK_TOKEN")

	want := []byte{0, 1, 254, 255}
	t.Setenv("TEMPORAL_ACTIVITY_TASK_TOKEN", base64.StdEncoding.EncodeToString(want))
	if got, err := TokenFromEnv(); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	t.Setenv("TEMPORAL_ACTIVITY_TASK_TOKEN", "not base64!")
	_, err = TokenFromEnv()
	wantError(t, err, ErrConfig, "TEMPORAL_ACTIVITY_TASK_TOKEN")
}
