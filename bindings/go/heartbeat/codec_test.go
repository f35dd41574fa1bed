package heartbeat

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

const encodingReversed = "binary/reversed"

// reversingCodec reverses the bytes of a payload, so that a search for the plain bytes doesn't find them.
type reversingCodec struct{ fails error }

func (r reversingCodec) Encode(payloads []Payload) ([]Payload, error) {
	out := make([]Payload, len(payloads))
	for i, payload := range payloads {
		data, err := payload.MarshalBinary()
		if err != nil {
			return nil, err
		}
		slices.Reverse(data)
		out[i] = newPayload(encodingReversed, data)
	}
	return out, r.fails
}

func (r reversingCodec) Decode(payloads []Payload) ([]Payload, error) {
	in := make([]Payload, len(payloads))
	for i, payload := range payloads {
		if in[i] = payload; payload.Encoding() != encodingReversed {
			continue
		}
		data := slices.Clone(payload.Data)
		slices.Reverse(data)
		if err := in[i].UnmarshalBinary(data); err != nil {
			return nil, err
		}
	}
	return in, r.fails
}

// connectWithTestCodec connects with the codec to a server that never answers.
func connectWithTestCodec(t *testing.T, codec PayloadCodec) {
	t.Helper()
	needLibrary(t)
	err := Connect(context.Background(), Options{HostPort: silentServer(t), Lazy: true, PayloadCodec: codec})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Disconnect(context.Background()) })
}

// wantReversed checks that reversingCodec encoded all of the serialized Payloads, and returns their number.
func wantReversed(t *testing.T, data []byte) int {
	t.Helper()
	payloads, err := parsePayloads(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, payload := range payloads {
		if payload.Encoding() != encodingReversed {
			t.Errorf("the encoding is %q", payload.Encoding())
		}
	}
	return len(payloads)
}

func TestValuesAreEncodedAndDecoded(t *testing.T) {
	connectWithTestCodec(t, reversingCodec{})
	stored, err := encodeValues(new(bytes.Buffer), currentEpoch.Load().conversion, "op", []any{41, nil, []byte("bytes"), "text"})
	if err != nil {
		t.Fatal(err)
	}
	if n := wantReversed(t, stored.data); n != 4 {
		t.Errorf("%d values", n)
	}
	payloads, err := parsePayloads(stored.data)
	if err != nil {
		t.Fatal(err)
	}
	values, err := decodePayloads(currentEpoch.Load().conversion.codec, payloads)
	if err != nil {
		t.Fatal(err)
	}
	var number int
	var nothing any
	var raw []byte
	var text string
	if err := (Details{values: values}).Get(&number, &nothing, &raw, &text); err != nil {
		t.Fatal(err)
	}
	if number != 41 || nothing != nil || string(raw) != "bytes" || text != "text" {
		t.Error(number, nothing, string(raw), text)
	}
	again := Details{values: values}.Values()
	if stored, err = encodeValues(new(bytes.Buffer), currentEpoch.Load().conversion, "op", again); err != nil || wantReversed(t, stored.data) != 4 {
		t.Error("a value that was read isn't encoded when it is recorded again:", err)
	}
}

func TestFailureDetailsAndInitialDetailsAreEncoded(t *testing.T) {
	connectWithTestCodec(t, reversingCodec{})
	failure := Failure{Details: []any{"secret"}, HeartbeatDetails: []any{"secret"}, Cause: &Failure{Details: []any{"secret"}}}
	data, err := failure.marshal(currentEpoch.Load().conversion, "op")
	if err != nil {
		t.Fatal(err)
	}
	var tree failureJSON
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	for _, details := range [][]byte{tree.Details, tree.HeartbeatDetails, tree.Cause.Details} {
		if wantReversed(t, details) != 1 {
			t.Error("a value is missing")
		}
	}
	initial, err := NewDetails("secret")
	if err != nil {
		t.Fatal(err)
	}
	options, err := OpenOptions{InitialDetails: &initial}.marshal(currentEpoch.Load().conversion, "op", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	var given struct {
		InitialDetails []byte `json:"initial_details"`
	}
	if err := json.Unmarshal(options, &given); err != nil || wantReversed(t, given.InitialDetails) != 1 {
		t.Error(err, base64.StdEncoding.EncodeToString(given.InitialDetails))
	}
}

func TestFastPathsUseTheCodec(t *testing.T) {
	connectWithTestCodec(t, reversingCodec{})
	initial, err := NewDetails()
	if err != nil {
		t.Fatal(err)
	}
	act, err := Open(context.Background(), testToken, OpenOptions{InitialDetails: &initial, DisablePulse: true})
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	defer act.Close(ended)
	broken := errors.New("no key")
	for _, record := range []func() (Signals, error){
		func() (Signals, error) { return act.RecordHeartbeat(41) },
		func() (Signals, error) { return act.RecordHeartbeat([]byte("bytes")) },
		func() (Signals, error) { return act.RecordBytes([]byte("bytes")) },
	} {
		act.conversion.codec = reversingCodec{}
		if _, err := record(); err != nil {
			t.Error(err)
		}
		act.conversion.codec = reversingCodec{fails: broken}
		if _, err := record(); !errors.Is(err, broken) || !strings.Contains(err.Error(), "codec can't encode") {
			t.Error("the error of the codec is lost:", err)
		}
	}
}

func TestCodecStaysCurrentUntilTheNextConnect(t *testing.T) {
	connectWithTestCodec(t, reversingCodec{})
	if err := Disconnect(context.Background()); err != nil {
		t.Fatal(err)
	}
	if currentEpoch.Load().conversion.codec == nil {
		t.Error("the codec isn't current any more")
	}
	connectLazily(t, silentServer(t))
	if currentEpoch.Load().conversion.codec != nil {
		t.Error("the codec is still current")
	}
}
