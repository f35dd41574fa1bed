//go:build unix

package abi

// #include "library.h"
import "C"

// Error is what a failed call told. A nil *Error is success; it is no Go error on purpose, so that a nil one can't become a
// non-nil interface.
type Error struct {
	Status       int32
	GRPCCode     int32 // -1: no answer of the server's
	Message      string
	Retryable    bool
	RetryAfterMs int64 // -1: not told
}

// failure turns the outcome of a call into an Error and frees what C gave.
func failure(status C.thb_status_t, err *C.thb_error_t) *Error {
	if status == C.THB_OK {
		return nil
	}
	return explained(status, err)
}

// explained reads an error that the caller owns, and frees it. Apart from failure, so that the compiler puts the latter's check
// for success where it is called.
func explained(status C.thb_status_t, err *C.thb_error_t) *Error {
	defer C.thb_error_free(err)
	return &Error{
		Status:       int32(status),
		GRPCCode:     int32(C.thb_error_grpc_code(err)),
		Message:      C.GoString(C.thb_error_message(err)),
		Retryable:    C.thb_error_is_retryable(err) != 0,
		RetryAfterMs: int64(C.thb_error_retry_after_ms(err)),
	}
}
