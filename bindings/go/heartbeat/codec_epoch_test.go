//go:build go1.24

package heartbeat

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// With a codec configured no value leaves the process unencoded, whatever happens at the same time. Each test looks for plain bytes in
// what the server has received.

const (
	rounds = 10
	secret = "readable by anybody"

	encodingOther = "binary/other"
)

var background = context.Background()

// otherReversing is another codec, whose encoding tells it from the first.
type otherReversing struct{ reversing }

func (o otherReversing) Encode(payloads []Payload) ([]Payload, error) {
	out, err := o.reversing.Encode(payloads)
	for i := range out {
		out[i] = newPayload(encodingOther, out[i].Data)
	}
	return out, err
}

func connectTo(t *testing.T, options Options) {
	t.Helper()
	if err := Connect(background, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disconnectNow(t) })
}

// disconnectNow disconnects, and waits for nothing.
func disconnectNow(t *testing.T) {
	t.Helper()
	ended, cancel := context.WithCancel(background)
	cancel()
	if err := Disconnect(ended); err != nil {
		t.Error(err)
	}
}

// untilConnected calls again and again until the process is connected.
func untilConnected(call func() error) error {
	for {
		if err := call(); !errors.Is(err, ErrNotConnected) {
			return err
		}
	}
}

// wantEncoded checks that the server has received values of the first codec, and none that are plain or the other's.
func wantEncoded(t *testing.T, r *recorder) {
	t.Helper()
	received := r.received()
	if !bytes.Contains(received, []byte(encodingReversed)) {
		t.Error("nothing encoded was received")
	}
	for _, unwanted := range []string{secret, encodingOther} {
		if bytes.Contains(received, []byte(unwanted)) {
			t.Errorf("%q was received", unwanted)
		}
	}
}

func beatSecret(token string) func() error {
	return func() error {
		_, err := RecordHeartbeat(background, []byte(token), secret)
		return err
	}
}

func TestAGoroutineThatBeatsAtOnceSendsNothingReadable(t *testing.T) {
	for _, lazy := range []bool{true, false} {
		t.Run(fmt.Sprintf("lazy=%t", lazy), func(t *testing.T) {
			r := newRecorder(t)
			for range rounds {
				done := make(chan error)
				go func() { done <- untilConnected(beatSecret("token")) }()
				options := r.options(reversing{})
				options.Lazy = lazy
				connectTo(t, options)
				if err := <-done; err != nil {
					t.Error(err)
				}
				disconnectNow(t)
			}
			wantEncoded(t, r)
		})
	}
}

func TestAnActivityOpenedAtOnceSendsNothingReadable(t *testing.T) {
	r := newRecorder(t)
	initial, err := NewDetails(secret)
	if err != nil {
		t.Fatal(err)
	}
	for range rounds {
		done := make(chan error)
		go func() {
			done <- untilConnected(func() error {
				act, err := Open(background, someToken, OpenOptions{InitialDetails: &initial, HeartbeatTimeout: time.Second})
				if err != nil {
					return err
				}
				_, err = act.RecordHeartbeat(secret)
				return errors.Join(err, act.Close(background))
			})
		}()
		connectTo(t, r.options(reversing{}))
		if err := <-done; err != nil {
			t.Error(err)
		}
		disconnectNow(t)
	}
	wantEncoded(t, r)
}

func TestBeatsDuringConnectsAndDisconnectsAreNeverReadable(t *testing.T) {
	r := newRecorder(t)
	var ended atomic.Bool
	var beating sync.WaitGroup
	for range 2 {
		beating.Add(1)
		go func() {
			defer beating.Done()
			for beat := beatSecret("token"); !ended.Load(); {
				if err := beat(); err != nil && !errors.Is(err, ErrNotConnected) {
					t.Error(err)
				}
			}
		}()
	}
	for round := range rounds {
		connectTo(t, r.options(reversing{}))
		if err := beatSecret("main")(); err != nil {
			t.Error(err)
		}
		if round%2 == 0 {
			disconnectNow(t)
		} else if err := Disconnect(background); err != nil {
			t.Error(err)
		}
	}
	ended.Store(true)
	beating.Wait()
	wantEncoded(t, r)
}

// endsWhenAwaited is a context that ends as soon as somebody waits for its end, and not before.
type endsWhenAwaited struct {
	context.Context
	cancel context.CancelFunc
	asked  int
}

func (c *endsWhenAwaited) Done() <-chan struct{} {
	// await looks first whether the context can end at all.
	if c.asked++; c.asked == 2 {
		c.cancel()
	}
	return c.Context.Done()
}

