package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"temporal-heartbeat.dev/go/internal/abi"
)

// ErrNoDetails is what [Details.Get] returns when there are none.
var ErrNoDetails = errors.New("temporal-heartbeat: there are no heartbeat details")

// Details is what the server held about an activity's heartbeats when it was asked. It doesn't change, and any goroutine may
// read it.
type Details struct {
	values             []Payload
	attempt            int
	recordedAtUnixMs   int64
	heartbeatTimeoutMs int64
}

// GetDetails asks the server for the details of the last heartbeat, which may be that of an earlier attempt: where to resume.
// Having none is no error.
//
// Errors: [ErrNotFound] when the activity is over, not merely this attempt (compare [Details.Attempt]), [ErrTokenUnreadable],
// [ErrNotConnected], [ErrUnavailable], [ErrTimeout].
func GetDetails(ctx context.Context, taskToken []byte) (Details, error) {
	const op = "get details"
	token := slices.Clone(taskToken)
	// The codec that decodes is the one of the connection that the details come from.
	type read struct {
		held  abi.Details
		codec PayloadCodec
	}
	codecItself := func(codec PayloadCodec) (PayloadCodec, error) { return codec, nil }
	got, err := callEncoded(ctx, op, codecItself, func(codec PayloadCodec, timeoutMs uint32) (read, *abi.Error) {
		held, err := abi.GetDetails(token, timeoutMs)
		return read{held, codec}, err
	})
	if err != nil {
		return Details{}, err
	}
	return detailsOf(got.codec, op, got.held)
}

func detailsOf(codec PayloadCodec, op string, held abi.Details) (Details, error) {
	values, err := parsePayloads(held.Payloads)
	if err != nil {
		return Details{}, refused(op, StatusInternal, "the details can't be read: "+err.Error(), err)
	}
	if values, err = decoded(codec, values); err != nil {
		return Details{}, fmt.Errorf("temporal-heartbeat: %s: %w", op, err)
	}
	return Details{
		values:             values,
		attempt:            int(held.Attempt),
		recordedAtUnixMs:   held.RecordedAtUnixMs,
		heartbeatTimeoutMs: held.HeartbeatTimeoutMs,
	}, nil
}

// Has tells whether there are any details.
func (d Details) Has() bool {
	return len(d.values) > 0
}

// Len is the number of values.
func (d Details) Len() int {
	return len(d.values)
}

// Get reads the values, in order, into what the pointers point to, converted as the package's documentation says. As in the
// official SDK there may be fewer pointers than values, or more, of which the rest is left as it is; but no values at all is
// [ErrNoDetails]. A *[Payload] takes a value as it is.
//
// When a value doesn't fit, the error is a *[ConversionError], and what the earlier pointers point to has been written.
func (d Details) Get(valuePtrs ...any) error {
	if !d.Has() {
		return ErrNoDetails
	}
	for i, ptr := range valuePtrs {
		if i == len(d.values) {
			break
		}
		if err := d.values[i].read(ptr); err != nil {
			err.Index = i
			return err
		}
	}
	return nil
}

// Payloads gives the values as they are, for passing them on or reading them one by one with [Payload.Get].
func (d Details) Payloads() []Payload {
	values := make([]Payload, len(d.values))
	for i, value := range d.values {
		values[i] = value.clone()
	}
	return values
}

// Attempt is the number of the attempt that the server has now, from 1; 0 when it didn't tell.
func (d Details) Attempt() int {
	return d.attempt
}

// RecordedAt is when the server took the last heartbeat; the zero time when it had none.
func (d Details) RecordedAt() time.Time {
	if d.recordedAtUnixMs == 0 {
		return time.Time{}
	}
	return time.UnixMilli(d.recordedAtUnixMs)
}

// HeartbeatTimeout is the longest time between two heartbeats before the server gives the attempt up: 0 when there is no such
// timeout. It is unknown when the server doesn't tell.
func (d Details) HeartbeatTimeout() (timeout time.Duration, known bool) {
	if d.heartbeatTimeoutMs < 0 {
		return 0, false
	}
	return time.Duration(d.heartbeatTimeoutMs) * time.Millisecond, true
}
