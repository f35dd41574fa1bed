//go:build unix

package abi

// #include "library.h"
import "C"

// Watch is a queue of the signal changes of many activities.
type Watch uint64

// SignalChange is the new signals of an activity.
type SignalChange struct {
	UserData uint64
	Signals  uint32
}

// OpenWatch returns an empty watch.
func OpenWatch() (Watch, *Error) {
	var watch C.thb_watch_t
	var err *C.thb_error_t
	status := C.thb_watch_open(&watch, &err)
	return Watch(watch), newError(status, err)
}

// Add adds an activity to the watch, until the activity is closed.
func (w Watch) Add(activity Handle, userData uint64) *Error {
	const everySignal = 1<<32 - 1
	var err *C.thb_error_t
	status := C.thb_watch_add(C.thb_watch_t(w), C.thb_activity_t(activity), everySignal, C.uint64_t(userData), &err)
	return newError(status, err)
}

// Next returns the next change; false: there is none. It doesn't wait.
func (w Watch) Next() (change SignalChange, ok bool, _ *Error) {
	var activity C.thb_activity_t
	var userData C.uint64_t
	var signals C.uint32_t
	var err *C.thb_error_t
	status := C.thb_watch_next(C.thb_watch_t(w), 0, &activity, &userData, &signals, &err)
	return SignalChange{uint64(userData), uint32(signals)}, activity != 0, newError(status, err)
}

// OpenFD returns a descriptor that is readable while Next has a change. The caller closes it.
func (w Watch) OpenFD() (int, *Error) {
	var fd C.int32_t
	var err *C.thb_error_t
	status := C.thb_watch_open_fd(C.thb_watch_t(w), &fd, &err)
	return int(fd), newError(status, err)
}

// Close closes the watch. Its activities stay open.
func (w Watch) Close() *Error {
	var err *C.thb_error_t
	status := C.thb_watch_close(C.thb_watch_t(w), &err)
	return newError(status, err)
}
