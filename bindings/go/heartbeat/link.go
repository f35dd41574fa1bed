package heartbeat

import (
	"context"
	"sync"
	"sync/atomic"

	"temporal-heartbeat.dev/go/internal/abi"
)

// link is the codec of one Connect; a nil codec sends values as they are.
//
// The library sends the bytes that a call gives it, over the connection that there is when the call reaches it. Those bytes must be
// the work of the codec that Connect was given for that connection. One link is in force at a time, and two rules hold:
//
//  1. Only [connectWith] puts a link in force: before the native connect, while the process has no connection, and while no other
//     connectWith runs. So a connection has the same link from its first moment to its last. A refused Connect and a Disconnect
//     leave the link as it is.
//  2. A native call whose values a link encoded begins only while that link is in force, and connectWith waits for the end of those
//     calls before the native connect.
//
// By rule 2 no connection is made while a call of an earlier link is within the library. So each connection that a call can meet
// was made with the call's own link, by rule 1. After a Disconnect the last link stays in force, and a call under it is
// [ErrNotConnected]. When a context ends, the abandoned call runs on under these rules.
//
// A handle never outlives its connection: an [Activity] keeps the codec that it was opened with, and needs none of this for its calls.
type link struct {
	codec PayloadCodec
}

var (
	linkInForce = func() *atomic.Pointer[link] {
		var first atomic.Pointer[link]
		first.Store(&link{})
		return &first
	}()

	// underLink is read-locked during each call whose values are encoded, and locked to replace the link. Waiting for the lock is
	// short: without a connection the library ends calls at once.
	underLink sync.RWMutex

	// connecting lets one Connect at a time through, so that giving up an abandoned connection can't hit the next one either.
	connecting sync.Mutex
)

// connectWith puts a codec in force and connects. The caller holds connecting.
func connectWith(codec PayloadCodec, connect func() *abi.Error) *abi.Error {
	// With a timeout of 0 nothing is sent, and the status tells whether something could be.
	if _, err := abi.GetDetails([]byte("-"), 0); err == nil || Status(err.Status) != StatusNotConnected {
		return &abi.Error{
			Status:       int32(StatusAlreadyConnected),
			GRPCCode:     noGRPCCode,
			Message:      "the process has its client; to change it, disconnect first",
			RetryAfterMs: -1,
		}
	}
	underLink.Lock()
	linkInForce.Store(&link{codec})
	underLink.Unlock()
	return connect()
}

// call makes a native call while the link is in force; false: it isn't any more, and nothing was called.
func (l *link) call(native func()) bool {
	underLink.RLock()
	defer underLink.RUnlock()
	if linkInForce.Load() != l {
		return false
	}
	native()
	return true
}

// callEncoded makes a call as [call] does, with values that the codec of its connection has encoded. If the codec changes in between,
// nothing has been sent, and the values are encoded again.
func callEncoded[V, T any](ctx context.Context, op string, encode func(PayloadCodec) (V, error),
	native func(values V, timeoutMs uint32) (T, *abi.Error),
) (T, error) {
	type outcome struct {
		value    T
		replaced bool
	}
	for {
		link := linkInForce.Load()
		values, err := encode(link.codec)
		if err != nil {
			var none T
			return none, err
		}
		got, err := call(ctx, op, budget(ctx), func(timeoutMs uint32) (got outcome, err *abi.Error) {
			got.replaced = !link.call(func() { got.value, err = native(values, timeoutMs) })
			return got, err
		})
		if !got.replaced {
			return got.value, err
		}
	}
}
