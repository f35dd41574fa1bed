package heartbeat

import (
	"context"
	"slices"

	"temporal-heartbeat.dev/go/internal/abi"
)

// Complete ends the activity with a result; nil is none, as in an activity that returns only an error.
//
// Like [Fail] and [ReportCancelled] it may have taken effect although it returned an error: [ErrInDoubt] says so; and when the
// time ran out or ctx ended nobody knows, so that an [ErrNotFound] of the same call made again may be the work of the first one.
//
// Errors: [ErrNotFound], [ErrInDoubt], [ErrTooLarge], [ErrInvalidArgument], [ErrTokenUnreadable], [ErrNotConnected],
// [ErrUnavailable], [ErrTimeout].
func Complete(ctx context.Context, taskToken []byte, result any) error {
	var values []any
	if result != nil {
		values = []any{result}
	}
	return end(ctx, "complete", taskToken, values, abi.Complete)
}

// ReportCancelled ends the activity as cancelled, with details or without. The server accepts it only when the cancellation was
// requested ([SignalCancelRequested]); otherwise it is [ErrInvalidArgument] and the activity goes on.
func ReportCancelled(ctx context.Context, taskToken []byte, details ...any) error {
	return end(ctx, "report cancelled", taskToken, details, abi.ReportCancelled)
}

// Fail ends this attempt with a failure. Whether another attempt follows is up to the retry policy, unless the failure is
// NonRetryable.
func Fail(ctx context.Context, taskToken []byte, failure Failure) error {
	const op = "fail"
	if ctx.Err() != nil {
		return notCalled(ctx, op)
	}
	token := slices.Clone(taskToken)
	encode := func(codec PayloadCodec) ([]byte, error) { return failure.json(codec, op) }
	_, err := callEncoded(ctx, op, encode, func(failureJSON []byte, timeoutMs uint32) (struct{}, *abi.Error) {
		return struct{}{}, abi.Fail(token, failureJSON, timeoutMs)
	})
	return err
}

func end(ctx context.Context, op string, taskToken []byte, values []any,
	native func(token []byte, encoding int32, data []byte, timeoutMs uint32) *abi.Error,
) error {
	if ctx.Err() != nil {
		return notCalled(ctx, op)
	}
	token := slices.Clone(taskToken)
	_, err := callEncoded(ctx, op, encodeWith(op, values), func(v wireValues, timeoutMs uint32) (struct{}, *abi.Error) {
		return struct{}{}, native(token, v.encoding, v.data, timeoutMs)
	})
	return err
}
