package heartbeat

import (
	"bytes"
	"testing"

	"temporal-heartbeat.dev/go/internal/abi"
)

// BenchmarkRecordHeartbeat measures a record. The cost of a cgo call is in the first line: the library returns a constant there.
// `go test -bench Record -run '^$'`
func BenchmarkRecordHeartbeat(b *testing.B) {
	details := bytes.Repeat([]byte("x"), 64)
	connectLazily(b, "127.0.0.1:1")
	b.Run("cgo call", func(b *testing.B) {
		for range b.N {
			abi.ABIVersion()
		}
	})
	act := openActivity(b, OpenOptions{InitialDetails: detailsOf(b)})
	for _, c := range []struct {
		name   string
		record func() (Signals, error)
	}{
		{"bytes", func() (Signals, error) { return act.RecordBytes(details) }},
		{"[]byte", func() (Signals, error) { return act.RecordHeartbeat(details) }},
		{"int", func() (Signals, error) { return act.RecordHeartbeat(41_000) }},
		{"struct", func() (Signals, error) { return act.RecordHeartbeat(struct{ Item, Of int }{41_000, 50_000}) }},
		{"touch", act.Touch},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if _, err := c.record(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
