package heartbeat

import (
	"context"
	"fmt"
	"strings"
)

// Signals is a set of bits that says what the server and the library request of an activity. Ignore bits that have no name here: a newer
// library sets them.
type Signals uint32

const (
	// SignalCancelRequested: the cancellation of the activity was requested. Clean up and call [ReportCancelled], or finish and call
	// [Complete], which the server still accepts.
	SignalCancelRequested Signals = 1 << iota
	// SignalPaused: the activity is paused. Stop the work, but continue the heartbeats. Otherwise the attempt times out when the activity
	// is unpaused, or earlier.
	SignalPaused
	// SignalReset: the activity was reset and starts again with attempt 1. Stop, and let this attempt fail or time out.
	SignalReset

	// Only an open activity ([Open]) has the following signals. There SignalCancelRequested and SignalReset are never cleared.

	// SignalGone: the activity is over for this attempt, and the library sends nothing more for it. Stop the work.
	SignalGone
	// SignalLeaseLost: no heartbeat was acknowledged for the heartbeat timeout. Another attempt may be running: stop. The next
	// acknowledged heartbeat clears it.
	SignalLeaseLost
	// SignalStalled: no progress for the stall timeout, so the heartbeats have stopped. The next record or touch clears it.
	SignalStalled
	// SignalRefused: the server refuses the heartbeats, and a retry can't help. [Activity.Info] has the error.
	SignalRefused
	// SignalDeadline: AttemptRemaining has passed. It is a hint: the server decides, and the library asks it soon after. If the
	// attempt is over, [SignalGone] follows.
	SignalDeadline
	// SignalUnseeded: the library couldn't read the details on the server. It sends no automatic heartbeats, which might delete them,
	// until details are recorded.
	SignalUnseeded
)

// StopSignals are the signals that cancel the Context of an activity by default: see [OpenOptions]. [SignalDeadline] isn't one: only
// the server knows whether the attempt is over, and then [SignalGone] is set.
const StopSignals = SignalGone | SignalCancelRequested | SignalReset | SignalLeaseLost

// signalTexts has the name and the description of each signal, in the order of the bits.
var signalTexts = []struct {
	signal      Signals
	name        string
	description string
}{
	{SignalCancelRequested, "CANCEL_REQUESTED", "the cancellation of the activity was requested"},
	{SignalPaused, "PAUSED", "the activity is paused"},
	{SignalReset, "RESET", "the activity was reset"},
	{SignalGone, "GONE", "the activity is over for this attempt"},
	{SignalLeaseLost, "LEASE_LOST", "no heartbeat was acknowledged for the heartbeat timeout, and another attempt may be running"},
	{SignalStalled, "STALLED", "no progress for the stall timeout"},
	{SignalRefused, "REFUSED", "the server refuses the heartbeats"},
	{SignalDeadline, "DEADLINE", "the deadline from the parent has passed"},
	{SignalUnseeded, "UNSEEDED", "the details on the server can't be read"},
}

// Has reports whether all of the given signals are set.
func (s Signals) Has(signals Signals) bool {
	return s&signals == signals
}

// CancelRequested reports whether [SignalCancelRequested] is set.
func (s Signals) CancelRequested() bool {
	return s.Has(SignalCancelRequested)
}

// Paused reports whether [SignalPaused] is set.
func (s Signals) Paused() bool {
	return s.Has(SignalPaused)
}

// Reset reports whether [SignalReset] is set.
func (s Signals) Reset() bool {
	return s.Has(SignalReset)
}

// Gone reports whether [SignalGone] is set.
func (s Signals) Gone() bool {
	return s.Has(SignalGone)
}

// LeaseLost reports whether [SignalLeaseLost] is set.
func (s Signals) LeaseLost() bool {
	return s.Has(SignalLeaseLost)
}

// String returns the names of the signals that are set, for example "CANCEL_REQUESTED|PAUSED", or "none".
func (s Signals) String() string {
	if s == 0 {
		return "none"
	}
	var names []string
	for _, text := range signalTexts {
		if s.Has(text.signal) {
			names = append(names, text.name)
			s &^= text.signal
		}
	}
	if s != 0 {
		names = append(names, fmt.Sprintf("%#x", uint32(s)))
	}
	return strings.Join(names, "|")
}

