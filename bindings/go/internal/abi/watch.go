//go:build unix

package abi

// #include "library.h"
import "C"

// Watch is one waiter for the signals of many activities.
type Watch uint64

// News is an activity whose signals have changed.
type News struct {
	UserData uint64
	Signals  uint32
}

// OpenWatch makes a watch of nothing yet.
func OpenWatch() (Watch, *Error) {
	var watch C.thb_watch_t
	var err *C.thb_error_t
	status := C.thb_watch_open(&watch, &err)
	return Watch(watch), failure(status, err)
}

// Add has the watch tell of any change of an activity's signals, until the activity is closed.
func (w Watch) Add(activity Handle, userData uint64) *Error {
	const everySignal = 1<<32 - 1
	var err *C.thb_error_t
	status := C.thb_watch_add(C.thb_watch_t(w), C.thb_activity_t(activity), everySignal, C.uint64_t(userData), &err)
	return failure(status, err)
}

// Next gives the next news, if there are any. It doesn't wait.
func (w Watch) Next() (news News, any bool, _ *Error) {
	var activity C.thb_activity_t
	var userData C.uint64_t
	var signals C.uint32_t
	var err *C.thb_error_t
	status := C.thb_watch_next(C.thb_watch_t(w), 0, &activity, &userData, &signals, &err)
	return News{uint64(userData), uint32(signals)}, activity != 0, failure(status, err)
}

// OpenFD gives a descriptor of the caller's own that is readable while Next has something.
func (w Watch) OpenFD() (int, *Error) {
	var fd C.int32_t
	var err *C.thb_error_t
	status := C.thb_watch_open_fd(C.thb_watch_t(w), &fd, &err)
	return int(fd), failure(status, err)
}

// Close ends the watch; its activities stay open.
func (w Watch) Close() *Error {
	var err *C.thb_error_t
	status := C.thb_watch_close(C.thb_watch_t(w), &err)
	return failure(status, err)
}
