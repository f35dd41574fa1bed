//go:build unix && temporal_heartbeat_static

package abi

/*
#cgo pkg-config: temporal_heartbeat-static
#cgo linux LDFLAGS: -static-libgcc
#include "library.h"
*/
import "C"

import "fmt"

// Linked says that the library is part of the program, and there is nothing to look for.
const Linked = true

// Open sees to it that what is linked is what this package was written for; path has no meaning.
func Open(path string) (status int32, why string) {
	const ours = C.THB_ABI_VERSION
	if s := C.thb_check_abi(ours); s != C.THB_OK {
		theirs := C.thb_abi_version()
		return int32(s), fmt.Sprintf("it has ABI version %d.%d, this program was built for %d.%d", theirs>>16, theirs&0xffff, ours>>16, ours&0xffff)
	}
	return C.THB_OK, ""
}
