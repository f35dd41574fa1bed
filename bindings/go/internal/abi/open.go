//go:build unix && !temporal_heartbeat_static

package abi

/*
#cgo linux LDFLAGS: -ldl
#include <stdlib.h>
#include "library.h"
*/
import "C"

import "unsafe"

// Linked reports whether the library is part of the program.
const Linked = false

// maxMessage holds the longest message of the dynamic linker: a path, a symbol and a sentence.
const maxMessage = 8192

// Open loads the library at path, as dlopen understands it: the system's loader searches for a name without a slash. The caller
// makes one call at a time, and none after one has succeeded.
func Open(path string) *Error {
	cPath := C.CString(path)
	defer C.free(unsafe.Pointer(cPath))
	message := (*C.char)(C.calloc(1, maxMessage))
	defer C.free(unsafe.Pointer(message))
	if status := C.thb_go_open(cPath, message, maxMessage); status != C.THB_OK {
		return &Error{Status: int32(status), GRPCCode: NoGRPCCode, Message: C.GoString(message)}
	}
	return nil
}
