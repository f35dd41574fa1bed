//go:build unix

// Package abi is the C side of package heartbeat: it opens the native library and calls its functions, with Go's types on this side. It
// copies what C owns, frees it, and decides nothing.
//
// Every function but [Open] may only be called after Open has succeeded once; then any goroutine may call anything.
package abi

/*
#cgo linux LDFLAGS: -ldl
#include <stdlib.h>
#include "library.h"
*/
import "C"

import "unsafe"

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

// Version is the library's own.
func Version() string {
	return C.GoString(C.thb_version())
}

// StatusName gives the name of a status as the header has it.
func StatusName(status int32) string {
	return C.GoString(C.thb_status_name(C.thb_status_t(status)))
}
