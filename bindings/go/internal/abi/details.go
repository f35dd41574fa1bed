//go:build unix

package abi

// #include "library.h"
import "C"

// Details is what the server holds about an activity's heartbeats.
type Details struct {
	Payloads           []byte // serialized temporal.api.common.v1.Payloads
	Attempt            int32  // 0: unknown
	RecordedAtUnixMs   int64  // 0: never
	HeartbeatTimeoutMs int64  // -1: not told
}

// GetDetails asks the server for them.
func GetDetails(token []byte, timeoutMs uint32) (Details, *Error) {
	var details *C.thb_details_t
	var err *C.thb_error_t
	status := C.thb_get_details(pointer(token), size(token), C.uint32_t(timeoutMs), &details, &err)
	return taken(details, status, err)
}

// taken reads details that the caller owns, and frees them.
func taken(details *C.thb_details_t, status C.thb_status_t, err *C.thb_error_t) (Details, *Error) {
	if status != C.THB_OK {
		return Details{}, failure(status, err)
	}
	defer C.thb_details_free(details)
	var length C.size_t
	payloads := C.thb_details_payloads(details, &length)
	return Details{
		Payloads:           copied(payloads, length),
		Attempt:            int32(C.thb_details_attempt(details)),
		RecordedAtUnixMs:   int64(C.thb_details_recorded_at_unix_ms(details)),
		HeartbeatTimeoutMs: int64(C.thb_details_heartbeat_timeout_ms(details)),
	}, nil
}
