package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"temporal-heartbeat.dev/go/internal/abi"
)

func TestErrorsAreFoundByStatusAndByType(t *testing.T) {
	err := fmt.Errorf("wrapped: %w", newError("heartbeat", &abi.Error{
		Status: int32(StatusResourceExhausted), GRPCCode: 8, Message: "namespace rate limit exceeded", Retryable: true, RetryAfterMs: 1500,
	}))
	wantIs(t, err, ErrResourceExhausted)
	if errors.Is(err, ErrNotFound) || errors.Is(err, context.DeadlineExceeded) {
		t.Error("is what it isn't")
	}
	var e *Error
	if !errors.As(err, &e) || e.GRPCCode != 8 || !e.Retryable || e.RetryAfter != 1500*time.Millisecond {
		t.Errorf("%+v", e)
	}
	if want := "temporal-heartbeat: heartbeat: namespace rate limit exceeded (THB_RESOURCE_EXHAUSTED)"; e.Error() != want {
		t.Errorf("got  %s\nwant %s", e, want)
	}
}

func TestTimeoutIsDeadlineExceeded(t *testing.T) {
	err := newError("complete", &abi.Error{Status: int32(StatusTimeout)})
	wantIs(t, err, ErrTimeout, context.DeadlineExceeded)
	var timeout interface{ Timeout() bool }
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Error("is no timeout")
	}
}

func TestStatusOfANewerLibraryIsAnError(t *testing.T) {
	err := newError("heartbeat", &abi.Error{Status: 999, Message: "new"})
	var e *Error
	if !errors.As(err, &e) || e.Code != 999 || e.Code.String() != "THB_UNKNOWN(999)" {
		t.Errorf("%v", err)
	}
}

func TestSuccessIsNoError(t *testing.T) {
	if err := newError("heartbeat", nil); err != nil {
		t.Error(err)
	}
}
