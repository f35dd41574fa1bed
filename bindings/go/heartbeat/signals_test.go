package heartbeat

import "testing"

func TestSignalsAreNamed(t *testing.T) {
	for signals, want := range map[Signals]string{
		0: "none",
		1: "CANCEL_REQUESTED",
		6: "PAUSED|RESET",
		SignalCancelRequested | SignalPaused | 1<<20: "CANCEL_REQUESTED|PAUSED|0x100000",
	} {
		if got := signals.String(); got != want {
			t.Errorf("%d is %q, want %q", uint32(signals), got, want)
		}
	}
	if s := SignalPaused; s.CancelRequested() || !s.Paused() || s.Reset() {
		t.Error("wrong bits")
	}
}