func TestADisconnectWhoseContextEndsLeavesTheCodecInForce(t *testing.T) {
	r := newRecorder(t)
	initial, err := NewDetails()
	if err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		connectTo(t, r.options(reversing{}))
		r.answers.Lock()
		act, err := Open(background, someToken, OpenOptions{InitialDetails: &initial, HeartbeatTimeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := act.RecordHeartbeat(secret); err != nil {
			t.Fatal(err)
		}
		inner, cancel := context.WithCancel(background)
		// It can't end by itself: the server withholds the answer to the record.
		err = Disconnect(&endsWhenAwaited{Context: inner, cancel: cancel})
		wantIs(t, err, context.Canceled)
		done := make(chan error)
		token := fmt.Sprintf("token-%d.", round)
		go func() { done <- beatSecret(token)() }()
		r.waitFor(t, token)
		r.answers.Unlock()
		if err := <-done; err != nil && !errors.Is(err, ErrNotConnected) {
			t.Error(err)
		}
		if err := Disconnect(background); err != nil {
			t.Error(err)
		}
	}
	wantEncoded(t, r)
}

func TestAConnectWhoseContextEndsLeavesNoConnectionWithoutItsCodec(t *testing.T) {
	r := newRecorder(t)
	for range 3 {
		options := r.options(reversing{})
		options.Lazy = false
		r.answers.Lock()
		inner, cancel := context.WithCancel(background)
		err := Connect(&endsWhenAwaited{Context: inner, cancel: cancel}, options)
		wantIs(t, err, context.Canceled)
		var ended atomic.Bool
		done := make(chan struct{})
		go func() {
			defer close(done)
			for beat := beatSecret("token"); !ended.Load(); {
				beat() // succeeds only before the connection is given up
			}
		}()
		r.answers.Unlock()
		// This Connect waits for the end of the other.
		connectTo(t, options)
		ended.Store(true)
		<-done
		if err := beatSecret("token")(); err != nil {
			t.Error(err)
		}
		disconnectNow(t)
	}
	wantEncoded(t, r)
}

func TestARefusedConnectLeavesTheCodecInForce(t *testing.T) {
	r := newRecorder(t)
	connectTo(t, r.options(reversing{}))
	for _, codec := range []PayloadCodec{nil, otherReversing{}} {
		wantIs(t, Connect(background, r.options(codec)), ErrAlreadyConnected)
		if err := beatSecret("token")(); err != nil {
			t.Error(err)
		}
	}
	wantEncoded(t, r)
}

// slow is a codec whose first call waits: the caller is then between its start and the library.
type slow struct {
	otherReversing
	once     sync.Once
	encoding chan struct{}
	proceed  chan struct{}
}

func (s *slow) Encode(payloads []Payload) ([]Payload, error) {
	s.once.Do(func() {
		close(s.encoding)
		<-s.proceed
	})
	return s.otherReversing.Encode(payloads)
}

func TestACallThatBeganUnderAnEarlierConnectionUsesTheCodecInForce(t *testing.T) {
	token := []byte("token")
	initial, err := NewDetails(secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		send func() error
	}{
		{"heartbeat", beatSecret("token")},
		{"complete", func() error { return Complete(background, token, secret) }},
		{"report cancelled", func() error { return ReportCancelled(background, token, secret) }},
		{"fail", func() error {
			return Fail(background, token, Failure{Message: "m", Details: []any{secret}, HeartbeatDetails: []any{secret}})
		}},
		{"open", func() error {
			act, err := Open(background, someToken, OpenOptions{InitialDetails: &initial, HeartbeatTimeout: time.Minute})
			if err != nil {
				return err
			}
			_, err = act.RecordHeartbeat(secret)
			return errors.Join(err, act.Close(background))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRecorder(t)
			earlier := &slow{encoding: make(chan struct{}), proceed: make(chan struct{})}
			connectTo(t, r.options(earlier))
			done := make(chan error)
			go func() { done <- c.send() }()
			<-earlier.encoding
			disconnectNow(t)
			connectTo(t, r.options(reversing{}))
			close(earlier.proceed)
			if err := <-done; err != nil {
				t.Error(err)
			}
			wantEncoded(t, r)
		})
	}
}

func TestACallUnderWayEndsBeforeTheNextConnectionIsMade(t *testing.T) {
	r := newRecorder(t)
	connectTo(t, r.options(nil))
	r.answers.Lock()
	defer r.answers.Unlock()
	done := make(chan error, 1)
	go func() {
		_, err := RecordHeartbeat(background, []byte("token"), "plain")
		done <- err
	}()
	r.waitFor(t, "plain")
	disconnectNow(t)
	connectTo(t, r.options(reversing{}))
	wantIs(t, <-done, ErrNotConnected)
}

func TestDetailsHandedOverInTheClearAreEncoded(t *testing.T) {
	r := newRecorder(t)
	connectTo(t, r.options(reversing{}))
	encoded, err := reversing{}.Encode([]Payload{newPayload(encodingBinary, []byte("encoded before"))})
	if err != nil {
		t.Fatal(err)
	}
	handed := append(encoded, newPayload(encodingBinary, []byte(secret)))
	t.Setenv("TEMPORAL_ACTIVITY_TASK_TOKEN", base64.StdEncoding.EncodeToString(someToken))
	t.Setenv("TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS", base64.StdEncoding.EncodeToString(appendPayloads(nil, handed)))
	act, err := OpenFromEnv(background, OpenOptions{HeartbeatTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer act.Close(background)
	var first, second []byte
	if err := act.GetHeartbeatDetails(&first, &second); err != nil || string(first) != "encoded before" || string(second) != secret {
		t.Error(err, string(first), string(second))
	}
	r.waitFor(t, encodingReversed)
	wantEncoded(t, r)
}

func TestPayloadsGivenInTheClearAreEncoded(t *testing.T) {
	r := newRecorder(t)
	connectTo(t, r.options(reversing{}))
	given := []any{newPayload(encodingNull, nil), Payload{Data: []byte(secret)}}
	for _, encoding := range []string{encodingJSON, encodingBinary, encodingProtoJSON, encodingProto} {
		given = append(given, newPayload(encoding, []byte(secret)))
	}
	if _, err := RecordHeartbeat(background, []byte("token"), given...); err != nil {
		t.Error(err)
	}
	failure := Failure{Message: "m", Details: given, HeartbeatDetails: given, Cause: &Failure{Details: given}}
	if err := Fail(background, []byte("token"), failure); err != nil {
		t.Error(err)
	}
	wantEncoded(t, r)
	if n := bytes.Count(r.received(), []byte(encodingReversed)); n != 4*len(given) {
		t.Errorf("%d values are encoded", n)
	}
}
