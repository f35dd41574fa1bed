package heartbeat

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"time"

	"temporal-heartbeat.dev/go/internal/abi"
)

// Connect creates the only client of the process, and checks that the server answers and has the namespace. It retries temporary errors
// until it times out.
//
// Connect waits for another Connect that is in progress. When ctx ends, Connect returns at once. A connection that is made after that is
// closed.
//
// Errors: [ErrConfig] for a wrong option, variable or file; [ErrUnavailable] or [ErrTimeout] when the server doesn't answer;
// [ErrTLS] when no secure connection can be made; [ErrUnauthenticated], [ErrNamespaceNotFound], [ErrAlreadyConnected];
// *[LibraryError] when the native library can't be loaded.
func Connect(ctx context.Context, options Options) error {
	const op = "connect"
	timeout := callTimeout(ctx)
	if _, hasDeadline := ctx.Deadline(); options.ConnectTimeout > 0 && (!hasDeadline || options.ConnectTimeout < timeout) {
		timeout = options.ConnectTimeout
	}
	if options.ConnectTimeout < 0 {
		return localError(op, StatusConfig, "ConnectTimeout is negative", nil)
	}
	if _, err := options.marshal(0); err != nil {
		return localError(op, StatusConfig, err.Error(), err) // a number that JSON can't express
	}

	// Set by the goroutine when it has connected, and by the caller when ctx has ended. The first of the two decides whether the
	// connection stays open.
	var settled atomic.Bool
	deadline := time.Now().Add(timeout)
	_, err := call(ctx, op, timeout, func(uint32) (struct{}, *abi.Error) {
		connectMu.Lock()
		defer connectMu.Unlock()
		if settled.Load() {
			return struct{}{}, nil
		}
		err := connectWithCodec(options.PayloadCodec, func() *abi.Error {
			optionsJSON, _ := options.marshal(toTimeoutMs(time.Until(deadline))) // fails only if it failed above
			return abi.Connect(optionsJSON)
		})
		if err == nil && !settled.CompareAndSwap(false, true) {
			err = abi.Disconnect(0)
		}
		return struct{}{}, err
	})
	if err != nil && ctx.Err() != nil && !settled.CompareAndSwap(false, true) {
		return nil // the connection was made just before ctx ended
	}
	return err
}

// Reconfigure changes the credentials of the connected client. Each option that is set replaces the current value. In TLS and GRPCMeta,
// each key replaces the current value of that key. All other values stay. Activities stay open, and no heartbeat is lost. Reconfigure
// doesn't wait for the server: if the server refuses the new credentials, the next calls return the server's error.
//
// Errors: [ErrNotConnected], [ErrConfig]. Then nothing has changed.
func Reconfigure(credentials Credentials) error {
	const op = "reconfigure"
	if !loader.loaded.Load() {
		return localError(op, StatusNotConnected, "call Connect first", nil)
	}
	credentialsJSON, err := json.Marshal(credentials)
	if err != nil {
		return localError(op, StatusConfig, err.Error(), err)
	}
	return newError(op, abi.Reconfigure(credentialsJSON))
}

// Disconnect sends the last recorded details of the open activities, and closes the client. Calls in progress return [ErrNotConnected].
// Connect may be called again. Without a client Disconnect does nothing. If ctx has already ended, it closes the client without sending,
// which isn't an error.
func Disconnect(ctx context.Context) error {
	const op = "disconnect"
	if !loader.loaded.Load() {
		return nil
	}
	if ctx.Err() != nil {
		return newError(op, abi.Disconnect(0))
	}
	deadline := time.Now().Add(callTimeout(ctx))
	_, err := await(ctx, op, deadline, func() (struct{}, *abi.Error) {
		return struct{}{}, abi.Disconnect(toTimeoutMs(time.Until(deadline)))
	})
	return err
}
