package heartbeat

import (
	"context"
	"fmt"
	"math"
	"time"

	"temporal-heartbeat.dev/go/internal/abi"
)

// DefaultTimeout is the timeout of a call whose context has no deadline.
const DefaultTimeout = 10 * time.Second

// answerMargin is how long before the context's deadline the library stops waiting, but at most 1/8 of the remaining time. So
// its error, which says why the server didn't answer, arrives before the context ends.
const answerMargin = 10 * time.Millisecond

// call makes one call of the library that ends within ctx. While too many calls are in progress, it waits.
func call(ctx context.Context, op string, epoch *codecEpoch, r *abi.Request) (_ abi.Answer, isStale bool, _ error) {
	if err := checkCallable(ctx, op); err != nil {
		return abi.Answer{}, false, err
	}
	var deadline time.Time
	for timeout := callTimeout(ctx); ; timeout = time.Until(deadline) {
		c, err := begin(epoch, r, toTimeoutMs(timeout))
		if waited := !deadline.IsZero(); err != nil && Status(err.Status) == StatusLocalLimit {
			if !waited {
				deadline = time.Now().Add(timeout)
			}
			if waitForEnd(ctx, timeout) {
				continue
			}
		} else if waited {
			notifyEnded() // there may be a place for another call that waits
		}
		if err != nil && ctx.Err() == context.Canceled {
			return abi.Answer{}, false, contextError(ctx, op, notCalled)
		} else if err != nil {
			return abi.Answer{}, err == errStaleEpoch, callError(ctx, op, err)
		}
		answer, ok := c.wait(ctx)
		if !ok {
			return abi.Answer{}, false, contextError(ctx, op, abandoned)
		}
		return answer, false, callError(ctx, op, answer.Err)
	}
}

// checkCallable returns an error if ctx has ended, or if there is no library.
func checkCallable(ctx context.Context, op string) error {
	if ctx.Err() != nil {
		return contextError(ctx, op, notCalled)
	}
	return loadLibrary()
}

// await runs a blocking call of the library, which takes a thread, and returns its result. When ctx ends first, await returns at once,
// and native continues.
func await[T any](ctx context.Context, op string, native func() (T, *abi.Error)) (value T, _ error) {
	type result struct {
		value T
		err   *abi.Error
	}
	done := make(chan result, 1) // buffered, so that an abandoned call can end
	go func() {
		value, err := native()
		done <- result{value, err}
	}()
	select {
	case got := <-done:
		return got.value, callError(ctx, op, got.err)
	case <-ctx.Done():
		return value, contextError(ctx, op, abandoned)
	}
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

// callError converts the error of a call within ctx. If the call was retried until the deadline, it is also context.DeadlineExceeded.
func callError(ctx context.Context, op string, native *abi.Error) error {
	if native == nil {
		return nil
	}
	err := newError(op, native).(*Error)
	if deadline, limited := ctx.Deadline(); limited && err.Retryable && time.Until(deadline) <= answerMargin {
		err.cause = context.DeadlineExceeded
	}
	return err
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
