//go:build unix

package abi

// #include "library.h"
import "C"

import "unsafe"

// Handle is an activity that is held open. Any number is safe to pass; one that is none, or was closed, is an error.
type Handle uint64

// The three calls that follow never wait, and cost little: see annotations.go.

// Record takes progress, copies it, and gives the signals known by now.
func (h Handle) Record(encoding int32, details []byte) (signals uint32, _ *Error) {
	data := (*C.uchar)(unsafe.SliceData(details))
	return answered(C.thb_go_activity_heartbeat(C.thb_activity_t(h), C.thb_encoding_t(encoding), data, size(details)))
}

// Touch tells progress without details.
func (h Handle) Touch() (signals uint32, _ *Error) {
	return answered(C.thb_go_activity_touch(C.thb_activity_t(h)))
}

// Signals gives the signals known by now.
func (h Handle) Signals() (signals uint32, _ *Error) {
	return answered(C.thb_go_activity_get_signals(C.thb_activity_t(h)))
}

func answered(answer C.thb_go_answer_t) (signals uint32, _ *Error) {
	return uint32(answer.signals), failure(answer.status, answer.error)
}

// OpenActivity begins to hold an activity open.
func OpenActivity(token, optionsJSON []byte) (Handle, *Error) {
	var handle C.thb_activity_t
	var err *C.thb_error_t
	status := C.thb_activity_open(pointer(token), size(token), (*C.char)(pointer(optionsJSON)), size(optionsJSON), &handle, &err)
	return Handle(handle), failure(status, err)
}

// Details asks for the details that there were when it was opened; a timeout of 0 gives what is known already.
func (h Handle) Details(timeoutMs uint32) (Details, *Error) {
	var details *C.thb_details_t
	var err *C.thb_error_t
	status := C.thb_activity_get_details(C.thb_activity_t(h), C.uint32_t(timeoutMs), &details, &err)
	return taken(details, status, err)
}

// Info tells how it stands, as a JSON object.
func (h Handle) Info() ([]byte, *Error) {
	var text *C.thb_text_t
	var err *C.thb_error_t
	status := C.thb_activity_get_info(C.thb_activity_t(h), &text, &err)
	if status != C.THB_OK {
		return nil, failure(status, err)
	}
	defer C.thb_text_free(text)
	var length C.size_t
	data := C.thb_text_data(text, &length)
	return copied(unsafe.Pointer(data), length), nil
}

// Flush sends what was recorded, and waits for the server to have it.
func (h Handle) Flush(timeoutMs uint32) *Error {
	var err *C.thb_error_t
	status := C.thb_activity_flush(C.thb_activity_t(h), C.uint32_t(timeoutMs), &err)
	return failure(status, err)
}

// Complete ends the activity with a result.
func (h Handle) Complete(encoding int32, result []byte, timeoutMs uint32) *Error {
	var err *C.thb_error_t
	status := C.thb_activity_complete(C.thb_activity_t(h), C.thb_encoding_t(encoding), pointer(result), size(result),
		C.uint32_t(timeoutMs), &err)
	return failure(status, err)
}

// Fail ends the attempt with a failure.
func (h Handle) Fail(failureJSON []byte, timeoutMs uint32) *Error {
	var err *C.thb_error_t
	status := C.thb_activity_fail(C.thb_activity_t(h), (*C.char)(pointer(failureJSON)), size(failureJSON),
		C.uint32_t(timeoutMs), &err)
	return failure(status, err)
}

// ReportCancelled ends the activity as cancelled.
func (h Handle) ReportCancelled(encoding int32, details []byte, timeoutMs uint32) *Error {
	var err *C.thb_error_t
	status := C.thb_activity_report_cancelled(C.thb_activity_t(h), C.thb_encoding_t(encoding), pointer(details), size(details),
		C.uint32_t(timeoutMs), &err)
	return failure(status, err)
}

// Close ends the holding, whatever it returns.
func (h Handle) Close(timeoutMs uint32) *Error {
	var err *C.thb_error_t
	status := C.thb_activity_close(C.thb_activity_t(h), C.uint32_t(timeoutMs), &err)
	return failure(status, err)
}
