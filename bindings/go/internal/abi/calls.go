//go:build unix

package abi

// #include "library.h"
import "C"

// The values of thb_encoding_t that package heartbeat sends.
const (
	EncodingNone     = C.THB_ENCODING_NONE
	EncodingJSON     = C.THB_ENCODING_JSON
	EncodingBinary   = C.THB_ENCODING_BINARY
	EncodingPayloads = C.THB_ENCODING_PAYLOADS
)

// The functions below read their byte slices until they return. The caller must not write to them before.

// Reconfigure changes the credentials of the client.
func Reconfigure(optionsJSON []byte) *Error {
	var err *C.thb_error_t
	status := C.thb_reconfigure((*C.char)(pointer(optionsJSON)), size(optionsJSON), &err)
	return newError(status, err)
}

// Disconnect ends the client.
func Disconnect(timeoutMs uint32) *Error {
	var err *C.thb_error_t
	status := C.thb_disconnect(C.uint32_t(timeoutMs), &err)
	return newError(status, err)
}

// Details is the heartbeat state of an activity on the server.
type Details struct {
	Payloads           []byte // serialized temporal.api.common.v1.Payloads, after the codec server
	Attempt            int32  // 0: unknown
	RecordedAtUnixMs   int64  // 0: never
	HeartbeatTimeoutMs int64  // -1: unknown
}

func copyDetails(details *C.thb_details_t) Details {
	var length C.size_t
	payloads := C.thb_details_decoded_payloads(details, &length)
	return Details{
		Payloads:           copyBytes(payloads, length),
		Attempt:            int32(C.thb_details_attempt(details)),
		RecordedAtUnixMs:   int64(C.thb_details_recorded_at_unix_ms(details)),
		HeartbeatTimeoutMs: int64(C.thb_details_heartbeat_timeout_ms(details)),
	}
}

// TokenFromEnv reads the task token that the parent process handed over in the environment.
func TokenFromEnv() ([]byte, *Error) {
	var text *C.thb_text_t
	var err *C.thb_error_t
	status := C.thb_token_from_env(&text, &err)
	return takeText(text, status, err)
}

// TokenFromIDs makes a task token from the ids in JSON.
func TokenFromIDs(idsJSON []byte, timeoutMs uint32) ([]byte, *Error) {
	var text *C.thb_text_t
	var err *C.thb_error_t
	status := C.thb_token_from_ids((*C.char)(pointer(idsJSON)), size(idsJSON), C.uint32_t(timeoutMs), &text, &err)
	return takeText(text, status, err)
}

// Metrics returns the metrics of the process in Prometheus's text format.
func Metrics() ([]byte, *Error) {
	var text *C.thb_text_t
	var err *C.thb_error_t
	status := C.thb_get_metrics(&text, &err)
	return takeText(text, status, err)
}

// NextLog removes the oldest log record and returns it. It waits up to timeoutMs for one; nil: there was none.
func NextLog(timeoutMs uint32) ([]byte, *Error) {
	var text *C.thb_text_t
	var err *C.thb_error_t
	status := C.thb_log_next(C.uint32_t(timeoutMs), &text, &err)
	return takeText(text, status, err)
}
