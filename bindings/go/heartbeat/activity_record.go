package heartbeat

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"sync"

	"temporal-heartbeat.dev/go/internal/abi"
)

// RecordHeartbeat records how far the work got, and gives the signals known by now. It never waits for the network: the details
// are copied, the first go out at once, later ones when a heartbeat is due, and the newest win. What was recorded last is always
// sent.
//
// A signal that cancels Context has done so when RecordHeartbeat returns: after the process was frozen for longer than the heartbeat
// timeout, the first call already tells of [SignalLeaseLost].
//
// At least one detail is needed (nil is one), since a heartbeat without any would erase what a retry resumes from; Touch tells
// progress without details.
//
// Errors: [ErrNotFound] when the activity is over (stop the work), [ErrEnded] after it was ended here, [ErrTooLarge],
// [ErrInvalidArgument], [ErrInvalidHandle] after Close.
func (a *Activity) RecordHeartbeat(details ...any) (Signals, error) {
	if len(details) == 1 {
		if data, ok := details[0].([]byte); ok && a.codec == nil {
			return a.RecordBytes(data)
		}
	}
	return a.recordValues(details)
}

// RecordBytes is RecordHeartbeat for one []byte, and the cheapest: it spares the allocation that passing it as an any takes.
func (a *Activity) RecordBytes(details []byte) (Signals, error) {
	if a.codec != nil {
		return a.recordValues([]any{details})
	}
	return a.record(abi.EncodingBinary, details)
}

// recordValues records details that have to be converted.
func (a *Activity) recordValues(details []any) (Signals, error) {
	const op = opRecord
	if len(details) == 0 {
		return 0, refused(op, StatusInvalidArgument,
			"no details: a heartbeat without details erases those that the server holds; give some, or call Touch", nil)
	}
	buffer := buffers.Get().(*bytes.Buffer)
	defer recycle(buffer)
	encoding, data, err := encodeInto(buffer, a.codec, op, details)
	if err != nil {
		return 0, err
	}
	return a.record(encoding, data)
}

const opRecord = "record heartbeat"

func (a *Activity) record(encoding int32, data []byte) (Signals, error) {
	known, err := a.handle.Record(encoding, data)
	if signals := Signals(known); err == nil && signals&a.stopOn == 0 {
		return signals, nil // the usual case, and quick
	}
	return a.told(opRecord, Signals(known), err)
}

// Touch tells progress without details: the stall timeout begins anew. Otherwise it is like RecordHeartbeat.
func (a *Activity) Touch() (Signals, error) {
	signals, err := a.handle.Touch()
	return a.told("touch", Signals(signals), err)
}

// Signals gives the signals known by now, also after the activity was ended; after Close the last ones. It costs little.
func (a *Activity) Signals() Signals {
	known, err := a.handle.Signals()
	if err != nil {
		return Signals(a.last.Load())
	}
	a.last.Store(known)
	signals, _ := a.told("signals", Signals(known), nil)
	return signals
}

// told acts on what a call answered.
func (a *Activity) told(op string, signals Signals, err *abi.Error) (Signals, error) {
	switch {
	case err == nil:
		a.stop(signals)
	case Status(err.Status) == StatusNotFound:
		a.stop(SignalGone)
	}
	return signals, failed(op, err)
}

// stop cancels the context if the signals say so.
func (a *Activity) stop(signals Signals) {
	if cause := stopCause(signals & a.stopOn); cause != nil {
		a.cancel(cause)
	}
}

// Wait waits until one of the given signals is set, and gives all that are. It holds no thread meanwhile.
//
// Errors: that of ctx, [ErrInvalidHandle] after Close.
func (a *Activity) Wait(ctx context.Context, mask Signals) (Signals, error) {
	return a.waitUntil(ctx, "wait", func(signals Signals) bool { return signals&mask != 0 })
}

// WaitCleared waits until none of the given signals is set (any more): for the end of [SignalPaused], for example. Otherwise it is
// like Wait. Some signals stay for ever.
func (a *Activity) WaitCleared(ctx context.Context, mask Signals) (Signals, error) {
	return a.waitUntil(ctx, "wait", func(signals Signals) bool { return signals&mask == 0 })
}

func (a *Activity) waitUntil(ctx context.Context, op string, done func(Signals) bool) (Signals, error) {
	for {
		a.mu.Lock()
		changed := a.changed
		a.mu.Unlock()
		// Asked after the channel was taken, so that no change gets lost in between.
		known, err := a.handle.Signals()
		signals, failure := a.told(op, Signals(known), err)
		if failure != nil || done(signals) {
			return signals, failure
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return signals, ended(ctx, op)
		}
	}
}

// wake has those look again who wait for other signals.
func (a *Activity) wake() {
	a.mu.Lock()
	defer a.mu.Unlock()
	close(a.changed)
	a.changed = make(chan struct{})
}

// buffers are for the JSON of details, so that a record makes no garbage of its own.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPooled is the largest buffer that is kept.
const maxPooled = 64 << 10

func recycle(buffer *bytes.Buffer) {
	if buffer.Cap() <= maxPooled {
		buffer.Reset()
		buffers.Put(buffer)
	}
}

// encodeInto converts details as encode does; what it gives may be the buffer's. A single value that is JSON needs no Payloads around
// it: the library makes that itself.
func encodeInto(buffer *bytes.Buffer, codec PayloadCodec, op string, details []any) (encoding int32, data []byte, err error) {
	if len(details) != 1 || !isJSON(details[0]) || codec != nil {
		return encode(codec, op, details)
	}
	if err := json.NewEncoder(buffer).Encode(details[0]); err != nil {
		conversion := &ConversionError{Type: reflect.TypeOf(details[0]), Err: err}
		return 0, nil, refused(op, StatusInvalidArgument, conversion.Error(), conversion)
	}
	return abi.EncodingJSON, bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), nil
}

// isJSON tells the values that none but the last of the converters takes.
func isJSON(value any) bool {
	switch value.(type) {
	case bool, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64, string:
		return true // at first sight
	case Payload, []byte:
		return false
	}
	if isNil(value) {
		return false
	}
	_, isMessage, err := messageOf(value)
	return !isMessage && err == nil
}
