//go:build go1.24

package heartbeat

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// With a codec configured no value leaves the process unencoded. Each test searches the messages that the server received for plain bytes.

const (
	rounds = 10
	secret = "readable by anybody"

	encodingOther = "binary/other"
)

var background = context.Background()

// otherReversingCodec is a second codec with a different encoding.
type otherReversingCodec struct{ reversingCodec }

func (o otherReversingCodec) Encode(payloads []Payload) ([]Payload, error) {
	out, err := o.reversingCodec.Encode(payloads)
	for i := range out {
		out[i] = newPayload(encodingOther, out[i].Data)
	}
	return out, err
}

func (o otherReversingCodec) Decode(payloads []Payload) ([]Payload, error) {
	in := slices.Clone(payloads)
	for i, payload := range payloads {
		if payload.Encoding() == encodingOther {
			in[i] = newPayload(encodingReversed, payload.Data)
		}
	}
	return o.reversingCodec.Decode(in)
}

func connectWithOptions(t *testing.T, options Options) {
	t.Helper()
	if err := Connect(background, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disconnectNow(t) })
}

// disconnectNow disconnects without a flush.
func disconnectNow(t *testing.T) {
	t.Helper()
	ended, cancel := context.WithCancel(background)
	cancel()
	if err := Disconnect(ended); err != nil {
		t.Error(err)
	}
}

// retryUntilConnected repeats a call until the process is connected.
func retryUntilConnected(call func() error) error {
	for {
		if err := call(); !errors.Is(err, ErrNotConnected) {
			return err
		}
	}
}

// wantEncoded checks that the server received values of reversingCodec, and neither plain values nor values of otherReversingCodec.
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

func sendSecret(token string) func() error {
	return func() error {
		_, err := RecordHeartbeat(background, []byte(token), secret)
		return err
	}
}

func TestHeartbeatDuringConnectIsEncoded(t *testing.T) {
	for _, lazy := range []bool{true, false} {
		t.Run(fmt.Sprintf("lazy=%t", lazy), func(t *testing.T) {
			r := newRecorder(t)
			for range rounds {
				done := make(chan error)
				go func() { done <- retryUntilConnected(sendSecret("token")) }()
				options := r.options(reversingCodec{})
				options.Lazy = lazy
				connectWithOptions(t, options)
				if err := <-done; err != nil {
					t.Error(err)
				}
				disconnectNow(t)
			}
			wantEncoded(t, r)
		})
	}
}

func TestOpenDuringConnectIsEncoded(t *testing.T) {
	r := newRecorder(t)
	initial, err := NewDetails(secret)
	if err != nil {
		t.Fatal(err)
	}
	for range rounds {
		done := make(chan error)
		go func() {
			done <- retryUntilConnected(func() error {
				act, err := Open(background, testToken, OpenOptions{InitialDetails: &initial, HeartbeatTimeout: time.Second})
				if err != nil {
					return err
				}
				_, err = act.RecordHeartbeat(secret)
				return errors.Join(err, act.Close(background))
			})
		}()
		connectWithOptions(t, r.options(reversingCodec{}))
		if err := <-done; err != nil {
			t.Error(err)
		}
		disconnectNow(t)
	}
	wantEncoded(t, r)
}

