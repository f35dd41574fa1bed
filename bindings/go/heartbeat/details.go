package heartbeat

import (
	"errors"
	"fmt"
	"time"

	"temporal-heartbeat.dev/go/internal/abi"
)

// ErrNoDetails is the error of [Details.Get] when there are no details.
var ErrNoDetails = errors.New("temporal-heartbeat: there are no heartbeat details")

// Details are the heartbeat details of an activity, as the server had them at the time of a request. They are immutable.
type Details struct {
	values             []Payload
	conversion         conversion // reads the values
	given              []any      // the values of NewDetails
	attempt            int32
	recordedAtUnixMs   int64
	heartbeatTimeoutMs int64
}

// NewDetails converts values to details, for [OpenOptions]. Don't change the values before [Open] returns.
func NewDetails(values ...any) (Details, error) {
	payloads, err := toPayloads(values)
	if err != nil {
		return Details{}, err
	}
	return Details{values: payloads, given: values, heartbeatTimeoutMs: -1}, nil
}

// newDetails converts details of the library, and decodes them with its codec.
func newDetails(c conversion, op string, native abi.Details) (Details, error) {
	values, err := parsePayloads(native.Payloads)
	if err != nil {
		return Details{}, localError(op, StatusInternal, "the details can't be read: "+err.Error(), err)
	}
	if values, err = c.decode(values); err != nil {
		return Details{}, fmt.Errorf("temporal-heartbeat: %s: %w", op, err)
	}
	return Details{
		values:             values,
		conversion:         c,
		attempt:            native.Attempt,
		recordedAtUnixMs:   native.RecordedAtUnixMs,
		heartbeatTimeoutMs: native.HeartbeatTimeoutMs,
	}, nil
}

// Has reports whether there are details.
func (d Details) Has() bool {
	return len(d.values) > 0
}

// Len returns the number of values.
func (d Details) Len() int {
	return len(d.values)
}

// Get converts the values, in order, into the variables that the pointers point to. The documentation of the package describes the
// conversion. A *[Payload] gets a value without conversion. As in the SDK the numbers of pointers and values may differ: surplus
// values are ignored, and surplus variables keep their values. Without any values the error is [ErrNoDetails].
//
// If a value can't be converted, the error is a *[ConversionError], and the variables before it are set.
func (d Details) Get(valuePtrs ...any) error {
	if !d.Has() {
		return ErrNoDetails
	}
	for i, ptr := range valuePtrs {
		if i == len(d.values) {
			break
		}
		if err := d.conversion.read(d.values[i], ptr); err != nil {
			err.Index = i
			return err
		}
	}
	return nil
}

// Payloads returns the values without conversion. Read them one by one with [Payload.Get].
func (d Details) Payloads() []Payload {
	values := make([]Payload, len(d.values))
	for i, value := range d.values {
		values[i] = value.clone()
	}
	return values
}

// Values returns the values without conversion, to record them again: act.RecordHeartbeat(details.Values()...). The result can also be the
// HeartbeatDetails of a [Failure].
func (d Details) Values() []any {
	values := make([]any, len(d.values))
	for i, value := range d.values {
		values[i] = value.clone()
	}
	return values
}

// Attempt returns the number of the current attempt, from 1; 0 if it is unknown.
func (d Details) Attempt() int32 {
	return d.attempt
}

// RecordedAt returns the time at which the server received the last heartbeat; the zero time if there was none.
func (d Details) RecordedAt() time.Time {
	if d.recordedAtUnixMs == 0 {
		return time.Time{}
	}
	return time.UnixMilli(d.recordedAtUnixMs)
}

// HeartbeatTimeout returns the heartbeat timeout of the activity, 0 if it has none, and whether the server returned it.
func (d Details) HeartbeatTimeout() (timeout time.Duration, known bool) {
	if d.heartbeatTimeoutMs < 0 {
		return 0, false
	}
	return fromMilliseconds(d.heartbeatTimeoutMs), true
}
