//go:build unix

package abi

// #include "library.h"
import "C"

import "unsafe"

// Queue receives the answers of calls that wait for the server.
type Queue uint64

// OpenQueue returns an empty queue.
func OpenQueue() (Queue, *Error) {
	var queue C.thb_queue_t
	var err *C.thb_error_t
	status := C.thb_queue_open(&queue, &err)
	return Queue(queue), newError(status, err)
}

// The calls of a [Request].
const (
	Connect                 = C.THB_GO_CONNECT
	Heartbeat               = C.THB_GO_HEARTBEAT
	GetDetails              = C.THB_GO_GET_DETAILS
	Complete                = C.THB_GO_COMPLETE
	Fail                    = C.THB_GO_FAIL
	ReportCancelled         = C.THB_GO_REPORT_CANCELLED
	ActivityGetDetails      = C.THB_GO_ACTIVITY_GET_DETAILS
	ActivityFlush           = C.THB_GO_ACTIVITY_FLUSH
	ActivityComplete        = C.THB_GO_ACTIVITY_COMPLETE
	ActivityFail            = C.THB_GO_ACTIVITY_FAIL
	ActivityReportCancelled = C.THB_GO_ACTIVITY_REPORT_CANCELLED
	ActivityClose           = C.THB_GO_ACTIVITY_CLOSE
)

// Request is a call that waits for the server. The call decides which of the other fields it reads.
type Request struct {
	Call     int32
	Activity Handle
	Token    []byte
	Encoding int32  // of Data, if that is a value
	Data     []byte // details, a result, or JSON
}

// Submit begins a call and copies its request. If it returns nil, exactly one answer with this user data follows.
func (q Queue) Submit(userData uint64, r *Request, timeoutMs uint32) *Error {
	token, data := (*C.uchar)(unsafe.SliceData(r.Token)), (*C.uchar)(unsafe.SliceData(r.Data))
	result := C.thb_go_queue_submit(C.thb_queue_t(q), C.uint64_t(userData), C.int(r.Call), C.thb_activity_t(r.Activity),
		token, size(r.Token), C.thb_encoding_t(r.Encoding), data, size(r.Data), C.uint32_t(timeoutMs))
	return newError(result.status, result.error)
}

// Cancel ends the call with this user data, if it is in progress. Its answer still follows.
func (q Queue) Cancel(userData uint64) {
	C.thb_queue_cancel(C.thb_queue_t(q), C.uint64_t(userData), nil)
}

// Answer is the result of a call.
type Answer struct {
	Signals uint32
	Details Details
	Err     *Error
}

// Answers are the results of several calls. They belong to C until Free.
type Answers struct {
	UserData []uint64
	batch    C.thb_go_batch_t
}

// Next takes all answers that there are. It waits until there is one.
func (q Queue) Next() (Answers, *Error) {
	batch := C.thb_go_queue_next(C.thb_queue_t(q))
	userData := unsafe.Slice((*uint64)(batch.user_data), batch.count)
	return Answers{userData, batch}, newError(batch.status, batch.error)
}

// At returns a copy of one answer.
func (a *Answers) At(i int) Answer {
	index := C.size_t(i)
	if status := unsafe.Slice(a.batch.statuses, a.batch.count)[i]; status != C.THB_OK {
		return Answer{Err: copyError(status, C.thb_completions_error(a.batch.completions, index))}
	}
	answer := Answer{Signals: uint32(unsafe.Slice(a.batch.signals, a.batch.count)[i])}
	if a.batch.has_details != 0 {
		if details := C.thb_completions_details(a.batch.completions, index); details != nil {
			answer.Details = copyDetails(details)
		}
	}
	return answer
}

// Free frees all answers.
func (a *Answers) Free() {
	C.thb_completions_free(a.batch.completions)
}
