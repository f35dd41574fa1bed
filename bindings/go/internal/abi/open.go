//go:build unix && !temporal_heartbeat_static

package abi

/*
#cgo linux LDFLAGS: -ldl
#include <stdlib.h>
#include "library.h"
*/
import "C"

import "unsafe"

// Loads reports whether Open can open a library at a path.
const Loads = true

// Linked reports whether the library is part of the program.
func Linked() bool {
	return C.thb_go_is_linked() != 0
}

// maxMessage holds the longest message of the dynamic linker: a path, a symbol and a sentence.
const maxMessage = 8192

// Open loads the library at path, as dlopen understands it: the system's loader searches for a name without a slash. An empty path is
// the library that is part of the program. The caller makes one call at a time, and none after one has succeeded.
func Open(path string) *Error {
	message := (*C.char)(C.calloc(1, maxMessage))
	defer C.free(unsafe.Pointer(message))
	var status C.thb_status_t
	if path == "" {
		status = C.thb_go_open_linked(message, maxMessage)
	} else {
		cPath := C.CString(path)
		defer C.free(unsafe.Pointer(cPath))
		status = C.thb_go_open(cPath, message, maxMessage)
	}
	if status != C.THB_OK {
		return &Error{Status: int32(status), GRPCCode: NoGRPCCode, Message: C.GoString(message)}
	}
	return nil
}
