//go:build unix

package abi

// #include "library.h"
import "C"

import (
	"bytes"
	"unsafe"
)

// The values of thb_encoding_t that this binding sends.
const (
	EncodingNone     = C.THB_ENCODING_NONE
	EncodingJSON     = C.THB_ENCODING_JSON
	EncodingBinary   = C.THB_ENCODING_BINARY
	EncodingPayloads = C.THB_ENCODING_PAYLOADS
)

// The calls below borrow their byte slices until they return: the caller must not write to them meanwhile.

// Connect makes the process's one client.
func Connect(optionsJSON []byte) *Error {
	var err *C.thb_error_t
	status := C.thb_connect((*C.char)(pointer(optionsJSON)), size(optionsJSON), &err)
	return failure(status, err)
}

// Reconfigure changes its credentials.
func Reconfigure(optionsJSON []byte) *Error {
	var err *C.thb_error_t
	status := C.thb_reconfigure((*C.char)(pointer(optionsJSON)), size(optionsJSON), &err)
	return failure(status, err)
}

// Disconnect ends it.
func Disconnect(timeoutMs uint32) *Error {
	var err *C.thb_error_t
	status := C.thb_disconnect(C.uint32_t(timeoutMs), &err)
	return failure(status, err)
}

// Heartbeat records one heartbeat and gives the signals of its answer.
func Heartbeat(token []byte, encoding int32, details []byte, timeoutMs uint32) (signals uint32, _ *Error) {
	var signalsOut C.uint32_t
	var err *C.thb_error_t
	status := C.thb_heartbeat(pointer(token), size(token), C.thb_encoding_t(encoding), pointer(details), size(details),
		C.uint32_t(timeoutMs), &signalsOut, &err)
	return uint32(signalsOut), failure(status, err)
}

// Complete ends an activity with a result.
func Complete(token []byte, encoding int32, result []byte, timeoutMs uint32) *Error {
	var err *C.thb_error_t
	status := C.thb_complete(pointer(token), size(token), C.thb_encoding_t(encoding), pointer(result), size(result),
		C.uint32_t(timeoutMs), &err)
	return failure(status, err)
}

// Fail ends an attempt with a failure.
func Fail(token, failureJSON []byte, timeoutMs uint32) *Error {
	var err *C.thb_error_t
	status := C.thb_fail(pointer(token), size(token), (*C.char)(pointer(failureJSON)), size(failureJSON),
		C.uint32_t(timeoutMs), &err)
	return failure(status, err)
}

// ReportCancelled ends an activity as cancelled.
func ReportCancelled(token []byte, encoding int32, details []byte, timeoutMs uint32) *Error {
	var err *C.thb_error_t
	status := C.thb_report_cancelled(pointer(token), size(token), C.thb_encoding_t(encoding), pointer(details), size(details),
		C.uint32_t(timeoutMs), &err)
	return failure(status, err)
}

// TokenFromEnv reads the task token that the parent process left.
func TokenFromEnv() ([]byte, *Error) {
	var text *C.thb_text_t
	var err *C.thb_error_t
	status := C.thb_token_from_env(&text, &err)
	if status != C.THB_OK {
		return nil, failure(status, err)
	}
	defer C.thb_text_free(text)
	var length C.size_t
	data := C.thb_text_data(text, &length)
	return copied(unsafe.Pointer(data), length), nil
}

// pointer is where the bytes start. cgo pins them for the call that it is an argument of.
func pointer(b []byte) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(b))
}

func size(b []byte) C.size_t {
	return C.size_t(len(b))
}

// copied takes over bytes that C owns. (C.GoBytes counts with an int, C with size_t.)
func copied(data unsafe.Pointer, length C.size_t) []byte {
	if length == 0 {
		return nil
	}
	return bytes.Clone(unsafe.Slice((*byte)(data), length))
}
