package heartbeat

import (
	"context"
	"time"

	"temporal-heartbeat.dev/go/internal/abi"
)

// Error is what a call that failed returns; errors.As finds it, and errors.Is compares its Code with [ErrNotFound] and its like.
type Error struct {
	// Op is what failed, in words: "heartbeat", "get details".
	Op string
	// Code is the kind of error.
	Code Status
	// GRPCCode is the gRPC status code of the server's answer, or -1 if none of it was at the bottom of this error.
	GRPCCode int
	// Message says what happened, and what can be done about it where that is known.
	Message string
	// Retryable: the same call may succeed later. Within its time a call has already been retried.
	Retryable bool
	// RetryAfter is how long the server asked to wait before the next try; 0 when it didn't.
	RetryAfter time.Duration

	cause error
}

// Error gives the operation, the message and the status.
func (e *Error) Error() string {
	return "temporal-heartbeat: " + e.Op + ": " + e.Message + " (" + e.Code.String() + ")"
}

// Is compares by status. A timeout is context.DeadlineExceeded too, whoever set the time.
func (e *Error) Is(target error) bool {
	if s, ok := target.(sentinel); ok {
		return Status(s) == e.Code
	}
	return e.Code == StatusTimeout && target == context.DeadlineExceeded
}

// Timeout tells whether the time ran out without an answer, as package net's errors do.
func (e *Error) Timeout() bool {
	return e.Code == StatusTimeout
}

// Unwrap gives what lies under the error, if anything: a value's conversion error, or the deadline that passed meanwhile.
func (e *Error) Unwrap() error {
	return e.cause
}

// Errors to compare with by errors.Is, one for each [Status], where their meanings are.
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

// sentinel is a status to compare with: a value that nobody can write to.
type sentinel Status

func (s sentinel) Error() string {
	return "temporal-heartbeat: " + Status(s).String()
}

// failed turns the library's error into Go's; nil stays nil.
func failed(op string, err *abi.Error) error {
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

// refused is an error that was found on this side, before anything was called.
func refused(op string, code Status, message string, cause error) error {
	return &Error{Op: op, Code: code, GRPCCode: noGRPCCode, Message: message, cause: cause}
}

const noGRPCCode = -1
