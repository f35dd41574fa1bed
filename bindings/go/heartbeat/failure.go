package heartbeat

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"
)

// Failure is an error that sets more of a failure than its text: [Fail] and [Activity.Fail] use its fields. The workflow receives it as an
// application error. U+FFFD replaces text that isn't valid UTF-8.
type Failure struct {
	Message string
	// Type names the kind of failure, for retry policies and workflows.
	Type string
	// NonRetryable prevents further attempts under any retry policy.
	NonRetryable bool
	// Details are values for the workflow.
	Details []any
	// NextRetryDelay is the wait before the next attempt. 0: the retry policy decides.
	NextRetryDelay time.Duration
	// Category is how workers and clients log and count the failure. Empty: as an error.
	Category   FailureCategory
	StackTrace string
	// Source names the origin of the failure, for people. Empty: "temporal-heartbeat".
	Source string
	// Cause is the failure that caused this one.
	Cause *Failure
	// HeartbeatDetails become the last heartbeat details of the activity, in the same request: a heartbeat sent just before a
	// failure can be lost. For a standalone activity they are also sent as a heartbeat before the failure. Empty: the server keeps
	// its details. A Cause can't have any.
	HeartbeatDetails []any
}

// Error returns the message.
func (f Failure) Error() string {
	return f.Message
}

// Unwrap returns the cause; nil if there is none.
func (f Failure) Unwrap() error {
	if f.Cause == nil {
		return nil
	}
	return *f.Cause
}

// FailureCategory is how workers and clients log and count a failure.
type FailureCategory string

// CategoryBenign is the category of an expected failure, which isn't logged or counted as an error.
const CategoryBenign FailureCategory = "benign"

// maxCauses bounds the causes that FailureFrom returns.
const maxCauses = 8

// FailureFrom converts an error as Temporal's SDK does: its text, the name of its type (none for errors.New), and as causes the nearest 8
// errors that it wraps. It returns a [Failure] unchanged, and the zero Failure for a nil error. [Fail] and [Activity.Fail] call it: call it
// yourself only to change the result.
//
// From an error of the SDK it copies all fields: those of temporal.ApplicationError, and the details of temporal.TimeoutError and
// temporal.CanceledError. As in the SDK, a wrapped ApplicationError is a cause, and its NonRetryable doesn't prevent further attempts.
// A nil among the details of an ApplicationError hides those after it, which become nil.
func FailureFrom(err error) Failure {
	return failureFrom(err, maxCauses)
}

func failureFrom(err error, causes int) Failure {
	switch err := err.(type) {
	case nil:
		return Failure{}
	case Failure:
		return err
	case *Failure:
		return *err
	}
	failure := Failure{Message: err.Error(), Type: typeName(err)}
	failure.addSDKError(err)
	if wrapped := errors.Unwrap(err); wrapped != nil && causes > 0 {
		cause := failureFrom(wrapped, causes-1)
		failure.Cause = &cause
	}
	return failure
}

// errorsNewType is the type of the result of errors.New.
var errorsNewType = reflect.TypeOf(errors.New(""))

func typeName(err error) string {
	t := reflect.TypeOf(err)
	if t == errorsNewType {
		return ""
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Name()
}

// failureJSON is a failure in the JSON of the library. encoding/json writes the Payloads as base64.
type failureJSON struct {
	Message          string       `json:"message,omitempty"`
	Type             string       `json:"type,omitempty"`
	NonRetryable     bool         `json:"non_retryable,omitempty"`
	Details          []byte       `json:"details_payloads,omitempty"`
	NextRetryDelayMs int64        `json:"next_retry_delay_ms,omitempty"`
	Category         string       `json:"category,omitempty"`
	StackTrace       string       `json:"stack_trace,omitempty"`
	Source           string       `json:"source,omitempty"`
	Attributes       []byte       `json:"encoded_attributes,omitempty"`
	Cause            *failureJSON `json:"cause,omitempty"`
	HeartbeatDetails []byte       `json:"heartbeat_details_payloads,omitempty"`
}

// commonAttributes are the attributes of a failure that [Options] can encode. The SDKs write and read this JSON.
type commonAttributes struct {
	Message    string `json:"message"`
	StackTrace string `json:"stack_trace"`
}

// failureToSend converts the error that a caller passed to Fail.
func failureToSend(err error, op string) (Failure, error) {
	if failure, ok := err.(*Failure); err == nil || ok && failure == nil {
		return Failure{}, localError(op, StatusInvalidArgument, "the error is nil: a successful attempt ends with Complete", nil)
	}
	return FailureFrom(err), nil
}

// marshal returns the failure in the JSON of the library.
func (f Failure) marshal(c conversion, op string) ([]byte, error) {
	tree, err := f.toJSON(c, "", 0)
	if err != nil {
		return nil, localError(op, StatusInvalidArgument, err.Error(), err)
	}
	data, err := json.Marshal(tree)
	if err != nil {
		panic(err) // strings, numbers and bytes always marshal
	}
	return data, nil
}

// maxDepth bounds the causes, which may form a cycle. The library accepts fewer.
const maxDepth = 64

// toJSON converts a failure. path is its path from the outermost failure, for errors.
func (f Failure) toJSON(c conversion, path string, depth int) (*failureJSON, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("more than %d causes", maxDepth)
	}
	details, err := c.toPayloads(f.Details)
	if err != nil {
		return nil, fmt.Errorf("%sDetails: %w", path, err)
	}
	heartbeatDetails, err := c.toPayloads(f.HeartbeatDetails)
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
		NextRetryDelayMs: toMilliseconds(f.NextRetryDelay),
		Category:         string(f.Category),
		StackTrace:       f.StackTrace,
		Source:           f.Source,
		HeartbeatDetails: appendPayloads(nil, heartbeatDetails),
	}
	if c.encodesFailures && !c.isDefault() { // otherwise the library encodes them
		attributes, err := c.toPayloads([]any{commonAttributes{f.Message, f.StackTrace}})
		if err == nil && len(attributes) != 1 {
			err = fmt.Errorf("%d payloads", len(attributes))
		}
		if err != nil {
			return nil, fmt.Errorf("%sMessage can't be encoded: %w", path, err)
		}
		tree.Attributes = attributes[0].marshal()
		tree.Message, tree.StackTrace = "Encoded failure", ""
	}
	if f.Cause != nil {
		tree.Cause, err = f.Cause.toJSON(c, path+"Cause.", depth+1)
	}
	return tree, err
}
