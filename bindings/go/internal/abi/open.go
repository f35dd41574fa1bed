//go:build unix && !temporal_heartbeat_static

package abi

/*
#cgo linux LDFLAGS: -ldl
#include <stdlib.h>
#include "library.h"
*/
import "C"

import "unsafe"

// Linked says that the library is part of the program, and there is nothing to look for.
const Linked = false

// whyMax is room for what the dynamic linker says: a path, a symbol and a sentence.
const whyMax = 8192

// Open loads the library at path, as dlopen understands it: a name without a slash is the system loader's to find. It gives
// status 0, or another and why. The caller sees to it that only one Open runs at a time, and none after it has succeeded.
func Open(path string) (status int32, why string) {
	cPath := C.CString(path)
	defer C.free(unsafe.Pointer(cPath))
	buffer := (*C.char)(C.calloc(1, whyMax))
	defer C.free(unsafe.Pointer(buffer))
	if s := C.thb_go_open(cPath, buffer, whyMax); s != C.THB_OK {
		return int32(s), C.GoString(buffer)
	}
	return C.THB_OK, ""
}
