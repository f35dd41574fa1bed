package heartbeat

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Of one workflow only a few beats are under way at a time; the others learn all the same that time has passed.
func TestLostLeasesAreToldInTimeAlsoToThoseWhoseBeatsWait(t *testing.T) {
	connectLazily(t, blackHole(t))
	const timeout = 2 * time.Second
	crowd := make([]*Activity, 500)
	for i := range crowd {
		token := protowire.AppendVarint(protowire.AppendTag(bytes.Clone(someToken), 5, protowire.VarintType), uint64(i+1))
		act, err := Open(context.Background(), token, OpenOptions{HeartbeatTimeout: timeout, InitialDetails: handedOver(t, i)})
		if err != nil {
			t.Fatal(err)
		}
		crowd[i] = act
	}
	deadline := time.After(timeout + 5*time.Second)
	for i, act := range crowd {
		select {
		case <-act.Context().Done():
			if cause := context.Cause(act.Context()); !errors.Is(cause, ErrLeaseLost) {
				t.Errorf("%d: %v", i, cause)
			}
		case <-deadline:
			t.Fatalf("%d of %d weren't told", len(crowd)-i, len(crowd))
		}
	}
	done, cancel := context.WithCancel(context.Background())
	cancel()
	for _, act := range crowd {
		act.Close(done)
	}
}
