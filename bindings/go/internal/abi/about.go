//go:build unix

// Package abi is the C side of package heartbeat: it opens the native library and calls its functions, with Go's types on this side. It
// copies what C owns, frees it, and decides nothing.
//
// Every function but [Open] may only be called after Open has succeeded once; then any goroutine may call anything.
package abi

// #include "library.h"
import "C"

// Version is the library's own.
func Version() string {
	return C.GoString(C.thb_version())
}

// StatusName gives the name of a status as the header has it.
func StatusName(status int32) string {
	return C.GoString(C.thb_status_name(C.thb_status_t(status)))
}
