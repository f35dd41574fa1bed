package heartbeat

import (
	"context"

	"temporal-heartbeat.dev/go/internal/abi"
)

// Flush sends what was recorded last without waiting for its time, and waits for the server's acknowledgement.
//
// Errors: [ErrNotFound], [ErrEnded], [ErrUnavailable], [ErrTimeout], [ErrInvalidHandle] after Close, and what the server
// answers to the heartbeat.
func (a *Activity) Flush(ctx context.Context) error {
	return a.call(ctx, "flush", a.handle.Flush)
}

// Complete ends the activity with a result; nil is none. The heartbeats are suspended meanwhile. After success or [ErrInDoubt]
// it is ended: all but Close and what reads is [ErrEnded]. After [ErrNotFound] it is gone. After any other error the heartbeats go
// on, and it may be called again. What else holds for the function [Complete] holds here.
func (a *Activity) Complete(ctx context.Context, result any) error {
	var values []any
	if result != nil {
		values = []any{result}
	}
	return a.end(ctx, "complete", values, a.handle.Complete)
}

// ReportCancelled ends the activity as cancelled, with details or without, if its cancellation was requested. What was recorded
// last is sent before. Otherwise it is like Complete.
func (a *Activity) ReportCancelled(ctx context.Context, details ...any) error {
	return a.end(ctx, "report cancelled", details, a.handle.ReportCancelled)
}

// Fail ends this attempt with a failure. What was recorded and not yet acknowledged goes with it in the same request, so that the
// next attempt surely sees it; for a standalone activity it is sent as a heartbeat first. Therefore the failure itself has no
// HeartbeatDetails. Otherwise it is like Complete.
func (a *Activity) Fail(ctx context.Context, failure Failure) error {
	const op = "fail"
	if len(failure.HeartbeatDetails) > 0 {
		return refused(op, StatusInvalidArgument, "HeartbeatDetails: the activity is held open; record them", nil)
	}
	failureJSON, err := failure.json(a.codec, op)
	if err != nil {
		return err
	}
	return a.call(ctx, op, func(timeoutMs uint32) *abi.Error { return a.handle.Fail(failureJSON, timeoutMs) })
}

func (a *Activity) end(ctx context.Context, op string, values []any,
	native func(encoding int32, data []byte, timeoutMs uint32) *abi.Error,
) error {
	encoding, data, err := encode(a.codec, op, values)
	if err != nil {
		return err
	}
	return a.call(ctx, op, func(timeoutMs uint32) *abi.Error { return native(encoding, data, timeoutMs) })
}

// call waits for the server.
func (a *Activity) call(ctx context.Context, op string, native func(timeoutMs uint32) *abi.Error) error {
	_, err := call(ctx, op, budget(ctx), func(timeoutMs uint32) (struct{}, *abi.Error) {
		return struct{}{}, native(timeoutMs)
	})
	return err
}
