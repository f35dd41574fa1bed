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

	// The following come only from an activity that is held open ([Open]), where SignalCancelRequested and SignalReset stay.

	// SignalGone: the activity is over for this attempt, and nothing is ever sent for it again. Stop the work.
	SignalGone
	// SignalLeaseLost: no heartbeat was acknowledged for as long as the heartbeat timeout. Another attempt may be running: stop.
	// It goes when a heartbeat is acknowledged again.
	SignalLeaseLost
	// SignalStalled: no progress for the stall timeout, so that the heartbeats have stopped. It goes with the next record or touch.
	SignalStalled
	// SignalRefused: the server refuses the heartbeats, and trying again won't help. [Activity.Info] tells why.
	SignalRefused
	// SignalDeadline: AttemptRemaining has passed. It is a hint: the server decides, and a pulse asks it soon after. If the attempt is
	// over, [SignalGone] follows.
	SignalDeadline
	// SignalUnseeded: it can't be learned what progress the server holds, so that nothing is sent that might erase it. Record
	// something.
	SignalUnseeded
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

// Gone tells whether [SignalGone] is set.
func (s Signals) Gone() bool {
	return s.Has(SignalGone)
}

// LeaseLost tells whether [SignalLeaseLost] is set.
func (s Signals) LeaseLost() bool {
	return s.Has(SignalLeaseLost)
}

var signalNames = []struct {
	signal Signals
	name   string
}{
	{SignalCancelRequested, "CANCEL_REQUESTED"},
	{SignalPaused, "PAUSED"},
	{SignalReset, "RESET"},
	{SignalGone, "GONE"},
	{SignalLeaseLost, "LEASE_LOST"},
	{SignalStalled, "STALLED"},
	{SignalRefused, "REFUSED"},
	{SignalDeadline, "DEADLINE"},
	{SignalUnseeded, "UNSEEDED"},
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
