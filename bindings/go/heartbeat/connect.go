package heartbeat

import (
	"context"
	"encoding/json"

	"temporal-heartbeat.dev/go/internal/abi"
)

// Connect creates the only client of the process, and checks that the server answers and has the namespace. It retries temporary errors
// until it times out.
//
// Connect waits for another Connect that is in progress. When ctx ends, Connect returns at once, and leaves no connection.
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
	if err := checkConversion(op, options.PayloadCodec, options.DataConverter); err != nil {
		return err
	}
	optionsJSON, err := options.marshal(toTimeoutMs(timeout))
	if err != nil {
		return localError(op, StatusConfig, err.Error(), err) // a number that JSON can't express
	}
	if err := checkCallable(ctx, op); err != nil {
		return err
	}
	select {
	case connecting <- struct{}{}:
	case <-ctx.Done():
		return contextError(ctx, op, notCalled)
	}
	c, nativeErr := beginConnect(options.conversion(), optionsJSON)
	if nativeErr != nil {
		<-connecting
		return newError(op, nativeErr)
	}
	answer, ok := c.wait(ctx)
	if !ok {
		go func() {
			if answer, _ := c.wait(context.Background()); answer.Err == nil {
				abi.Disconnect(0) // made just before it was cancelled
			}
			<-connecting
		}()
		return contextError(ctx, op, abandoned)
	}
	<-connecting
	return callError(ctx, op, answer.Err)
}

// connecting has a value while a Connect is in progress, also if its context has ended.
var connecting = make(chan struct{}, 1)

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
	timeoutMs := toTimeoutMs(callTimeout(ctx))
	_, err := await(ctx, op, func() (struct{}, *abi.Error) { return struct{}{}, abi.Disconnect(timeoutMs) })
	return err
}
