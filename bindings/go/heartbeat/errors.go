package heartbeat

import (
	"context"
	"time"

	"temporal-heartbeat.dev/go/internal/abi"
)

// Error is the error of a call that failed. errors.As finds it, and errors.Is compares its Code with errors such as [ErrNotFound].
type Error struct {
	// Op names the call that failed: "heartbeat", "get details".
	Op string
	// Code is the kind of error.
	Code Status
	// GRPCCode is the gRPC status code of the server's answer, or -1 if the server didn't cause the error.
	GRPCCode int
	// Message describes the error, and how to correct it where that is known.
	Message string
	// Retryable reports whether the same call may succeed later. The call was already retried until its time ran out.
	Retryable bool
	// RetryAfter is the server's minimum wait before the next attempt, or 0.
	RetryAfter time.Duration

	cause error
}

// Error returns the operation, the message and the status.
func (e *Error) Error() string {
	return "temporal-heartbeat: " + e.Op + ": " + e.Message + " (" + e.Code.String() + ")"
}

// Is compares by status. A timeout is also context.DeadlineExceeded.
func (e *Error) Is(target error) bool {
	if s, ok := target.(sentinel); ok {
		return Status(s) == e.Code
	}
	return e.Code == StatusTimeout && target == context.DeadlineExceeded
}

// Timeout reports whether the call timed out without an answer, as the errors of package net do.
func (e *Error) Timeout() bool {
	return e.Code == StatusTimeout
}

// Unwrap returns the cause, if there is one: the conversion error of a value, or the deadline of the context.
func (e *Error) Unwrap() error {
	return e.cause
}

// Errors to compare with by errors.Is, one for each [Status], which explains it.
var (
	ErrInvalidArgument    error = sentinel(StatusInvalidArgument)
	ErrConfig             error = sentinel(StatusConfig)
	ErrNotConnected       error = sentinel(StatusNotConnected)
	ErrAlreadyConnected   error = sentinel(StatusAlreadyConnected)
	ErrUnavailable        error = sentinel(StatusUnavailable)
	ErrTimeout            error = sentinel(StatusTimeout)
	ErrTLS                error = sentinel(StatusTLS)
	ErrUnauthenticated    error = sentinel(StatusUnauthenticated)
	ErrPermissionDenied   error = sentinel(StatusPermissionDenied)
	ErrNamespaceNotFound  error = sentinel(StatusNamespaceNotFound)
	ErrNamespaceNotActive error = sentinel(StatusNamespaceNotActive)
	ErrNotFound           error = sentinel(StatusNotFound)
	ErrInDoubt            error = sentinel(StatusInDoubt)
	ErrTooLarge           error = sentinel(StatusTooLarge)
	ErrResourceExhausted  error = sentinel(StatusResourceExhausted)
	ErrLocalLimit         error = sentinel(StatusLocalLimit)
	ErrTokenUnreadable    error = sentinel(StatusTokenUnreadable)
	ErrFailedPrecondition error = sentinel(StatusFailedPrecondition)
	ErrUnimplemented      error = sentinel(StatusUnimplemented)
	ErrServerError        error = sentinel(StatusServerError)
	ErrInvalidHandle      error = sentinel(StatusInvalidHandle)
	ErrForked             error = sentinel(StatusForked)
	ErrAlreadyOpen        error = sentinel(StatusAlreadyOpen)
	ErrEnded              error = sentinel(StatusEnded)
	ErrABIMismatch        error = sentinel(StatusABIMismatch)
	ErrInternal           error = sentinel(StatusInternal)
)

// sentinel is a status as an error that no program can modify.
type sentinel Status

func (s sentinel) Error() string {
	return "temporal-heartbeat: " + Status(s).String()
}

// newError converts an error of the library; nil stays nil.
func newError(op string, err *abi.Error) error {
	if err == nil {
		return nil
	}
	return &Error{
		Op:         op,
		Code:       Status(err.Status),
		GRPCCode:   int(err.GRPCCode),
		Message:    err.Message,
		Retryable:  err.Retryable,
		RetryAfter: time.Duration(max(err.RetryAfterMs, 0)) * time.Millisecond,
	}
}

// localError returns an error that this package found without a call of the library.
func localError(op string, code Status, message string, cause error) *Error {
	return &Error{Op: op, Code: code, GRPCCode: abi.NoGRPCCode, Message: message, cause: cause}
}
