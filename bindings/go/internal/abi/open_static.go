//go:build unix && temporal_heartbeat_static

package abi

/*
#cgo pkg-config: temporal_heartbeat-static
#cgo linux LDFLAGS: -static-libgcc
#cgo CFLAGS: -DTHB_GO_STATIC
#include "library.h"
*/
import "C"

import "fmt"

// Loads reports whether Open can open a library at a path.
const Loads = false

// Linked reports whether the library is part of the program.
func Linked() bool {
	return true
}

// Open checks the ABI version of the library that is part of the program. It ignores path.
func Open(path string) *Error {
	const ours = C.THB_ABI_VERSION
	if status := C.thb_check_abi(ours); status != C.THB_OK {
		theirs := ABIVersion()
		message := fmt.Sprintf("it has ABI version %d.%d, this program was built for %d.%d", theirs>>16, theirs&0xffff, ours>>16, ours&0xffff)
		return &Error{Status: int32(status), GRPCCode: NoGRPCCode, Message: message}
	}
	return nil
}