// The causes of the cancellation of an activity's Context, one for each signal. Compare them with context.Cause by errors.Is. The cause
// is a *[StopError], which may have a reason.
var (
	// ErrCancelRequested is the cause for [SignalCancelRequested].
	ErrCancelRequested error = signalError(SignalCancelRequested)
	// ErrPaused is the cause for [SignalPaused], if CancelOn has it.
	ErrPaused error = signalError(SignalPaused)
	// ErrReset is the cause for [SignalReset].
	ErrReset error = signalError(SignalReset)
	// ErrGone is the cause for [SignalGone]. It is also [ErrNotFound].
	ErrGone error = signalError(SignalGone)
	// ErrLeaseLost is the cause for [SignalLeaseLost].
	ErrLeaseLost error = signalError(SignalLeaseLost)
	// ErrStalled is the cause for [SignalStalled], if CancelOn has it.
	ErrStalled error = signalError(SignalStalled)
	// ErrRefused is the cause for [SignalRefused], if CancelOn has it.
	ErrRefused error = signalError(SignalRefused)
	// ErrAttemptDeadline is the cause for [SignalDeadline], if CancelOn has it. It is also context.DeadlineExceeded.
	ErrAttemptDeadline error = signalError(SignalDeadline)
	// ErrUnseeded is the cause for [SignalUnseeded], if CancelOn has it.
	ErrUnseeded error = signalError(SignalUnseeded)
)

// signalError is one signal as an error.
type signalError Signals

func (e signalError) Error() string {
	for _, text := range signalTexts {
		if text.signal == Signals(e) {
			return "temporal-heartbeat: stop the work: " + text.description
		}
	}
	return "temporal-heartbeat: stop the work: " + Signals(e).String()
}

func (e signalError) Is(target error) bool {
	switch Signals(e) {
	case SignalGone:
		return target == ErrNotFound
	case SignalDeadline:
		return target == context.DeadlineExceeded
	}
	return false
}

// StopError is the cause of the cancellation of an activity's Context by a signal. errors.Is compares it with the error of that signal,
// for example [ErrCancelRequested]:
//
//	var stop *heartbeat.StopError
//	if errors.As(context.Cause(act.Context()), &stop) {
//		log.Print(stop.Reason)
//	}
type StopError struct {
	Signal Signals
	// Reason is why the cancellation or the pause was requested, and Identity the client that requested it. They are empty if the
	// server hasn't shown them when the Context is cancelled. With FollowServer ([OpenOptions]) it usually has.
	Reason, Identity string
}

// Error describes the signal, with the reason.
func (e *StopError) Error() string {
	text := signalError(e.Signal).Error()
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	if e.Identity != "" {
		text += " (by " + e.Identity + ")"
	}
	return text
}

// Unwrap returns the error of the signal.
func (e *StopError) Unwrap() error {
	return signalError(e.Signal)
}

// causePriority orders the signals for a cancellation by several of them.
var causePriority = []Signals{
	SignalGone, SignalCancelRequested, SignalReset, SignalDeadline, SignalLeaseLost, SignalRefused, SignalStalled, SignalUnseeded,
	SignalPaused,
}

// cancelCause returns the signal of the highest priority as an error, or nil if none is set. getInfo returns the reasons.
func cancelCause(signals Signals, getInfo func() (Info, error)) error {
	if signals == 0 {
		return nil
	}
	for _, signal := range causePriority {
		if !signals.Has(signal) {
			continue
		}
		stop := &StopError{Signal: signal}
		if signal == SignalCancelRequested || signal == SignalPaused {
			info, _ := getInfo() // fails after Close
			stop.Reason, stop.Identity = info.CancelReason, info.CancelIdentity
			if signal == SignalPaused {
				stop.Reason, stop.Identity = info.PauseReason, info.PauseIdentity
			}
		}
		return stop
	}
	return nil
}
