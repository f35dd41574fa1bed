package heartbeat

import (
	"context"
	"sync"
	"sync/atomic"

	"temporal-heartbeat.dev/go/internal/abi"
)

// codecEpoch is the codec of one Connect; a nil codec leaves values unchanged.
//
// The library sends the bytes that a call passes to it over the connection that exists when the call begins. The codec that Connect was
// given for that connection must have encoded those bytes. One epoch is current at a time, and two rules hold:
//
//  1. Only [connectWithCodec] begins an epoch: before the native connect, while the process has no connection, and while no other
//     connectWithCodec runs. So a connection has the same epoch from its beginning to its end. A Connect that fails because a
//     connection exists, and a Disconnect, don't change the epoch.
//  2. A native call whose values were encoded in an epoch begins only while that epoch is current. connectWithCodec waits for the end
//     of those calls before the native connect.
//
// By rule 2 no connection begins while a call of an earlier epoch is within the library. So each connection that a call can use
// was made in the call's own epoch, by rule 1. After a Disconnect the last epoch stays current, and its calls return
// [ErrNotConnected]. A call that is abandoned because its context ended keeps these rules.
//
// A call or an activity can have a codec of its own ([WithPayloadCodec]), which replaces that of the epoch.
//
// A handle never outlives its connection. So an [Activity] keeps the codec that it was opened with, and its calls need no epoch.
type codecEpoch struct {
	codec PayloadCodec
}

var (
	currentEpoch = func() *atomic.Pointer[codecEpoch] {
		var first atomic.Pointer[codecEpoch]
		first.Store(&codecEpoch{})
		return &first
	}()

	// epochMu is read-locked during each call whose values are encoded, and locked to begin an epoch. The wait for the lock is
	// short: without a connection the library ends calls at once.
	epochMu sync.RWMutex

	// connectMu is locked during a Connect, so that closing the connection of an abandoned Connect can't close that of the next one.
	connectMu sync.Mutex
)

// connectWithCodec begins an epoch and connects. The caller holds connectMu.
func connectWithCodec(codec PayloadCodec, connect func() *abi.Error) *abi.Error {
	// With a timeout of 0 nothing is sent, and the status shows whether there is a connection.
	if _, err := abi.GetDetails([]byte("-"), 0); err == nil || Status(err.Status) != StatusNotConnected {
		return &abi.Error{
			Status:       int32(StatusAlreadyConnected),
			GRPCCode:     abi.NoGRPCCode,
			Message:      "the process is already connected; disconnect first to change the connection",
			RetryAfterMs: -1,
		}
	}
	epochMu.Lock()
	currentEpoch.Store(&codecEpoch{codec})
	epochMu.Unlock()
	return connect()
}

// callIfCurrent makes a native call and returns true, or returns false if the epoch isn't current any more.
func (e *codecEpoch) callIfCurrent(native func()) bool {
	epochMu.RLock()
	defer epochMu.RUnlock()
	if currentEpoch.Load() != e {
		return false
	}
	native()
	return true
}

// callWithCodec makes a call as [call] does, with values that the codec of its connection encoded. If an epoch begins before the native
// call, nothing was sent, and the values are encoded again.
func callWithCodec[V, T any](ctx context.Context, op string, encode func(PayloadCodec) (V, error),
	native func(values V, timeoutMs uint32) (T, *abi.Error),
) (T, error) {
	type outcome struct {
		value T
		stale bool
	}
	for {
		epoch := currentEpoch.Load()
		values, err := encode(codecFrom(ctx, epoch.codec))
		if err != nil {
			var zero T
			return zero, err
		}
		got, err := call(ctx, op, callTimeout(ctx), func(timeoutMs uint32) (got outcome, err *abi.Error) {
			got.stale = !epoch.callIfCurrent(func() { got.value, err = native(values, timeoutMs) })
			return got, err
		})
		if !got.stale {
			return got.value, err
		}
	}
}
