package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"temporal-heartbeat.dev/go/internal/abi"
)

// DefaultTimeout is the time that a call has when its context has no deadline.
const DefaultTimeout = 10 * time.Second

const (
	// maxCalls bounds the calls in progress, those included that run on after their context ended. Each holds a thread of the
	// system's while it waits for the server, and a Go program that needs more than 10,000 of them is killed by its runtime.
	maxCalls = 1024

	// answerMargin is how much sooner than the context the library stops waiting (but never more than 1/8 of the time there is),
	// so that its answer, which tells what the trouble was, comes before the context's end, which doesn't.
	answerMargin = 10 * time.Millisecond
)

var callSlots = make(chan struct{}, maxCalls)

// call runs one call of the library within ctx and the time limit that budget gives.
func call[T any](ctx context.Context, op string, limit time.Duration, native func(timeoutMs uint32) (T, *abi.Error)) (T, error) {
	var none T
	if ctx.Err() != nil {
		return none, notCalled(ctx, op)
	}
	if err := load(); err != nil {
		return none, err
	}
	deadline := time.Now().Add(limit)
	if err := takeSlot(ctx, op, limit); err != nil {
		return none, err
	}
	return await(ctx, op, deadline, func() (T, *abi.Error) {
		defer func() { <-callSlots }()
		return native(milliseconds(time.Until(deadline)))
	})
}

// await runs native, which ends by the deadline, and returns its outcome; but returns at once when ctx ends first, and lets native
// run out. So native must own everything that it reads, and hand over what it made by its results alone.
func await[T any](ctx context.Context, op string, deadline time.Time, native func() (T, *abi.Error)) (T, error) {
	if ctx.Done() == nil {
		value, err := native()
		return value, failed(op, err)
	}
	type outcome struct {
		value T
		err   *abi.Error
	}
	done := make(chan outcome, 1) // has room, so that an abandoned call ends all the same
	go func() {
		value, err := native()
		done <- outcome{value, err}
	}()

	var end outcome
	select {
	case end = <-done:
	case <-ctx.Done():
		select {
		case end = <-done: // both at once: an answer is worth more
		default:
			var none T
			return none, abandoned(ctx, op)
		}
	}
	return end.value, late(ctx, deadline, failed(op, end.err))
}

// budget is the time that a call within ctx has.
func budget(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return DefaultTimeout
	}
	remaining := time.Until(deadline)
	return remaining - min(answerMargin, remaining/8)
}

// milliseconds fits a time to what the library takes: at least 1, since 0 means "don't wait", at most 24 days.
func milliseconds(d time.Duration) uint32 {
	return uint32(min(max(wholeMilliseconds(d), 1), math.MaxInt32))
}

// wholeMilliseconds rounds up.
func wholeMilliseconds(d time.Duration) int64 {
	ms := d.Milliseconds()
	if d%time.Millisecond > 0 {
		ms++
	}
	return ms
}

// takeSlot waits for one of maxCalls.
func takeSlot(ctx context.Context, op string, limit time.Duration) error {
	select {
	case callSlots <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case callSlots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return notCalled(ctx, op)
	case <-timer.C:
		message := fmt.Sprintf("%d calls are in progress, as many as there may be, and none of them ended in time", maxCalls)
		return &Error{Op: op, Code: StatusLocalLimit, GRPCCode: noGRPCCode, Message: message, Retryable: true}
	}
}

// late adds the context's deadline to an error that says what the trouble was when the time ran out.
func late(ctx context.Context, deadline time.Time, err error) error {
	var e *Error
	if !errors.As(err, &e) || !e.Retryable || time.Now().Before(deadline) {
		return err
	}
	if _, limited := ctx.Deadline(); limited {
		e.cause = context.DeadlineExceeded
	}
	return e
}

// notCalled is the error of a context that ended before anything was sent.
func notCalled(ctx context.Context, op string) error {
	return fmt.Errorf("temporal-heartbeat: %s: not called: %w", op, contextError(ctx))
}

// abandoned is the error of a context that ended during the call.
func abandoned(ctx context.Context, op string) error {
	return fmt.Errorf("temporal-heartbeat: %s: no longer waited for, and may still take effect: %w", op, contextError(ctx))
}

// ended is the error of a context that ended while something was waited for that goes on by itself.
func ended(ctx context.Context, op string) error {
	return fmt.Errorf("temporal-heartbeat: %s: %w", op, contextError(ctx))
}

// contextError is the context's error, with its cause when it has one of its own.
func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == nil || cause == err {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}
