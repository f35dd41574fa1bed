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

// needs skips a test that lacks something; with THB_REQUIRE_ALL=1 that is a failure.
func needs(t testing.TB, what string, there bool) {
	t.Helper()
	switch {
	case there:
	case os.Getenv("THB_REQUIRE_ALL") == "1":
		t.Fatal("SKIPPED: needs " + what)
	default:
		t.Skip("SKIPPED: needs " + what)
	}
}

// needLibrary is for a test that calls the native library.
func needLibrary(t testing.TB) {
	t.Helper()
	needs(t, LibraryVariable+", the path of the built library", os.Getenv(LibraryVariable) != "")
}

// soon is what "at once" means on a busy machine; the calls that are abandoned would take far longer.
const soon = time.Second

// blackHole is the address of a server that takes connections and never says anything.
func blackHole(t testing.TB) string {
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

// connectLazily makes the process's client, for a server that need not be there, until the end of the test.
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

// someToken is a task token of a form that servers make, for an activity that there isn't. (Reading the details needs the ids
// in it.)
var someToken = func() []byte {
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
			t.Errorf("got the error %v, want one that is %v", err, target)
		}
	}
}

// patience is how long an event may take that comes by itself.
const patience = 20 * time.Second

// wantCause waits for the end of a context.
func wantCause(t *testing.T, ctx context.Context, causes ...error) {
	t.Helper()
	select {
	case <-ctx.Done():
		wantIs(t, context.Cause(ctx), causes...)
	case <-time.After(patience):
		t.Fatal("the context wasn't cancelled")
	}
}

func detailsOf(t testing.TB, values ...any) *Details {
	t.Helper()
	made, err := NewDetails(values...)
	if err != nil {
		t.Fatal(err)
	}
	return &made
}

// openSome holds an activity that there isn't, until the end of the test.
func openSome(t testing.TB, options OpenOptions) *Activity {
	t.Helper()
	act, err := Open(context.Background(), someToken, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		done, cancel := context.WithCancel(context.Background())
		cancel() // nobody answers, so nothing is waited for
		act.Close(done)
	})
	return act
}
