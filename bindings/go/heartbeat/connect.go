package heartbeat

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"time"

	"temporal-heartbeat.dev/go/internal/abi"
)

// Connect makes the process's client, of which there is one, and makes sure that the server answers and has the namespace. What
// is temporary is tried again until the time is up.
//
// A Connect waits for another one that is in progress. When ctx ends first, Connect returns at once, and a connection that comes after that is given up.
//
// Errors: [ErrConfig] for an option, variable or file that is wrong, [ErrUnavailable] or [ErrTimeout] when nobody answers,
// [ErrTLS] when no secure connection can be made, [ErrUnauthenticated], [ErrNamespaceNotFound], [ErrAlreadyConnected], and
// *[LibraryError] when there is no native library.
func Connect(ctx context.Context, options Options) error {
	const op = "connect"
	limit := budget(ctx)
	if _, limited := ctx.Deadline(); options.ConnectTimeout > 0 && (!limited || options.ConnectTimeout < limit) {
		limit = options.ConnectTimeout
	}
	if options.ConnectTimeout < 0 {
		return refused(op, StatusConfig, "ConnectTimeout is negative", nil)
	}
	if _, err := options.json(0); err != nil {
		return refused(op, StatusConfig, err.Error(), err) // a number that JSON doesn't have
	}

	// Whoever settles first decides what becomes of the connection: the goroutine that made it, or the caller who left.
	var settled atomic.Bool
	deadline := time.Now().Add(limit)
	_, err := call(ctx, op, limit, func(uint32) (struct{}, *abi.Error) {
		connecting.Lock()
		defer connecting.Unlock()
		if settled.Load() {
			return struct{}{}, nil
		}
		err := connectWith(options.DataConverter, func() *abi.Error {
			text, _ := options.json(milliseconds(time.Until(deadline))) // as it went above
			return abi.Connect(text)
		})
		if err == nil && !settled.CompareAndSwap(false, true) {
			err = abi.Disconnect(0)
		}
		return struct{}{}, err
	})
	if err != nil && ctx.Err() != nil && !settled.CompareAndSwap(false, true) {
		return nil // connected in the very moment in which ctx ended
	}
	return err
}

// Reconfigure changes credentials while connected. What is given replaces what there was, of TLS and GRPCMeta key by key; what
// isn't stays. Activities stay open, and no beat is lost. The server isn't waited for: should it not like the new credentials, the
// next calls tell.
//
// Errors: [ErrNotConnected], [ErrConfig]; then everything is as before.
func Reconfigure(credentials Credentials) error {
	const op = "reconfigure"
	if !library.loaded.Load() {
		return refused(op, StatusNotConnected, "call Connect first", nil)
	}
	text, err := json.Marshal(credentials)
	if err != nil {
		return refused(op, StatusConfig, err.Error(), err)
	}
	return failed(op, abi.Reconfigure(text))
}

// Disconnect ends the process's client; calls in progress return [ErrNotConnected]. After it Connect may be called again. It is
// no error when there is no client, and a ctx that is done already is none either: then nothing is waited for.
func Disconnect(ctx context.Context) error {
	const op = "disconnect"
	if !library.loaded.Load() {
		return nil
	}
	if ctx.Err() != nil {
		return failed(op, abi.Disconnect(0))
	}
	deadline := time.Now().Add(budget(ctx))
	_, err := await(ctx, op, deadline, func() (struct{}, *abi.Error) {
		return struct{}{}, abi.Disconnect(milliseconds(time.Until(deadline)))
	})
	return err
}
