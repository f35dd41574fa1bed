package heartbeat

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"
)

// Failure says why an attempt failed; the workflow sees it as an application error. Only Message is usual to set. Text that isn't
// valid UTF-8 is sent with U+FFFD in its place.
type Failure struct {
	Message string
	// Type is a name for the kind of failure, which retry policies and workflows look at.
	Type string
	// NonRetryable: no further attempt, whatever the retry policy says.
	NonRetryable bool
	// Details are values for the workflow.
	Details []any
	// NextRetryDelay is the wait before the next attempt, instead of the retry policy's; 0: the policy's.
	NextRetryDelay time.Duration
	StackTrace     string
	// Source says where the failure comes from, for people to read. Empty: "temporal-heartbeat".
	Source string
	// Cause is the failure behind this one.
	Cause *Failure
	// HeartbeatDetails become the activity's last heartbeat details together with the failure, in one step: a heartbeat sent
	// just before a failure can be lost. For a standalone activity they are sent as a heartbeat, too, before the failure. Empty: the
	// server keeps what it has. A Cause can't have any.
	HeartbeatDetails []any
}

// maxCauses bounds the chain of causes that FailureFrom makes.
const maxCauses = 8

// FailureFrom describes an error as the official SDK does: by its text, the name of its type (none for errors.New), and the errors
// that it wraps, the nearest 8 of them, as causes. A nil error gives the zero Failure.
func FailureFrom(err error) Failure {
	return failureFrom(err, maxCauses)
}

func failureFrom(err error, causes int) Failure {
	if err == nil {
		return Failure{}
	}
	failure := Failure{Message: err.Error(), Type: typeName(err)}
	if wrapped := errors.Unwrap(err); wrapped != nil && causes > 0 {
		cause := failureFrom(wrapped, causes-1)
		failure.Cause = &cause
	}
	return failure
}

// plainError is the type that errors.New makes, whose name tells nothing.
var plainError = reflect.TypeOf(errors.New(""))

func typeName(err error) string {
	t := reflect.TypeOf(err)
	if t == plainError {
		return ""
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Name()
}

// failureJSON is a failure as the library reads it. Values are Payloads, which encoding/json writes as base64.
type failureJSON struct {
	Message          string       `json:"message,omitempty"`
	Type             string       `json:"type,omitempty"`
	NonRetryable     bool         `json:"non_retryable,omitempty"`
	Details          []byte       `json:"details_payloads,omitempty"`
	NextRetryDelayMs int64        `json:"next_retry_delay_ms,omitempty"`
	StackTrace       string       `json:"stack_trace,omitempty"`
	Source           string       `json:"source,omitempty"`
	Cause            *failureJSON `json:"cause,omitempty"`
	HeartbeatDetails []byte       `json:"heartbeat_details_payloads,omitempty"`
}

func (f Failure) json(codec PayloadCodec, op string) ([]byte, error) {
	tree, err := f.tree(codec, "", 0)
	if err != nil {
		return nil, refused(op, StatusInvalidArgument, err.Error(), err)
	}
	data, err := json.Marshal(tree)
	if err != nil {
		panic(err) // strings, numbers and bytes always marshal
	}
	return data, nil
}

// maxDepth stops at a chain of causes that bites its own tail; the library takes fewer.
const maxDepth = 64

// tree converts a failure; path says where it stands, for errors.
func (f Failure) tree(codec PayloadCodec, path string, depth int) (*failureJSON, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("more than %d causes", maxDepth)
	}
	details, err := encodedPayloadsOf(codec, f.Details)
	if err != nil {
		return nil, fmt.Errorf("%sDetails: %w", path, err)
	}
	heartbeatDetails, err := encodedPayloadsOf(codec, f.HeartbeatDetails)
	if err != nil {
		return nil, fmt.Errorf("%sHeartbeatDetails: %w", path, err)
	}
	if depth > 0 && len(heartbeatDetails) > 0 {
		return nil, fmt.Errorf("%sHeartbeatDetails: a cause can't have any", path)
	}
	tree := &failureJSON{
		Message:          f.Message,
		Type:             f.Type,
		NonRetryable:     f.NonRetryable,
		Details:          appendPayloads(nil, details),
		NextRetryDelayMs: wholeMilliseconds(f.NextRetryDelay),
		StackTrace:       f.StackTrace,
		Source:           f.Source,
		HeartbeatDetails: appendPayloads(nil, heartbeatDetails),
	}
	if f.Cause != nil {
		tree.Cause, err = f.Cause.tree(codec, path+"Cause.", depth+1)
	}
	return tree, err
}
