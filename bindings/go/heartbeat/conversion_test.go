package heartbeat

import (
	"context"
	"errors"
	"slices"
	"testing"

	"temporal-heartbeat.dev/go/internal/wire"
)

// envelopeConverter is a whole converter, which writes values in its own form.
type envelopeConverter struct{ fails error }

func (e envelopeConverter) ToPayloads(values ...any) ([]Payload, error) {
	payloads, err := toPayloads(values)
	for i, payload := range payloads {
		payloads[i] = newPayload("binary/envelope", payload.marshal())
	}
	return payloads, errors.Join(err, e.fails)
}

func (e envelopeConverter) FromPayload(payload Payload, valuePtr any) error {
	if payload.Encoding() != "binary/envelope" {
		return errors.New("no envelope")
	}
	var content Payload
	if err := content.UnmarshalBinary(payload.Data); err != nil {
		return err
	}
	return content.Get(valuePtr)
}

func TestDataConverterConvertsAllValues(t *testing.T) {
	c := conversion{converter: envelopeConverter{}}
	values := []any{41, []byte("bytes"), newPayload(encodingJSON, []byte(`"plain"`)), newPayload(encodingBinary, []byte("raw")),
		newPayload(encodingNull, nil), newPayload("binary/encrypted", []byte("unchanged"))}
	payloads, err := c.toPayloads(values)
	if err != nil {
		t.Fatal(err)
	}
	var encodings []string
	for _, payload := range payloads {
		encodings = append(encodings, payload.Encoding())
	}
	const ours = "binary/envelope"
	if want := []string{ours, ours, ours, ours, ours, "binary/encrypted"}; !slices.Equal(encodings, want) {
		t.Errorf("the encodings are %q", encodings)
	}
	var number int
	var raw, plainBytes []byte
	var text string
	if err := (Details{values: payloads, conversion: c}).Get(&number, &raw, &text, &plainBytes); err != nil || number != 41 ||
		string(raw) != "bytes" || text != "plain" || string(plainBytes) != "raw" {
		t.Error(err, number, raw, text, plainBytes)
	}
	var conversionError *ConversionError
	if err := (Details{values: payloads[5:], conversion: c}).Get(&number); !errors.As(err, &conversionError) {
		t.Error("not a ConversionError:", err)
	}
	if again, err := c.toPayloads((Details{values: payloads, conversion: c}).Values()); err != nil || !slices.EqualFunc(again, payloads, samePayload) {
		t.Errorf("recorded again: %+v, %v", again, err)
	}
	initial := detailsOf(t, 41)
	if values, err := (OpenOptions{InitialDetails: initial}).initialDetails(c, false); err != nil || *values == "" {
		t.Error(err)
	}
}

func samePayload(a, b Payload) bool {
	return slices.Equal(a.marshal(), b.marshal())
}

func TestPlainPayloadOfUnknownTypeIsRefusedWithADataConverter(t *testing.T) {
	unknown := newPayload(encodingProtoJSON, []byte("{}"))
	unknown.Metadata[metadataMessageType] = []byte("unknown.Message")
	c := conversion{converter: envelopeConverter{}}
	if payloads, err := c.toPayloads([]any{unknown}); err == nil {
		t.Errorf("it would be sent readable: %+v", payloads)
	}
}

func TestCodecAndConverterTogetherAreRefused(t *testing.T) {
	err := Connect(context.Background(), Options{PayloadCodec: reversingCodec{}, DataConverter: envelopeConverter{}})
	wantIs(t, err, ErrConfig)
	_, err = Open(context.Background(), testToken, OpenOptions{PayloadCodec: reversingCodec{}, DataConverter: envelopeConverter{}})
	wantIs(t, err, ErrConfig)
}

func TestMessagesOfAllCausesAreEncoded(t *testing.T) {
	failure := Failure{Message: "secret", StackTrace: "frames", Type: "T", Cause: &Failure{Message: "inner"}}
	tree, err := failure.toJSON(conversion{codec: reversingCodec{}, encodesFailures: true}, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for node, want := range map[*failureJSON]commonAttributes{tree: {"secret", "frames"}, tree.Cause: {Message: "inner"}} {
		if node.Message != "Encoded failure" || node.StackTrace != "" {
			t.Errorf("readable: %+v", node)
		}
		attributes, err := parsePayload(node.Attributes)
		if err != nil || attributes.Encoding() != encodingReversed {
			t.Fatal(attributes, err)
		}
		decoded, err := reversingCodec{}.Decode([]Payload{attributes})
		if err != nil {
			t.Fatal(err)
		}
		var got commonAttributes
		if err := decoded[0].Get(&got); err != nil || got != want {
			t.Errorf("%+v, %v", got, err)
		}
	}
	broken := errors.New("no key")
	_, err = failure.toJSON(conversion{codec: reversingCodec{fails: broken}, encodesFailures: true}, "", 0)
	wantIs(t, err, broken)
}

// externalReferences are references to external storages, as the SDKs write them, and wrote them before.
func externalReferences() []Payload {
	reference := newPayload(encodingProtoJSON, []byte(`{"driverName":"s3"}`))
	reference.Metadata[metadataMessageType] = []byte(wire.MessageExternalReference)
	return []Payload{reference, newPayload(wire.EncodingExternalReference, []byte(`{"driver_name":"s3"}`))}
}

func TestExternalReferencesPassUnchanged(t *testing.T) {
	for _, reference := range externalReferences() {
		for name, c := range map[string]conversion{
			"default": {}, "codec": {codec: reversingCodec{}}, "converter": {converter: envelopeConverter{}},
		} {
			payloads, err := c.toPayloads([]any{1, reference, 2})
			if err != nil || len(payloads) != 3 || !samePayload(payloads[1], reference) {
				t.Errorf("%s: %+v, %v", name, payloads, err)
			}
			handedOver, err := c.encodePlain([]Payload{reference})
			if err != nil || !samePayload(handedOver[0], reference) {
				t.Errorf("%s, handed over: %+v, %v", name, handedOver, err)
			}
		}
	}
}

func TestReadingAnExternalReferenceIsAnError(t *testing.T) {
	for _, reference := range externalReferences() {
		for name, c := range map[string]conversion{
			"default": {}, "codec": {codec: reversingCodec{}}, "converter": {converter: envelopeConverter{}},
		} {
			values, err := c.decode([]Payload{reference})
			if err != nil {
				t.Fatal(err)
			}
			details := Details{values: values, conversion: c}
			var value any
			if err := details.Get(&value); !errors.Is(err, errExternalReference) {
				t.Errorf("%s: read %v, %v", name, value, err)
			}
			var payload Payload
			if err := details.Get(&payload); err != nil || !samePayload(payload, reference) {
				t.Errorf("%s: %+v, %v", name, payload, err)
			}
		}
	}
}

func TestRecordAllocatesOnlyItsValue(t *testing.T) {
	connectWithTestCodec(t, nil)
	act := openActivity(t, OpenOptions{InitialDetails: detailsOf(t), DisablePulse: true})
	allocated := testing.AllocsPerRun(1000, func() {
		if _, err := act.RecordHeartbeat(41_000); err != nil {
			t.Fatal(err)
		}
	})
	if allocated > 1 {
		t.Errorf("%v allocations", allocated)
	}
}
