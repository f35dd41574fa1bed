package heartbeat

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// openInactive opens an inactive activity until the end of the test.
func openInactive(t *testing.T) *Activity {
	t.Helper()
	needLibrary(t)
	act, err := OpenFromEnv(context.Background(), OpenOptions{WhenAbsent: "inactive"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { act.Close(context.Background()) })
	return act
}

func TestInactiveActivityDoesNothing(t *testing.T) {
	act, ctx := openInactive(t), context.Background()
	openInactive(t)
	for range 2 {
		if act.HasHeartbeatDetails() {
			t.Error("it has details")
		}
		signals, err := act.RecordHeartbeat(map[string]int{"item": 41})
		if signals != 0 || err != nil {
			t.Error(signals, err)
		}
		if _, err := act.WaitWhilePaused(ctx); err != nil {
			t.Error(err)
		}
		err = errors.Join(act.Flush(ctx), act.Complete(ctx, "done"), act.Fail(ctx, errors.New("failed")), act.ReportCancelled(ctx))
		if err != nil {
			t.Error(err)
		}
	}
	info, err := act.Info()
	if info.State != "inactive" || info.Pending || !info.NextBeat.IsZero() || err != nil {
		t.Error(info, err)
	}
	soon, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	if _, err := act.Wait(soon, StopSignals); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if act.Context().Err() != nil {
		t.Error(context.Cause(act.Context()))
	}
	if err := act.Close(ctx); err != nil {
		t.Error(err)
	}
	_, err = act.RecordHeartbeat(41)
	wantIs(t, err, ErrInvalidHandle)
}

func TestInactiveActivityChecksValues(t *testing.T) {
	act := openInactive(t)
	_, err := act.RecordHeartbeat(make([]byte, 3<<20))
	wantIs(t, err, ErrTooLarge)
	var conversion *ConversionError
	if _, err := act.RecordHeartbeat(func() {}); !errors.As(err, &conversion) {
		t.Error(err)
	}
}

func TestInactiveConnectDialsNothing(t *testing.T) {
	needLibrary(t)
	ctx := context.Background()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	t.Setenv("TEMPORAL_ADDRESS", listener.Addr().String())
	if err := Connect(ctx, Options{WhenAbsent: "inactive", TLS: &TLS{ServerCACertPath: "/no/such/file"}}); err != nil {
		t.Fatal(err)
	}
	act := openInactive(t)
	_, err = GetDetails(ctx, testToken)
	wantError(t, err, ErrNotConnected, "when_absent")
	wantIs(t, Connect(ctx, Options{WhenAbsent: "inactive"}), ErrAlreadyConnected)
	if err := Reconfigure(Credentials{APIKey: "key"}); err != nil {
		t.Error(err)
	}
	if err := Disconnect(ctx); err != nil {
		t.Error(err)
	}
	wantCause(t, act.Context(), ErrNotConnected)
	listener.(*net.TCPListener).SetDeadline(time.Now())
	if _, err := listener.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a connection was opened", err)
	}
}

func TestEmptyTokenIsNoAbsentActivity(t *testing.T) {
	needLibrary(t)
	t.Setenv("TEMPORAL_ACTIVITY_TASK_TOKEN", "")
	_, err := OpenFromEnv(context.Background(), OpenOptions{WhenAbsent: "inactive"})
	wantError(t, err, ErrConfig, "TEMPORAL_ACTIVITY_TASK_TOKEN is empty")
}

func TestAbsentActivityIsAnErrorByDefault(t *testing.T) {
	needLibrary(t)
	for _, whenAbsent := range []string{"", "error", "run"} {
		_, err := OpenFromEnv(context.Background(), OpenOptions{WhenAbsent: whenAbsent})
		wantIs(t, err, ErrConfig)
	}
}
