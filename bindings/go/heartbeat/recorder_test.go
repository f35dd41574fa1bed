//go:build go1.24

package heartbeat

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// recorder is a server that stores each message that it receives. It answers each request with an empty message, which means success
// for Connect and for a heartbeat, unless answer returns another response, or a refusal.
type recorder struct {
	address string
	answers sync.RWMutex // while it is locked, the server doesn't answer
	answer  func(message []byte) (response []byte, refusal string)

	mu       sync.Mutex
	messages []byte
	more     chan struct{} // closed when there are more messages
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	needLibrary(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{address: listener.Addr().String(), more: make(chan struct{})}
	server := &http.Server{Handler: r, Protocols: new(http.Protocols)}
	server.Protocols.SetUnencryptedHTTP2(true)
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return r
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	message, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	r.mu.Lock()
	r.messages = append(r.messages, message...)
	close(r.more)
	r.more = make(chan struct{})
	r.mu.Unlock()

	r.answers.RLock()
	defer r.answers.RUnlock()
	w.Header().Set("Content-Type", "application/grpc")
	var response []byte
	var refusal string
	if r.answer != nil {
		response, refusal = r.answer(message)
	}
	if refusal != "" {
		w.Header().Set("Grpc-Status", "3") // INVALID_ARGUMENT
		w.Header().Set("Grpc-Message", refusal)
		return
	}
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	w.Write(append([]byte{0, 0, 0, 0, byte(len(response))}, response...))
}

func (r *recorder) received() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.messages)
}

// waitFor waits until the server has received these bytes.
func (r *recorder) waitFor(t *testing.T, data string) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		r.mu.Lock()
		found, more := bytes.Contains(r.messages, []byte(data)), r.more
		r.mu.Unlock()
		if found {
			return
		}
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("%q was not received", data)
		}
	}
}

// options returns the options of a connection to the recorder.
func (r *recorder) options(codec PayloadCodec) Options {
	return Options{HostPort: r.address, Lazy: true, Compression: "none", PayloadCodec: codec}
}
