package heartbeat

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"

	"temporal-heartbeat.dev/go/internal/abi"
)

// codecEpoch is the conversion of one Connect, with its codec; a nil codec leaves values unchanged.
//
// The library sends the bytes that a call passes to it over the connection that exists when the call begins. The codec that Connect was
// given for that connection must have encoded those bytes. One epoch is current at a time, and two rules hold:
//
//  1. Only [beginConnect] begins an epoch, in one step with the submission of the connect: no other call is within the library then. The
//     library accepts a connect only while the process has no connection. So a connection has the same epoch from its beginning to
//     its end. A Connect that is refused because a connection exists, and a Disconnect, don't change the epoch.
//  2. Values that were encoded in an epoch are submitted only while that epoch is current. The request is sent over the connection that
//     exists at its submission, or over none.
//
// So each connection that a call can use was made in the call's own epoch. After a Disconnect the last epoch stays current, and its
// calls return [ErrNotConnected].
//
// A call or an activity can have a codec of its own ([WithPayloadCodec]), which replaces that of the epoch.
//
// A handle never outlives its connection. So an [Activity] keeps the codec that it was opened with, and its calls need no epoch.
type codecEpoch struct {
	conversion conversion
}

var (
	currentEpoch = func() *atomic.Pointer[codecEpoch] {
		var first atomic.Pointer[codecEpoch]
		first.Store(&codecEpoch{})
		return &first
	}()

	// epochMu is read-locked during the submission of encoded values, and locked to begin an epoch. No submission waits for the server.
	epochMu sync.RWMutex
)

// beginConnect begins a connect, and with it an epoch if the library accepts it.
func beginConnect(conversion conversion, optionsJSON []byte) (*pendingCall, *abi.Error) {
	epochMu.Lock()
	defer epochMu.Unlock()
	c, err := begin(nil, &abi.Request{Call: abi.Connect, Data: optionsJSON}, 0)
	if err == nil {
		currentEpoch.Store(&codecEpoch{conversion})
	}
	return c, err
}

// request makes a call with the values that encode adds to the request, and returns their conversion: that of the connection, or of ctx,
// with the serialization context of the token. encode may use the buffer. If an epoch begins before the native call, nothing was sent, and the values are encoded again.
func request(ctx context.Context, op string, r abi.Request,
	encode func(*abi.Request, *bytes.Buffer, conversion) error,
) (answer abi.Answer, c conversion, err error) {
	if ctx.Err() != nil {
		return answer, c, contextError(ctx, op, notCalled)
	}
	buffer := bufferPool.Get().(*bytes.Buffer)
	defer putBuffer(buffer)
	for isStale := true; isStale; {
		epoch := currentEpoch.Load()
		c = epoch.conversion.ofContext(ctx).boundTo(func() SerializationContext { return knownOf(ctx, r.Token) })
		buffer.Reset()
		if err = encode(&r, buffer, c); err != nil {
			return answer, c, err
		}
		answer, isStale, err = call(ctx, op, epoch, &r)
	}
	return answer, c, err
}

// valuesEncoder returns a function for [request] that adds values.
func valuesEncoder(op string, values []any) func(*abi.Request, *bytes.Buffer, conversion) error {
	return func(r *abi.Request, buffer *bytes.Buffer, c conversion) error {
		encoded, err := encodeValues(buffer, c, op, values)
		r.Encoding, r.Data = encoded.encoding, encoded.data
		return err
	}
}
