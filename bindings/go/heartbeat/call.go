package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"temporal-heartbeat.dev/go/internal/abi"
)

// DefaultTimeout is the timeout of a call whose context has no deadline.
const DefaultTimeout = 10 * time.Second

const (
	// maxCalls bounds the calls in progress, including those that continue after their context ended. Each blocks an OS thread while it
	// waits for the server, and the Go runtime ends a program that needs more than 10,000 of them.
	maxCalls = 1024

	// answerMargin is how long before the context's deadline the library stops waiting, but at most 1/8 of the remaining time. So
	// its error, which says why the server didn't answer, arrives before the context ends.
	answerMargin = 10 * time.Millisecond
)

var callSlots = make(chan struct{}, maxCalls)

// call makes one call of the library that ends within ctx and timeout.
func call[T any](ctx context.Context, op string, timeout time.Duration, native func(timeoutMs uint32) (T, *abi.Error)) (T, error) {
	var zero T
	if ctx.Err() != nil {
		return zero, contextError(ctx, op, notCalled)
	}
	if err := loadLibrary(); err != nil {
		return zero, err
	}
	deadline := time.Now().Add(timeout)
	if err := acquireCallSlot(ctx, op, timeout); err != nil {
		return zero, err
	}
	return await(ctx, op, deadline, func() (T, *abi.Error) {
		defer func() { <-callSlots }()
		return native(toTimeoutMs(time.Until(deadline)))
	})
}

// await runs native, which ends by the deadline, and returns its outcome. When ctx ends first, await returns at once and native
// continues. So native must own all that it reads, and return all that it makes as results.
func await[T any](ctx context.Context, op string, deadline time.Time, native func() (T, *abi.Error)) (T, error) {
	if ctx.Done() == nil {
		value, err := native()
		return value, newError(op, err)
	}
	type outcome struct {
		value T
		err   *abi.Error
	}
	done := make(chan outcome, 1) // buffered, so that an abandoned call can end
	go func() {
		value, err := native()
		done <- outcome{value, err}
	}()

	var got outcome
	select {
	case got = <-done:
	case <-ctx.Done():
		select {
		case got = <-done: // prefer an answer to the end of the context
		default:
			var zero T
			return zero, contextError(ctx, op, abandoned)
		}
	}
	return got.value, addDeadlineExceeded(ctx, deadline, newError(op, got.err))
}

// callTimeout returns the timeout of a call within ctx.
func callTimeout(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return DefaultTimeout
	}
	remaining := time.Until(deadline)
	return remaining - min(answerMargin, remaining/8)
}

// toTimeoutMs converts a timeout for the library: at least 1, since 0 means "don't wait", and at most 24 days.
func toTimeoutMs(d time.Duration) uint32 {
	return uint32(min(max(toMilliseconds(d), 1), math.MaxInt32))
}

// toMilliseconds converts a duration, and rounds up.
func toMilliseconds(d time.Duration) int64 {
	ms := d.Milliseconds()
	if d%time.Millisecond > 0 {
		ms++
	}
	return ms
}

// acquireCallSlot waits until fewer than maxCalls are in progress.
func acquireCallSlot(ctx context.Context, op string, timeout time.Duration) error {
	select {
	case callSlots <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case callSlots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return contextError(ctx, op, notCalled)
	case <-timer.C:
		err := localError(op, StatusLocalLimit, fmt.Sprintf("%d calls are in progress, which is the limit, and none ended in time", maxCalls), nil)
		err.Retryable = true
		return err
	}
}

// addDeadlineExceeded makes an error of a call that was retried until the context's deadline also context.DeadlineExceeded.
func addDeadlineExceeded(ctx context.Context, deadline time.Time, err error) error {
	var e *Error
	if !errors.As(err, &e) || !e.Retryable || time.Now().Before(deadline) {
		return err
	}
	if _, limited := ctx.Deadline(); limited {
		e.cause = context.DeadlineExceeded
	}
	return e
}

// The state of a call when its context ended.
const (
	notCalled   = "not called: "
	abandoned   = "abandoned, but may still take effect: "
	waitStopped = ""
)

// contextError returns the error of a context that ended, with its cause if that is another error.
func contextError(ctx context.Context, op, state string) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause != nil && cause != err {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return fmt.Errorf("temporal-heartbeat: %s: %s%w", op, state, err)
}
