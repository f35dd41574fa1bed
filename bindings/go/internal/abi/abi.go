//go:build unix

// Package abi calls the functions of the native library for package heartbeat. It converts types, and copies and frees what C owns.
//
// [Open] must have succeeded before any other call. After it any goroutine may call any function.
package abi

// #include "library.h"
import "C"

import (
	"bytes"
	"unsafe"
)

// Version returns the version of the library.
func Version() string {
	return C.GoString(C.thb_version())
}

// ABIVersion returns the ABI version of the library: major << 16 | minor.
func ABIVersion() uint32 {
	return uint32(C.thb_abi_version())
}

// StatusName returns the name of a status in the header.
func StatusName(status int32) string {
	return C.GoString(C.thb_status_name(C.thb_status_t(status)))
}

// Error describes a call that failed; nil is success. It isn't a Go error, so that a nil *Error can't become a non-nil error.
type Error struct {
	Status       int32
	GRPCCode     int32 // NoGRPCCode: the server didn't answer
	Message      string
	Retryable    bool
	RetryAfterMs int64 // -1: not set by the server
}

// NoGRPCCode is the gRPC code of an error that the server didn't cause.
const NoGRPCCode = -1

// newError returns the error of a call, nil for THB_OK.
func newError(status C.thb_status_t, err *C.thb_error_t) *Error {
	if status == C.THB_OK {
		return nil
	}
	return takeError(status, err)
}

// takeError copies an error and frees it. It is apart from newError so that the compiler can inline newError.
func takeError(status C.thb_status_t, err *C.thb_error_t) *Error {
	defer C.thb_error_free(err)
	return copyError(status, err)
}

func copyError(status C.thb_status_t, err *C.thb_error_t) *Error {
	return &Error{
		Status:       int32(status),
		GRPCCode:     int32(C.thb_error_grpc_code(err)),
		Message:      C.GoString(C.thb_error_message(err)),
		Retryable:    C.thb_error_is_retryable(err) != 0,
		RetryAfterMs: int64(C.thb_error_retry_after_ms(err)),
	}
}

// takeText copies a text and frees it; nil for a call that failed or had no text.
func takeText(text *C.thb_text_t, status C.thb_status_t, err *C.thb_error_t) ([]byte, *Error) {
	defer C.thb_text_free(text)
	var length C.size_t
	data := C.thb_text_data(text, &length)
	return copyBytes(unsafe.Pointer(data), length), newError(status, err)
}

// pointer returns the address of the first byte. cgo pins the bytes for the call that takes it as an argument.
func pointer(b []byte) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(b))
}

func size(b []byte) C.size_t {
	return C.size_t(len(b))
}

// copyBytes copies bytes that C owns. C.GoBytes can't take a size_t.
func copyBytes(data unsafe.Pointer, length C.size_t) []byte {
	if length == 0 {
		return nil
	}
	return bytes.Clone(unsafe.Slice((*byte)(data), length))
}
