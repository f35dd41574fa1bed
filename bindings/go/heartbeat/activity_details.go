package heartbeat

import (
	"context"

	"temporal-heartbeat.dev/go/internal/abi"
)

// NewDetails makes details of values, for [OpenOptions].
func NewDetails(values ...any) (Details, error) {
	payloads, err := payloadsOf(values)
	if err != nil {
		return Details{}, err
	}
	return Details{values: payloads, heartbeatTimeoutMs: -1}, nil
}

// Details gives the details that there were when the activity was opened: those of the attempt before. Having none is no error.
// They stay the same whatever is recorded. When the parent didn't hand them over, the server is asked, for which there is the time
// of ctx: so ask before the first record, which replaces them.
//
// Errors: [ErrNotFound] when the activity is over, [ErrFailedPrecondition] when a record replaced them before anybody asked,
// [ErrEnded], [ErrUnavailable], [ErrTimeout], [ErrInvalidHandle] after Close.
func (a *Activity) Details(ctx context.Context) (Details, error) {
	const op = "details"
	if known := a.previous.Load(); known != nil {
		return *known, nil
	}
	held, nativeErr := a.handle.Details(0) // what is known takes no time, and no context
	if nativeErr != nil {
		var err error
		held, err = call(ctx, op, budget(ctx), func(timeoutMs uint32) (abi.Details, *abi.Error) {
			return a.handle.Details(timeoutMs)
		})
		if err != nil {
			return Details{}, err
		}
	}
	details, err := detailsOf(a.codec, op, held)
	if err == nil {
		a.previous.Store(&details)
	}
	return details, err
}

// HasHeartbeatDetails tells whether an attempt before this one left details to resume from, as the official SDK's function of that
// name does. It may have to ask the server; when that fails it is true, so that nobody begins at the beginning by mistake, and
// GetHeartbeatDetails tells why.
func (a *Activity) HasHeartbeatDetails() bool {
	details, err := a.Details(a.ctx)
	return err != nil || details.Has()
}

// GetHeartbeatDetails reads the details of the attempt before into what the pointers point to, as the official SDK's function of that
// name does, and as [Details.Get]. Having none is [ErrNoDetails]. It waits for the server at most [DefaultTimeout], and not beyond
// the end of Context; for a context of your own there is Details.
func (a *Activity) GetHeartbeatDetails(valuePtrs ...any) error {
	details, err := a.Details(a.ctx)
	if err != nil {
		return err
	}
	return details.Get(valuePtrs...)
}
