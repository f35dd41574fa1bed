package heartbeat

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"temporal-heartbeat.dev/go/handoff"
)

func TestOpenAndRecordNeverWaitForTheServer(t *testing.T) {
	connectLazily(t, silentServer(t))
	start := time.Now()
	act := openActivity(t, OpenOptions{HeartbeatTimeout: time.Minute})
	for item := range 1000 {
		if signals, err := act.RecordHeartbeat(item, "of", []byte("many")); err != nil || signals != 0 {
			t.Fatal(signals, err)
		}
	}
	if took := time.Since(start); took > promptly {
		t.Errorf("took %v", took)
	}
	if info, err := act.Info(); err != nil || info.Records != 1000 || !info.Pending || info.State != "open" {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestTokenHasOneHolder(t *testing.T) {
	connectLazily(t, silentServer(t))
	act := openActivity(t, OpenOptions{})
	_, err := Open(context.Background(), testToken, OpenOptions{})
	wantIs(t, err, ErrAlreadyOpen)
	_, err = RecordHeartbeat(context.Background(), testToken, 1)
	wantIs(t, err, ErrAlreadyOpen)

	if err := act.Close(context.Background()); err != nil {
		t.Error(err)
	}
	openActivity(t, OpenOptions{})
}

func TestLostLeaseCancelsTheContext(t *testing.T) {
	connectLazily(t, silentServer(t))
	act := openActivity(t, OpenOptions{HeartbeatTimeout: 200 * time.Millisecond})
	wantCause(t, act.Context(), ErrLeaseLost) // without a call of this test
	if signals, err := act.RecordHeartbeat(1); err != nil || !signals.LeaseLost() {
		t.Error(signals, err)
	}
}

// An operator may have moved the deadline, and only the server knows that.
func TestAttemptDeadlineThatNoServerHasConfirmedCancelsNothing(t *testing.T) {
	connectLazily(t, silentServer(t))
	act := openActivity(t, OpenOptions{
		HeartbeatTimeout: time.Second, AttemptRemaining: time.Millisecond, CancelOn: SignalDeadline | SignalLeaseLost,
	})
	wantCause(t, act.Context(), ErrLeaseLost) // which comes a second later
}

func TestRecordCancelsTheContextBeforeItReturns(t *testing.T) {
	connectLazily(t, silentServer(t))
	act := openActivity(t, OpenOptions{HeartbeatTimeout: time.Hour, Age: 2 * time.Hour})
	stopWatching(act) // so that only the record can cancel the context
	if _, err := act.RecordHeartbeat(1); err != nil {
		t.Error(err)
	}
	wantIs(t, context.Cause(act.Context()), ErrLeaseLost)
}

func TestCancelOnChoosesTheSignals(t *testing.T) {
	connectLazily(t, silentServer(t))
	act := openActivity(t, OpenOptions{HeartbeatTimeout: time.Hour, Age: 2 * time.Hour, StallTimeout: 100 * time.Millisecond,
		InitialDetails: detailsOf(t), CancelOn: SignalStalled})
	wantCause(t, act.Context(), ErrStalled)
	if signals := act.Signals(); !signals.LeaseLost() {
		t.Error(signals)
	}
}

func TestContextEndsWithItsParentAndTheActivityStaysOpen(t *testing.T) {
	connectLazily(t, silentServer(t))
	type key struct{}
	reason := errors.New("the user pressed stop")
	parent, cancel := context.WithCancelCause(context.WithValue(context.Background(), key{}, "value"))
	act, err := Open(parent, testToken, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer act.Close(parent)
	if act.Context().Value(key{}) != "value" {
		t.Error("the parent's value is missing")
	}
	cancel(reason)
	wantCause(t, act.Context(), reason)
	if _, err := act.RecordHeartbeat(1); err != nil {
		t.Error(err)
	}
}

func TestWaitIsWokenByTheSignal(t *testing.T) {
	connectLazily(t, silentServer(t))
	act := openActivity(t, OpenOptions{HeartbeatTimeout: time.Hour, StallTimeout: 200 * time.Millisecond, InitialDetails: detailsOf(t)})
	signals, err := act.Wait(context.Background(), SignalStalled)
	if err != nil || signals != SignalStalled {
		t.Error(signals, err)
	}
	cleared := make(chan error)
	go func() {
		_, err := act.WaitCleared(context.Background(), SignalStalled)
		cleared <- err
	}()
	act.Touch()
	if err := <-cleared; err != nil {
		t.Error(err)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	connectLazily(t, silentServer(t))
	act := openActivity(t, OpenOptions{})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	signals, err := act.Wait(ctx, SignalPaused)
	wantIs(t, err, context.DeadlineExceeded)
	if signals != 0 {
		t.Error(signals)
	}
}

func TestCloseWakesWaitersAndMayBeRepeated(t *testing.T) {
	connectLazily(t, silentServer(t))
	act := openActivity(t, OpenOptions{})
	woken := make(chan error)
	go func() {
		_, err := act.Wait(context.Background(), SignalPaused)
		woken <- err
	}()
	for range 2 {
		if err := act.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	wantIs(t, <-woken, ErrInvalidHandle)
	wantCause(t, act.Context(), context.Canceled)
}

func TestCloseReturnsAnErrorWhenTheNewestRecordIsLost(t *testing.T) {
	connectLazily(t, silentServer(t))
	for _, limit := range []time.Duration{0, 200 * time.Millisecond} {
		act := openActivity(t, OpenOptions{InitialDetails: detailsOf(t)})
		act.RecordHeartbeat(1)
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		start := time.Now()
		wantIs(t, act.Close(ctx), context.DeadlineExceeded)
		if took := time.Since(start); took > limit+promptly {
			t.Errorf("took %v", took)
		}
		// The handle is closed soon even if no goroutine waits for that any more.
		for deadline := time.Now().Add(eventTimeout); ; runtime.Gosched() {
			if _, err := act.Info(); errors.Is(err, ErrInvalidHandle) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("still open")
			}
		}
	}
}

func TestClosedActivityRefusesEverythingButSignals(t *testing.T) {
	connectLazily(t, silentServer(t))
	act := openActivity(t, OpenOptions{HeartbeatTimeout: time.Hour, Age: 2 * time.Hour})
	if err := act.Close(context.Background()); err != nil {
		t.Error(err)
	}
	ctx := context.Background()
	_, record := act.RecordHeartbeat(1)
	_, touch := act.Touch()
	_, wait := act.Wait(ctx, SignalPaused)
	_, read := act.Details(ctx)
	_, info := act.Info()
	for _, c := range []struct {
		name string
		err  error
	}{
		{"record", record}, {"touch", touch}, {"wait", wait}, {"details", read}, {"info", info}, {"flush", act.Flush(ctx)},
		{"complete", act.Complete(ctx, 1)}, {"fail", act.Fail(ctx, Failure{})}, {"cancelled", act.ReportCancelled(ctx)},
	} {
		if !errors.Is(c.err, ErrInvalidHandle) {
			t.Errorf("%s: %v", c.name, c.err)
		}
	}
	if !act.Signals().LeaseLost() {
		t.Error("the last signals are forgotten")
	}
}

func TestDisconnectCancelsContextsAndActivitiesOpenAfterReconnect(t *testing.T) {
	connectLazily(t, silentServer(t))
	act := openActivity(t, OpenOptions{})
	if err := Disconnect(context.Background()); err != nil {
		t.Fatal(err)
	}
	wantCause(t, act.Context(), ErrNotConnected)
	connectLazily(t, silentServer(t))
	again := openActivity(t, OpenOptions{HeartbeatTimeout: 100 * time.Millisecond})
	wantCause(t, again.Context(), ErrLeaseLost)
	if err := act.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestOneGoroutineWatchesAllActivities(t *testing.T) {
	connectLazily(t, silentServer(t))
	before := runtime.NumGoroutine()
	var all []*Activity
	for i := range 1000 {
		token := protowire.AppendVarint(protowire.AppendTag(bytes.Clone(testToken), 5, protowire.VarintType), uint64(i+1))
		act, err := Open(context.Background(), token, OpenOptions{HeartbeatTimeout: time.Hour, Age: time.Hour - time.Second, DisablePulse: true})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, act)
	}
	if more := runtime.NumGoroutine() - before; more > 2 {
		t.Errorf("%d goroutines more", more)
	}
	for _, act := range all {
		wantCause(t, act.Context(), ErrLeaseLost)
	}
	for _, act := range all {
		if err := act.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	for start := time.Now(); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Since(start) > eventTimeout {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

func TestActivityIsClosedDuringOtherCalls(t *testing.T) {
	connectLazily(t, silentServer(t))
	for range 20 {
		act := openActivity(t, OpenOptions{HeartbeatTimeout: time.Millisecond, InitialDetails: detailsOf(t, 1)})
		var users sync.WaitGroup
		for _, use := range []func() error{
			func() error { _, err := act.RecordHeartbeat(1); return err },
			func() error { _, err := act.Touch(); return err },
			func() error { _, err := act.Info(); return err },
			func() error { _, err := act.Wait(context.Background(), SignalPaused); return err },
		} {
			users.Add(1)
			go func() {
				defer users.Done()
				for {
					if err := use(); err != nil {
						wantIs(t, err, ErrInvalidHandle)
						return
					}
				}
			}()
		}
		<-act.Context().Done()
		done, cancel := context.WithCancel(context.Background())
		cancel()
		act.Close(done)
		users.Wait()
	}
}

func TestRecordsDoNotChangeTheDetailsOfTheAttemptBefore(t *testing.T) {
	connectLazily(t, silentServer(t))
	act := openActivity(t, OpenOptions{InitialDetails: detailsOf(t, 41, []byte("state"))})
	act.RecordHeartbeat(42)
	var item int
	var state []byte
	if !act.HasHeartbeatDetails() {
		t.Error("there are details")
	}
	if err := act.GetHeartbeatDetails(&item, &state); err != nil || item != 41 || string(state) != "state" {
		t.Error(item, state, err)
	}
}

func TestNoDetailsDifferFromUnknownDetails(t *testing.T) {
	connectLazily(t, silentServer(t))
	first := openActivity(t, OpenOptions{InitialDetails: detailsOf(t)})
	if first.HasHeartbeatDetails() {
		t.Error("there are none")
	}
	wantIs(t, first.GetHeartbeatDetails(new(int)), ErrNoDetails)
	first.Close(context.Background())

	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	unknown, err := Open(ctx, testToken, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer unknown.Close(ctx)
	if !unknown.HasHeartbeatDetails() {
		t.Error("unknown details must not count as none")
	}
	wantIs(t, unknown.GetHeartbeatDetails(new(int)), context.DeadlineExceeded)
}

func TestBadArgumentsOfActivityMethodsAreRefusedEachWithItsStatus(t *testing.T) {
	connectLazily(t, silentServer(t))
	ctx := context.Background()
	act := openActivity(t, OpenOptions{InitialDetails: detailsOf(t)})
	record := func(details ...any) error { _, err := act.RecordHeartbeat(details...); return err }
	opened := func(token []byte, options OpenOptions) error { _, err := Open(ctx, token, options); return err }
	_, badDetails := NewDetails(make(chan int))
	if conversion := new(ConversionError); !errors.As(badDetails, &conversion) {
		t.Error(badDetails)
	}
	for _, c := range []struct {
		name   string
		err    error
		status error
		cause  string
	}{
		{"record without details", record(), ErrInvalidArgument, "Touch"},
		{"detail of a bad type", record(1, make(chan int)), ErrInvalidArgument, "value 1 of type chan int"},
		{"one detail of a bad type", record([]any{make(chan int)}), ErrInvalidArgument, "value 0 of type []interface {}"},
		{"details that are too large", record(bytes.Repeat([]byte("x"), 2<<20)), ErrTooLarge, ""},
		{"result of a bad type", act.Complete(ctx, make(chan int)), ErrInvalidArgument, "chan int"},
		{"fail without error", act.Fail(ctx, nil), ErrInvalidArgument, "Complete"},
		{"failure with progress", act.Fail(ctx, Failure{HeartbeatDetails: []any{1}}), ErrInvalidArgument, "record the details instead"},
		{"open without token", opened(nil, OpenOptions{}), ErrInvalidArgument, "token"},
		{"token that can't be read", opened([]byte("?"), OpenOptions{}), ErrTokenUnreadable, ""},
		{"negative time", opened([]byte("t"), OpenOptions{Age: -1}), ErrConfig, "Age"},
		{"time that is too long", opened([]byte("t"), OpenOptions{CancelPoll: 1 << 62}), ErrConfig, "cancel_poll_ms"},
		{"nothing in the environment", func() error { _, err := OpenFromEnv(ctx, OpenOptions{}); return err }(), ErrConfig, "token"},
		{"record after all those", record(1), nil, ""},
		{"cancelled with a bad detail", act.ReportCancelled(ctx, make(chan int)), ErrInvalidArgument, "chan int"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.status != nil {
				wantError(t, c.err, c.status, c.cause)
			} else if c.err != nil {
				t.Error(c.err)
			}
		})
	}
}

func TestActivityNeedsAClient(t *testing.T) {
	needLibrary(t)
	_, err := Open(context.Background(), testToken, OpenOptions{})
	wantError(t, err, ErrNotConnected, "onnect")
	done, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Open(done, testToken, OpenOptions{})
	wantIs(t, err, context.Canceled)
}

func TestActivityIsOpenedFromTheEnvironment(t *testing.T) {
	connectLazily(t, silentServer(t))
	env, err := handoff.Environ(nil, handoff.Activity{
		TaskToken:        testToken,
		HeartbeatTimeout: time.Minute,
		HeartbeatDetails: appendPayloads(nil, detailsOf(t, 41).values),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	act, err := OpenFromEnv(context.Background(), OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer act.Close(context.Background())
	var item int
	if err := act.GetHeartbeatDetails(&item); err != nil || item != 41 {
		t.Error(item, err)
	}
	if info, err := act.Info(); err != nil || info.HeartbeatTimeout != time.Minute {
		t.Error(info, err)
	}
}

func TestDeeplyNestedDetailsAreRecorded(t *testing.T) {
	connectLazily(t, silentServer(t))
	act := openActivity(t, OpenOptions{InitialDetails: detailsOf(t)})
	var deep any
	for range 1000 {
		deep = []any{deep}
	}
	if _, err := act.RecordHeartbeat(deep); err != nil {
		t.Error(err)
	}
}

func TestInfoIsReadFromJSON(t *testing.T) {
	now := time.Now()
	text := `{"state":"open","attempt":2,"addressed_by":"ids","signals":2,"heartbeat_timeout_ms":10000,"lease_left_ms":9000,
		"since_acknowledged_ms":1000,		"pending":true,"next_beat_ms":4000,"records":5,"beats":4,"failed_tries":3,"leases_regained":1,"more":0,
		"last_error":{"code":5,"name":"THB_UNAVAILABLE","message":"no connection"}}`
	info, err := parseInfo("info", []byte(text), now)
	if err != nil {
		t.Fatal(err)
	}
	wantIs(t, info.LastError, ErrUnavailable)
	info.LastError = nil
	want := Info{State: "open", Attempt: 2, AddressedBy: "ids", Signals: SignalPaused, HeartbeatTimeout: 10 * time.Second,
		LeaseEnd: now.Add(9 * time.Second), LastAcknowledged: now.Add(-time.Second), NextBeat: now.Add(4 * time.Second), Pending: true, Records: 5, Beats: 4, FailedTries: 3,
		LeasesRegained: 1}
	if info != want {
		t.Errorf("%+v", info)
	}
	if _, err := parseInfo("info", []byte("{"), now); !errors.Is(err, ErrInternal) {
		t.Error(err)
	}
}

// The library sends only a few heartbeats of one workflow at a time. A queued heartbeat must not delay the signal.
func TestLostLeaseCancelsInTimeWhileHeartbeatsAreQueued(t *testing.T) {
	connectLazily(t, silentServer(t))
	const timeout = 2 * time.Second
	activities := make([]*Activity, 500)
	for i := range activities {
		token := protowire.AppendVarint(protowire.AppendTag(bytes.Clone(testToken), 5, protowire.VarintType), uint64(i+1))
		act, err := Open(context.Background(), token, OpenOptions{HeartbeatTimeout: timeout, InitialDetails: detailsOf(t, i)})
		if err != nil {
			t.Fatal(err)
		}
		activities[i] = act
	}
	deadline := time.After(timeout + 5*time.Second)
	for i, act := range activities {
		select {
		case <-act.Context().Done():
			if cause := context.Cause(act.Context()); !errors.Is(cause, ErrLeaseLost) {
				t.Errorf("%d: %v", i, cause)
			}
		case <-deadline:
			t.Fatalf("%d of %d weren't cancelled", len(activities)-i, len(activities))
		}
	}
	done, cancel := context.WithCancel(context.Background())
	cancel()
	for _, act := range activities {
		act.Close(done)
	}
}