func TestHeartbeatsDuringConnectsAndDisconnectsAreEncoded(t *testing.T) {
	r := newRecorder(t)
	var ended atomic.Bool
	var beating sync.WaitGroup
	for range 2 {
		beating.Add(1)
		go func() {
			defer beating.Done()
			for beat := sendSecret("token"); !ended.Load(); {
				if err := beat(); err != nil && !errors.Is(err, ErrNotConnected) {
					t.Error(err)
				}
			}
		}()
	}
	for round := range rounds {
		connectWithOptions(t, r.options(reversingCodec{}))
		if err := sendSecret("main")(); err != nil {
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

// cancelledWhenAwaited is a context that is cancelled when a goroutine begins to wait for it for the last of several times.
type cancelledWhenAwaited struct {
	context.Context
	cancel context.CancelFunc
	waits  int
}

func (c *cancelledWhenAwaited) Done() <-chan struct{} {
	if c.waits--; c.waits == 0 {
		c.cancel()
	}
	return c.Context.Done()
}

func TestCancelledDisconnectKeepsTheCodec(t *testing.T) {
	r := newRecorder(t)
	initial, err := NewDetails()
	if err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		connectWithOptions(t, r.options(reversingCodec{}))
		r.answers.Lock()
		act, err := Open(background, testToken, OpenOptions{InitialDetails: &initial, HeartbeatTimeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := act.RecordHeartbeat(secret); err != nil {
			t.Fatal(err)
		}
		inner, cancel := context.WithCancel(background)
		// The flush can't end, since the server doesn't answer the record.
		err = Disconnect(&cancelledWhenAwaited{inner, cancel, 1})
		wantIs(t, err, context.Canceled)
		done := make(chan error)
		token := fmt.Sprintf("token-%d.", round)
		go func() { done <- sendSecret(token)() }()
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

func TestCancelledConnectLeavesNoConnectionWithoutItsCodec(t *testing.T) {
	r := newRecorder(t)
	for range 3 {
		options := r.options(reversingCodec{})
		options.Lazy = false
		r.answers.Lock()
		inner, cancel := context.WithCancel(background)
		// The first wait is for other connects.
		err := Connect(&cancelledWhenAwaited{inner, cancel, 2}, options)
		wantIs(t, err, context.Canceled)
		var ended atomic.Bool
		done := make(chan struct{})
		go func() {
			defer close(done)
			for beat := sendSecret("token"); !ended.Load(); {
				beat() // succeeds only before the connection is given up
			}
		}()
		r.answers.Unlock()
		// This Connect waits for the end of the cancelled one.
		connectWithOptions(t, options)
		ended.Store(true)
		<-done
		if err := sendSecret("token")(); err != nil {
			t.Error(err)
		}
		disconnectNow(t)
	}
	wantEncoded(t, r)
}

func TestRefusedConnectKeepsTheCodec(t *testing.T) {
	r := newRecorder(t)
	connectWithOptions(t, r.options(reversingCodec{}))
	for _, codec := range []PayloadCodec{nil, otherReversingCodec{}} {
		wantIs(t, Connect(background, r.options(codec)), ErrAlreadyConnected)
		if err := sendSecret("token")(); err != nil {
			t.Error(err)
		}
	}
	wantEncoded(t, r)
}

// slowCodec is a codec whose first Encode waits, so that its caller hasn't called the library yet.
type slowCodec struct {
	otherReversingCodec
	once     sync.Once
	encoding chan struct{}
	proceed  chan struct{}
}

func (s *slowCodec) Encode(payloads []Payload) ([]Payload, error) {
	s.once.Do(func() {
		close(s.encoding)
		<-s.proceed
	})
	return s.otherReversingCodec.Encode(payloads)
}

func TestCallThatBeganBeforeAReconnectUsesTheNewCodec(t *testing.T) {
	token := []byte("token")
	initial, err := NewDetails(secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		send func() error
	}{
		{"heartbeat", sendSecret("token")},
		{"complete", func() error { return Complete(background, token, secret) }},
		{"report cancelled", func() error { return ReportCancelled(background, token, secret) }},
		{"fail", func() error {
			return Fail(background, token, Failure{Message: "m", Details: []any{secret}, HeartbeatDetails: []any{secret}})
		}},
		{"open", func() error {
			act, err := Open(background, testToken, OpenOptions{InitialDetails: &initial, HeartbeatTimeout: time.Minute})
			if err != nil {
				return err
			}
			_, err = act.RecordHeartbeat(secret)
			return errors.Join(err, act.Close(background))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRecorder(t)
			earlier := &slowCodec{encoding: make(chan struct{}), proceed: make(chan struct{})}
			connectWithOptions(t, r.options(earlier))
			done := make(chan error)
			go func() { done <- c.send() }()
			<-earlier.encoding
			disconnectNow(t)
			connectWithOptions(t, r.options(reversingCodec{}))
			close(earlier.proceed)
			if err := <-done; err != nil {
				t.Error(err)
			}
			wantEncoded(t, r)
		})
	}
}

func TestCallInProgressEndsBeforeTheNextConnection(t *testing.T) {
	r := newRecorder(t)
	connectWithOptions(t, r.options(nil))
	r.answers.Lock()
	defer r.answers.Unlock()
	done := make(chan error, 1)
	go func() {
		_, err := RecordHeartbeat(background, []byte("token"), "plain")
		done <- err
	}()
	r.waitFor(t, "plain")
	disconnectNow(t)
	connectWithOptions(t, r.options(reversingCodec{}))
	wantIs(t, <-done, ErrNotConnected)
}

func TestPlainDetailsInTheEnvironmentAreEncoded(t *testing.T) {
	r := newRecorder(t)
	connectWithOptions(t, r.options(reversingCodec{}))
	encoded, err := reversingCodec{}.Encode([]Payload{newPayload(encodingBinary, []byte("encoded before"))})
	if err != nil {
		t.Fatal(err)
	}
	handed := append(encoded, newPayload(encodingBinary, []byte(secret)))
	t.Setenv("TEMPORAL_ACTIVITY_TASK_TOKEN", base64.StdEncoding.EncodeToString(testToken))
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

func TestPlainPayloadsAreEncoded(t *testing.T) {
	r := newRecorder(t)
	connectWithOptions(t, r.options(reversingCodec{}))
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
