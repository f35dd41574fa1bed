package heartbeat

import (
	"errors"
	"testing"
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
		cause := cancelCause(s.signal)
		if cause == nil || !errors.Is(cause, signalError(s.signal)) || s.description == "" {
			t.Errorf("%s: %v", s.name, cause)
		}
	}
	wantIs(t, cancelCause(SignalGone|SignalLeaseLost|SignalCancelRequested), ErrGone, ErrNotFound)
	if cause := cancelCause(1 << 30); cause != nil {
		t.Error(cause)
	}
}
