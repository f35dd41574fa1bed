//go:build unix && go1.24

package abi

// The library never calls back into Go and keeps no pointer after a call. With these annotations Go leaves the bytes that it passes
// on its stack, and doesn't prepare for a callback.

/*
#cgo noescape thb_go_activity_heartbeat
#cgo nocallback thb_go_activity_heartbeat
#cgo nocallback thb_go_activity_touch
#cgo nocallback thb_go_activity_get_signals
#cgo noescape thb_go_queue_submit
#cgo nocallback thb_go_queue_submit
#include "library.h"
*/
import "C"
