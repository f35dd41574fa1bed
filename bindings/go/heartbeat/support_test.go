package heartbeat

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"temporal-heartbeat.dev/go/internal/wire"
)

// skipUnless skips a test whose requirement is missing; with THB_REQUIRE_ALL=1 the test fails.
func skipUnless(t testing.TB, what string, there bool) {
	t.Helper()
	switch {
	case there:
	case os.Getenv("THB_REQUIRE_ALL") == "1":
		t.Fatal("SKIPPED: needs " + what)
	default:
		t.Skip("SKIPPED: needs " + what)
	}
}

// needLibrary skips a test that calls the native library if there is none.
func needLibrary(t testing.TB) {
	t.Helper()
	skipUnless(t, LibraryVariable+", the path of the built library", os.Getenv(LibraryVariable) != "")
}

// promptly is the longest time of a call that returns at once, on a busy machine. A call that waits takes far longer.
const promptly = time.Second

// silentServer returns the address of a server that accepts connections and never sends anything.
func silentServer(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { connection.Close() })
		}
	}()
	return listener.Addr().String()
}

// connectLazily connects to a server, which need not exist, until the end of the test.
func connectLazily(t testing.TB, address string) {
	t.Helper()
	needLibrary(t)
	err := Connect(context.Background(), Options{HostPort: address, Namespace: "default", Lazy: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Disconnect(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// testToken is a task token in the server's format for an activity that doesn't exist. GetDetails needs the ids in it.
var testToken = func() []byte {
	var token []byte
	for i, id := range []string{"namespace-id", "workflow-id", "run-id"} {
		token = wire.AppendBytes(token, protowire.Number(i+1), []byte(id))
	}
	return wire.AppendBytes(token, 6, []byte("activity-id"))
}()

func wantIs(t *testing.T, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("got the error %v, want %v", err, target)
		}
	}
}

// eventTimeout is the longest wait for an event.
const eventTimeout = 20 * time.Second

// wantCause waits for the cancellation of a context and checks its cause.
func wantCause(t *testing.T, ctx context.Context, causes ...error) {
	t.Helper()
	select {
	case <-ctx.Done():
		wantIs(t, context.Cause(ctx), causes...)
	case <-time.After(eventTimeout):
		t.Fatal("the context wasn't cancelled")
	}
}

// waitForCalls waits until this many calls are in progress.
func waitForCalls(t *testing.T, count int) {
	t.Helper()
	for deadline := time.Now().Add(eventTimeout); ; time.Sleep(time.Millisecond) {
		calls.mu.Lock()
		pending := len(calls.pending)
		calls.mu.Unlock()
		if pending == count {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d calls are in progress, not %d", pending, count)
		}
	}
}

// detailsOf returns details of values.
func detailsOf(t testing.TB, values ...any) *Details {
	t.Helper()
	details, err := NewDetails(values...)
	if err != nil {
		t.Fatal(err)
	}
	return &details
}

// openActivity opens the activity of testToken until the end of the test.
func openActivity(t testing.TB, options OpenOptions) *Activity {
	t.Helper()
	act, err := Open(context.Background(), testToken, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		done, cancel := context.WithCancel(context.Background())
		cancel() // the server doesn't answer, so don't wait for it
		act.Close(done)
	})
	return act
}
