package heartbeat

import (
	"fmt"
	"strings"
)

// Signals is what the server tells a beating activity: a set of bits. Bits that aren't named here (a newer library's) are to be
// ignored.
type Signals uint32

const (
	// SignalCancelRequested: somebody asked to cancel the activity. Clean up and call [ReportCancelled]; or finish, and
	// [Complete] still wins.
	SignalCancelRequested Signals = 1 << iota
	// SignalPaused: the activity is paused. Hold the work but keep beating: timeouts fire at the unpause, or even before.
	SignalPaused
	// SignalReset: the activity was reset and begins again with attempt 1. Stop, and let this attempt fail or time out.
	SignalReset
)

// Has tells whether all of the given signals are set.
func (s Signals) Has(signals Signals) bool {
	return s&signals == signals
}

// CancelRequested tells whether [SignalCancelRequested] is set.
func (s Signals) CancelRequested() bool {
	return s.Has(SignalCancelRequested)
}

// Paused tells whether [SignalPaused] is set.
func (s Signals) Paused() bool {
	return s.Has(SignalPaused)
}

// Reset tells whether [SignalReset] is set.
func (s Signals) Reset() bool {
	return s.Has(SignalReset)
}

var signalNames = []struct {
	signal Signals
	name   string
}{
	{SignalCancelRequested, "CANCEL_REQUESTED"},
	{SignalPaused, "PAUSED"},
	{SignalReset, "RESET"},
}

// String gives the names of the signals that are set, as "CANCEL_REQUESTED|PAUSED"; "none" when there are none.
func (s Signals) String() string {
	if s == 0 {
		return "none"
	}
	var names []string
	for _, n := range signalNames {
		if s.Has(n.signal) {
			names = append(names, n.name)
			s &^= n.signal
		}
	}
	if s != 0 {
		names = append(names, fmt.Sprintf("%#x", uint32(s)))
	}
	return strings.Join(names, "|")
}
