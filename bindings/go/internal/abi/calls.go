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

// Connect makes the client of the process.
func Connect(optionsJSON []byte) *Error {
	var err *C.thb_error_t
	status := C.thb_connect((*C.char)(pointer(optionsJSON)), size(optionsJSON), &err)
	return newError(status, err)
}

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

// Heartbeat sends one heartbeat and returns the signals of the server's answer.
func Heartbeat(token []byte, encoding int32, details []byte, timeoutMs uint32) (signals uint32, _ *Error) {
	var signalsOut C.uint32_t
	var err *C.thb_error_t
	status := C.thb_heartbeat(pointer(token), size(token), C.thb_encoding_t(encoding), pointer(details), size(details),
		C.uint32_t(timeoutMs), &signalsOut, &err)
	return uint32(signalsOut), newError(status, err)
}

// Complete completes an activity with a result.
func Complete(token []byte, encoding int32, result []byte, timeoutMs uint32) *Error {
	var err *C.thb_error_t
	status := C.thb_complete(pointer(token), size(token), C.thb_encoding_t(encoding), pointer(result), size(result),
		C.uint32_t(timeoutMs), &err)
	return newError(status, err)
}

// Fail fails an attempt.
func Fail(token, failureJSON []byte, timeoutMs uint32) *Error {
	var err *C.thb_error_t
	status := C.thb_fail(pointer(token), size(token), (*C.char)(pointer(failureJSON)), size(failureJSON),
		C.uint32_t(timeoutMs), &err)
	return newError(status, err)
}

// ReportCancelled ends an activity as cancelled.
func ReportCancelled(token []byte, encoding int32, details []byte, timeoutMs uint32) *Error {
	var err *C.thb_error_t
	status := C.thb_report_cancelled(pointer(token), size(token), C.thb_encoding_t(encoding), pointer(details), size(details),
		C.uint32_t(timeoutMs), &err)
	return newError(status, err)
}

// Details is the heartbeat state of an activity on the server.
type Details struct {
	Payloads           []byte // serialized temporal.api.common.v1.Payloads
	Attempt            int32  // 0: unknown
	RecordedAtUnixMs   int64  // 0: never
	HeartbeatTimeoutMs int64  // -1: unknown
}

// GetDetails requests the details of an activity from the server.
func GetDetails(token []byte, timeoutMs uint32) (Details, *Error) {
	var details *C.thb_details_t
	var err *C.thb_error_t
	status := C.thb_get_details(pointer(token), size(token), C.uint32_t(timeoutMs), &details, &err)
	return takeDetails(details, status, err)
}

// takeDetails copies details and frees them.
func takeDetails(details *C.thb_details_t, status C.thb_status_t, err *C.thb_error_t) (Details, *Error) {
	if status != C.THB_OK {
		return Details{}, newError(status, err)
	}
	defer C.thb_details_free(details)
	var length C.size_t
	payloads := C.thb_details_payloads(details, &length)
	return Details{
		Payloads:           copyBytes(payloads, length),
		Attempt:            int32(C.thb_details_attempt(details)),
		RecordedAtUnixMs:   int64(C.thb_details_recorded_at_unix_ms(details)),
		HeartbeatTimeoutMs: int64(C.thb_details_heartbeat_timeout_ms(details)),
	}, nil
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
