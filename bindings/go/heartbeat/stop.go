package heartbeat

import "context"

// StopSignals are those that cancel an activity's Context unless [OpenOptions] says otherwise. [SignalDeadline] isn't among them: only
// the server knows whether the attempt is over, and then says [SignalGone].
const StopSignals = SignalGone | SignalCancelRequested | SignalReset | SignalLeaseLost

// Why an activity's Context was cancelled, for errors.Is with context.Cause: one for each signal.
var (
	// ErrCancelRequested is the cause by [SignalCancelRequested].
	ErrCancelRequested error = signalError(SignalCancelRequested)
	// ErrPaused is the cause by [SignalPaused], which cancels only if asked to.
	ErrPaused error = signalError(SignalPaused)
	// ErrReset is the cause by [SignalReset].
	ErrReset error = signalError(SignalReset)
	// ErrGone is the cause by [SignalGone]. It is [ErrNotFound] too.
	ErrGone error = signalError(SignalGone)
	// ErrLeaseLost is the cause by [SignalLeaseLost].
	ErrLeaseLost error = signalError(SignalLeaseLost)
	// ErrStalled is the cause by [SignalStalled], which cancels only if asked to.
	ErrStalled error = signalError(SignalStalled)
	// ErrRefused is the cause by [SignalRefused], which cancels only if asked to.
	ErrRefused error = signalError(SignalRefused)
	// ErrAttemptDeadline is the cause by [SignalDeadline], which cancels only if asked to. It is context.DeadlineExceeded too.
	ErrAttemptDeadline error = signalError(SignalDeadline)
	// ErrUnseeded is the cause by [SignalUnseeded], which cancels only if asked to.
	ErrUnseeded error = signalError(SignalUnseeded)
)

// signalError is a signal as a cause.
type signalError Signals

func (e signalError) Error() string {
	return "temporal-heartbeat: stop the work: " + signalReasons[Signals(e)]
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

var signalReasons = map[Signals]string{
	SignalGone:            "the activity is over for this attempt",
	SignalCancelRequested: "its cancellation was requested",
	SignalReset:           "the activity was reset",
	SignalDeadline:        "the deadline that was handed over has passed",
	SignalLeaseLost:       "no heartbeat was acknowledged for the heartbeat timeout, and another attempt may be running",
	SignalRefused:         "the server refuses the heartbeats",
	SignalStalled:         "no progress for the stall timeout",
	SignalUnseeded:        "it can't be learned what progress the server holds",
	SignalPaused:          "the activity is paused",
}

// causesByWeight is what counts more first, for when several signals come at once.
var causesByWeight = []Signals{
	SignalGone, SignalCancelRequested, SignalReset, SignalDeadline, SignalLeaseLost, SignalRefused, SignalStalled, SignalUnseeded,
	SignalPaused,
}

// stopCause gives the weightiest of the signals as a cause, or nil for none.
func stopCause(signals Signals) error {
	if signals == 0 {
		return nil
	}
	for _, signal := range causesByWeight {
		if signals.Has(signal) {
			return signalError(signal)
		}
	}
	return nil
}
