//go:build unix && go1.24

package abi

// The library calls back into nobody and keeps no pointer beyond its call. Told so, Go leaves the bytes that are passed where they are,
// on the stack for instance, and spares each call the preparations for being called back.

/*
#cgo noescape thb_go_activity_heartbeat
#cgo nocallback thb_go_activity_heartbeat
#cgo nocallback thb_go_activity_touch
#cgo nocallback thb_go_activity_get_signals
#include "library.h"
*/
import "C"
