package heartbeat

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"temporal-heartbeat.dev/go/internal/abi"
)

// Options says which server to connect to. The zero value takes everything from the environment, else from the defaults.
type Options struct {
	// HostPort is the server's address as "host:port". Empty: TEMPORAL_ADDRESS, else 127.0.0.1:7233.
	HostPort string
	// Namespace is that of the activities. Empty: TEMPORAL_NAMESPACE, else "default".
	Namespace string
	// Identity is the name that the server knows this process by, as shown in histories. Empty: pid@host.
	Identity string
	// ConnectTimeout bounds the wait for a server that doesn't answer. 0: until the context's deadline, else DefaultTimeout.
	// When both are there, the earlier one counts.
	ConnectTimeout time.Duration
	// Lazy connects with the first call: Connect then only checks the options.
	Lazy bool
	// DataConverter is the codec of a namespace whose data are encrypted. nil: values go as they are. See [CodecFrom].
	DataConverter PayloadCodec
	// RequireEncoded refuses, as [ErrInvalidArgument], what no codec has encoded.
	RequireEncoded bool
	// MetricsAddress is where Prometheus may fetch the [Metrics], as "ip:port". Empty: nowhere.
	MetricsAddress string
}

// Connect makes the process's client, of which there is one, and makes sure that the server answers and has the namespace. What
// is temporary is tried again until the time is up.
//
// When ctx ends first, Connect returns at once, and a connection that comes after that is given up.
//
// Errors: [ErrConfig] for an option or variable that is wrong, [ErrUnavailable] or [ErrTimeout] when nobody answers,
// [ErrNamespaceNotFound], [ErrAlreadyConnected], [ErrUnimplemented] for a TEMPORAL_* variable that this version doesn't obey, and
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

	// Whoever settles first decides what becomes of the connection: the goroutine that made it, or the caller who left.
	var settled atomic.Bool
	deadline := time.Now().Add(limit)
	_, err := call(ctx, op, limit, func(uint32) (struct{}, *abi.Error) {
		connecting.Lock()
		defer connecting.Unlock()
		if settled.Load() {
			return struct{}{}, nil
		}
		err := abi.Connect(options.json(milliseconds(time.Until(deadline))))
		switch {
		case err != nil:
		case settled.CompareAndSwap(false, true):
			useCodec(options.DataConverter)
		default:
			err = abi.Disconnect(0)
		}
		return struct{}{}, err
	})
	if err != nil && ctx.Err() != nil && !settled.CompareAndSwap(false, true) {
		return nil // connected in the very moment in which ctx ended
	}
	return err
}

// connecting lets one Connect at a time through, so that giving up an abandoned connection can't hit the next one.
var connecting sync.Mutex

// json writes the options as the library reads them. An absent key leaves the choice to the environment.
func (o Options) json(timeoutMs uint32) []byte {
	options, err := json.Marshal(struct {
		Address          string `json:"address,omitempty"`
		Namespace        string `json:"namespace,omitempty"`
		Identity         string `json:"identity,omitempty"`
		ConnectTimeoutMs uint32 `json:"connect_timeout_ms"`
		Lazy             bool   `json:"lazy,omitempty"`
		RequireEncoded   bool   `json:"require_encoded,omitempty"`
		MetricsAddress   string `json:"metrics_address,omitempty"`
	}{o.HostPort, o.Namespace, o.Identity, timeoutMs, o.Lazy, o.RequireEncoded, o.MetricsAddress})
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return options
}

// Disconnect ends the process's client; calls in progress return [ErrNotConnected]. After it Connect may be called again. It is
// no error when there is no client, and a ctx that is done already is none either: then nothing is waited for.
func Disconnect(ctx context.Context) error {
	const op = "disconnect"
	if !library.loaded.Load() {
		return nil
	}
	defer useCodec(nil)
	if ctx.Err() != nil {
		return failed(op, abi.Disconnect(0))
	}
	deadline := time.Now().Add(budget(ctx))
	_, err := await(ctx, op, deadline, func() (struct{}, *abi.Error) {
		return struct{}{}, abi.Disconnect(milliseconds(time.Until(deadline)))
	})
	return err
}
