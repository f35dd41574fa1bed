//go:build unix

package abi

// #include "library.h"
import "C"

import "unsafe"

// Handle identifies an open activity. A call with a handle that was closed, or never opened, returns an error.
type Handle uint64

// OpenActivity opens an activity.
func OpenActivity(token, optionsJSON []byte) (Handle, *Error) {
	var handle C.thb_activity_t
	var err *C.thb_error_t
	status := C.thb_activity_open(pointer(token), size(token), (*C.char)(pointer(optionsJSON)), size(optionsJSON), &handle, &err)
	return Handle(handle), newError(status, err)
}

// The next three calls never block: see annotations.go.

// Record copies the details for the next heartbeat and returns the signals known by now.
func (h Handle) Record(encoding int32, details []byte) (signals uint32, _ *Error) {
	data := (*C.uchar)(unsafe.SliceData(details))
	return newResult(C.thb_go_activity_heartbeat(C.thb_activity_t(h), C.thb_encoding_t(encoding), data, size(details)))
}

// Touch reports progress without details and returns the signals known by now.
func (h Handle) Touch() (signals uint32, _ *Error) {
	return newResult(C.thb_go_activity_touch(C.thb_activity_t(h)))
}

// Signals returns the signals known by now.
func (h Handle) Signals() (signals uint32, _ *Error) {
	return newResult(C.thb_go_activity_get_signals(C.thb_activity_t(h)))
}

// SetStatus sets what the work is doing.
func (h Handle) SetStatus(text string) *Error {
	var err *C.thb_error_t
	status := C.thb_activity_set_status(C.thb_activity_t(h), (*C.char)(unsafe.Pointer(unsafe.StringData(text))), C.size_t(len(text)), &err)
	return newError(status, err)
}

func newResult(result C.thb_go_result_t) (signals uint32, _ *Error) {
	return uint32(result.signals), newError(result.status, result.error)
}

// Details returns the details that the activity had when it was opened, if they are known. It doesn't ask the server.
func (h Handle) Details() (Details, *Error) {
	var details *C.thb_details_t
	var err *C.thb_error_t
	status := C.thb_activity_get_details(C.thb_activity_t(h), 0, &details, &err)
	if status != C.THB_OK {
		return Details{}, newError(status, err)
	}
	defer C.thb_details_free(details)
	return copyDetails(details), nil
}

// Info returns the state of the activity as a JSON object.
func (h Handle) Info() ([]byte, *Error) {
	var text *C.thb_text_t
	var err *C.thb_error_t
	status := C.thb_activity_get_info(C.thb_activity_t(h), &text, &err)
	return takeText(text, status, err)
}

// Close closes the handle without sending anything, also when it returns an error.
func (h Handle) Close() *Error {
	var err *C.thb_error_t
	status := C.thb_activity_close(C.thb_activity_t(h), 0, &err)
	return newError(status, err)
}
