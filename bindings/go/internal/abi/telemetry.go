//go:build unix

package abi

// #include "library.h"
import "C"

import "unsafe"

// Metrics reads the process's metrics as text.
func Metrics() ([]byte, *Error) {
	var text *C.thb_text_t
	var err *C.thb_error_t
	status := C.thb_get_metrics(&text, &err)
	return bytesOf(text), failure(status, err)
}

// NextLog takes the oldest log record, for which it waits; nil: there is none.
func NextLog(timeoutMs uint32) ([]byte, *Error) {
	var text *C.thb_text_t
	var err *C.thb_error_t
	status := C.thb_log_next(C.uint32_t(timeoutMs), &text, &err)
	return bytesOf(text), failure(status, err)
}

// bytesOf copies a text that C gave, if any, and frees it.
func bytesOf(text *C.thb_text_t) []byte {
	defer C.thb_text_free(text)
	var length C.size_t
	data := C.thb_text_data(text, &length)
	return copied(unsafe.Pointer(data), length)
}
