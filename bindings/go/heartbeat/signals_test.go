package heartbeat

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestSignalsAreNamed(t *testing.T) {
	for _, c := range []struct {
		signals Signals
		want    string
	}{
		{0, "none"},
		{1, "CANCEL_REQUESTED"},
		{6, "PAUSED|RESET"},
		{SignalCancelRequested | SignalPaused | 1<<20, "CANCEL_REQUESTED|PAUSED|0x100000"},
	} {
		if got := c.signals.String(); got != c.want {
			t.Errorf("%d is %q, want %q", uint32(c.signals), got, c.want)
		}
	}
	if s := SignalPaused; s.CancelRequested() || !s.Paused() || s.Reset() {
		t.Error("wrong bits")
	}
}

func TestEverySignalHasItsCause(t *testing.T) {
	for _, s := range signalTexts {
		cause := cancelCause(s.signal, unknownInfo)
		if cause == nil || !errors.Is(cause, signalError(s.signal)) || s.description == "" {
			t.Errorf("%s: %v", s.name, cause)
		}
	}
	wantIs(t, cancelCause(SignalGone|SignalLeaseLost|SignalCancelRequested, unknownInfo), ErrGone, ErrNotFound)
	wantIs(t, cancelCause(SignalDeadline, unknownInfo), ErrAttemptDeadline, context.DeadlineExceeded)
	if cause := cancelCause(1<<30, unknownInfo); cause != nil {
		t.Error(cause)
	}
}

func unknownInfo() (Info, error) {
	return Info{}, ErrInvalidHandle
}

func TestCauseHasTheReasonOfItsSignal(t *testing.T) {
	info, err := parseInfo("info", []byte(`{"cancel_reason": "too expensive", "cancel_identity": "ops", "pause_reason": "maintenance"}`), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want StopError
		text string
	}{
		{StopError{SignalCancelRequested, "too expensive", "ops"}, "the cancellation of the activity was requested: too expensive (by ops)"},
		{StopError{SignalPaused, "maintenance", ""}, "the activity is paused: maintenance"},
		{StopError{SignalReset, "", ""}, "the activity was reset"},
	} {
		cause := cancelCause(c.want.Signal, func() (Info, error) { return info, nil })
		var stop *StopError
		if !errors.As(cause, &stop) || *stop != c.want || cause.Error() != "temporal-heartbeat: stop the work: "+c.text {
			t.Error(cause)
		}
	}
}
