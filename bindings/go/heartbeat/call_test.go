package heartbeat

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"
)

type namedCall struct {
	name string
	call func(context.Context) error
}

// everyCall has each function that sends a request.
var everyCall = []namedCall{
	{"RecordHeartbeat", func(ctx context.Context) error { _, err := RecordHeartbeat(ctx, testToken, 1); return err }},
	{"ClearHeartbeat", func(ctx context.Context) error { _, err := ClearHeartbeat(ctx, testToken); return err }},
	{"GetDetails", func(ctx context.Context) error { _, err := GetDetails(ctx, testToken); return err }},
	{"Complete", func(ctx context.Context) error { return Complete(ctx, testToken, 1) }},
	{"Fail", func(ctx context.Context) error { return Fail(ctx, testToken, Failure{Message: "x"}) }},
	{"ReportCancelled", func(ctx context.Context) error { return ReportCancelled(ctx, testToken) }},
}

func TestEndedContextCallsNothing(t *testing.T) {
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	passed, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancel()
	connect := namedCall{"Connect", func(ctx context.Context) error { return Connect(ctx, Options{}) }}
	for _, c := range append([]namedCall{connect}, everyCall...) {
		t.Run(c.name, func(t *testing.T) {
			// If a call were made, its error would be a missing client or a missing library.
			wantIs(t, c.call(cancelled), context.Canceled)
			wantIs(t, c.call(passed), context.DeadlineExceeded)
		})
	}
}

func TestCancelledCallReturnsAtOnce(t *testing.T) {
	connectLazily(t, silentServer(t))
	reason := errors.New("the user pressed stop")
	for _, c := range everyCall {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(context.Background())
			time.AfterFunc(50*time.Millisecond, func() { cancel(reason) })
			start := time.Now()
			err := c.call(ctx)
			wantIs(t, err, context.Canceled, reason)
			if took := time.Since(start); took > promptly {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestCallEndsByTheContextsDeadline(t *testing.T) {
	connectLazily(t, silentServer(t))
	for _, c := range everyCall {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			start := time.Now()
			err := c.call(ctx)
			wantIs(t, err, context.DeadlineExceeded)
			if took := time.Since(start); took > promptly {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestDeadlineErrorHasTheErrorOfTheLastTry(t *testing.T) {
	connectLazily(t, "127.0.0.1:1")
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	_, err := GetDetails(ctx, testToken)
	wantIs(t, err, ErrUnavailable)
}

func TestCancelledConnectReturnsAtOnceAndLeavesNoClient(t *testing.T) {
	needLibrary(t)
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	start := time.Now()
	err := Connect(ctx, Options{HostPort: silentServer(t), ConnectTimeout: 500 * time.Millisecond})
	wantIs(t, err, context.Canceled)
	if took := time.Since(start); took > promptly {
		t.Errorf("took %v", took)
	}
	connectLazily(t, "127.0.0.1:1") // once the abandoned one has ended
}

func TestCallTimeoutIsTheContextsElseTheDefault(t *testing.T) {
	if got := callTimeout(context.Background()); got != DefaultTimeout {
		t.Error(got)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if got := callTimeout(ctx); got > time.Minute-answerMargin || got < 50*time.Second {
		t.Error(got)
	}
}

func TestMillisecondsAreRoundedUpAndFitTheLibrary(t *testing.T) {
	for _, c := range []struct {
		duration time.Duration
		want     uint32
	}{
		{-time.Second, 1},
		{0, 1},
		{1, 1},
		{time.Millisecond, 1},
		{time.Millisecond + 1, 2},
		{10 * time.Second, 10_000},
		{time.Duration(1<<63 - 1), math.MaxInt32},
	} {
		if got := toTimeoutMs(c.duration); got != c.want {
			t.Errorf("%v is %d ms, want %d", c.duration, got, c.want)
		}
	}
}
