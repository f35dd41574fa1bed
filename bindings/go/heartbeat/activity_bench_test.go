package heartbeat

import (
	"bytes"
	"context"
	"testing"

	"temporal-heartbeat.dev/go/internal/nothing"
)

// What a record costs, beside a call of C that does nothing. `go test -bench Record -run '^$'`
func BenchmarkRecordHeartbeat(b *testing.B) {
	details := bytes.Repeat([]byte("x"), 64)
	b.Run("nothing", func(b *testing.B) {
		for range b.N {
			nothing.Call(1, 2, details)
		}
	})
	connectLazily(b, "127.0.0.1:1")
	act := openSome(b, OpenOptions{InitialDetails: handedOver(b)})
	for name, record := range map[string]func() (Signals, error){
		"bytes":  func() (Signals, error) { return act.RecordBytes(details) },
		"[]byte": func() (Signals, error) { return act.RecordHeartbeat(details) },
		"int":    func() (Signals, error) { return act.RecordHeartbeat(41_000) },
		"struct": func() (Signals, error) { return act.RecordHeartbeat(struct{ Item, Of int }{41_000, 50_000}) },
		"touch":  act.Touch,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if _, err := record(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
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
