package heartbeat

import (
	"context"
	"slices"

	"temporal-heartbeat.dev/go/internal/abi"
)

// RecordHeartbeat tells the server that the activity is alive, how far it got, and waits for the answer: what is wanted of
// the activity. The details replace those that the server held; the next attempt finds them with [GetDetails].
//
// At least one detail is needed (nil is one): a heartbeat without any erases what the server holds, and what a retry would resume
// from. [ClearHeartbeat] does that.
//
// Errors: [ErrNotFound] when the activity is over for this token (stop the work), [ErrInvalidArgument] for details that can't be
// converted, [ErrTooLarge], [ErrTokenUnreadable], [ErrNotConnected], [ErrUnavailable], [ErrTimeout].
func RecordHeartbeat(ctx context.Context, taskToken []byte, details ...any) (Signals, error) {
	const op = "heartbeat"
	if len(details) == 0 {
		return 0, refused(op, StatusInvalidArgument,
			"no details: a heartbeat without details erases those that the server holds; give some, or call ClearHeartbeat", nil)
	}
	return beat(ctx, op, taskToken, details)
}

// ClearHeartbeat sends a heartbeat without details, which erases those that the server holds: the next attempt starts at the
// beginning. Otherwise it is like [RecordHeartbeat].
func ClearHeartbeat(ctx context.Context, taskToken []byte) (Signals, error) {
	return beat(ctx, "clear heartbeat", taskToken, nil)
}

func beat(ctx context.Context, op string, taskToken []byte, details []any) (Signals, error) {
	if ctx.Err() != nil {
		return 0, notCalled(ctx, op)
	}
	token := slices.Clone(taskToken)
	signals, err := callEncoded(ctx, op, encodeWith(op, details), func(v wireValues, timeoutMs uint32) (uint32, *abi.Error) {
		return abi.Heartbeat(token, v.encoding, v.data, timeoutMs)
	})
	return Signals(signals), err
}
