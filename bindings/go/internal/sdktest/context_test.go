package sdktest

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"temporal-heartbeat.dev/go/heartbeat"
)

// contextCodec is a codec of the SDK that writes its serialization context into each payload.
type contextCodec struct {
	converter.PayloadCodec
	context converter.SerializationContext
}

func (c contextCodec) WithSerializationContext(context converter.SerializationContext) converter.PayloadCodec {
	c.context = context
	return c
}

func (c contextCodec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	encoded, err := c.PayloadCodec.Encode(payloads)
	for _, payload := range encoded {
		if activity, ok := c.context.(converter.ActivitySerializationContext); ok {
			payload.Metadata["key"] = []byte(activity.WorkflowID)
		}
	}
	return encoded, err
}

var (
	zlibCodec = converter.NewZlibCodec(converter.ZlibCodecOptions{AlwaysEncode: true})
	known     = heartbeat.SerializationContext{
		Namespace: "n", WorkflowID: "w", WorkflowType: "wt", ActivityID: "a", ActivityType: "at", TaskQueue: "q",
	}
	sdkContext = converter.ActivitySerializationContext{Namespace: "n", WorkflowID: "w", WorkflowType: "wt", ActivityType: "at", TaskQueue: "q"}
)

func payloadOf(t *testing.T, value any) heartbeat.Payload {
	t.Helper()
	payload, err := heartbeat.NewPayload(value)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// storingCodec is a codec of the SDK that stores its serialization context.
type storingCodec struct {
	converter.PayloadCodec
	got *converter.SerializationContext
}

func (c storingCodec) WithSerializationContext(context converter.SerializationContext) converter.PayloadCodec {
	*c.got = context
	return c
}

func TestCodecOfTheSDKGetsTheSDKsContext(t *testing.T) {
	var got converter.SerializationContext
	codec := heartbeat.CodecFrom(storingCodec{zlibCodec, &got}, converter.ActivitySerializationContext{})
	codec.(heartbeat.PayloadCodecWithSerializationContext).WithSerializationContext(known)
	if !reflect.DeepEqual(got, sdkContext) {
		t.Errorf("%+v", got)
	}
	bound := heartbeat.CodecFrom(contextCodec{zlibCodec, nil}, converter.ActivitySerializationContext{}).(heartbeat.PayloadCodecWithSerializationContext)
	encoded, err := bound.WithSerializationContext(known).Encode([]heartbeat.Payload{payloadOf(t, 41)})
	if err != nil || string(encoded[0].Metadata["key"]) != "w" {
		t.Errorf("%+v, %v", encoded, err)
	}
}

func TestCodecThatTakesAContextNeedsItsType(t *testing.T) {
	values := []heartbeat.Payload{payloadOf(t, 41)}
	_, err := heartbeat.CodecFrom(contextCodec{zlibCodec, nil}).Encode(values)
	if err == nil || !strings.Contains(err.Error(), "converter.ActivitySerializationContext{}") {
		t.Error(err)
	}
	err = heartbeat.Connect(t.Context(), heartbeat.Options{PayloadCodec: heartbeat.CodecFrom(contextCodec{zlibCodec, nil})})
	if !errors.Is(err, heartbeat.ErrConfig) {
		t.Error(err)
	}
	bound := contextCodec{zlibCodec, nil}.WithSerializationContext(sdkContext)
	if encoded, err := heartbeat.CodecFrom(bound, nil).Encode(values); err != nil || string(encoded[0].Metadata["key"]) != "w" {
		t.Errorf("%+v, %v", encoded, err)
	}
	defer func() {
		if message, _ := recover().(string); !strings.Contains(message, "converter.ActivitySerializationContext{}") {
			t.Errorf("the panic is %q", message)
		}
	}()
	heartbeat.CodecFrom(contextCodec{zlibCodec, nil}, 41)
}

// inOrder returns the payload with inflated data. The codec deflates a payload whose metadata are in any order.
func inOrder(t *testing.T, payload *commonpb.Payload) *commonpb.Payload {
	t.Helper()
	inner, err := zlibCodec.Decode([]*commonpb.Payload{payload})
	if err != nil {
		t.Fatal(err)
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(inner[0])
	if err != nil {
		t.Fatal(err)
	}
	return &commonpb.Payload{Metadata: payload.Metadata, Data: data}
}

func TestConverterOfTheSDKConvertsAsTheSDKDoes(t *testing.T) {
	theirs := converter.NewCodecDataConverter(sdk, contextCodec{zlibCodec, nil})
	unbound := heartbeat.DataConverterFrom(theirs, converter.ActivitySerializationContext{})
	ours := unbound.(heartbeat.DataConverterWithSerializationContext).WithSerializationContext(known)
	theirs = converter.WithDataConverterSerializationContext(theirs, sdkContext)

	values := []any{41, "text", []byte("bytes"), nil, message, converter.NewRawValue(&commonpb.Payload{Data: []byte("raw")})}
	payloads, err := ours.ToPayloads(values...)
	if err != nil {
		t.Fatal(err)
	}
	want, err := theirs.ToPayloads(values...)
	if err != nil {
		t.Fatal(err)
	}
	for i, payload := range payloads {
		if got, want := inOrder(t, asMessage(payload)), inOrder(t, want.Payloads[i]); !proto.Equal(got, want) {
			t.Errorf("we write %v, the SDK %v", got, want)
		}
	}
	var number int
	var raw converter.RawValue
	read := &commonpb.WorkflowExecution{}
	for i, target := range map[int]any{0: &number, 1: &raw, 4: &read} {
		if err := ours.FromPayload(payloads[i], target); err != nil {
			t.Error(err)
		}
	}
	if number != 41 || !bytes.Equal(raw.Payload().Data, []byte(`"text"`)) || !proto.Equal(read, message) {
		t.Error(number, raw, read)
	}
	if _, isBound := heartbeat.DataConverterFrom(sdk, nil).(heartbeat.DataConverterWithSerializationContext); isBound {
		t.Error("a converter without a context takes one")
	}
}

// The SDK stores references unencoded, with the size of the value. All fields are preserved.
func TestReferenceOfTheSDKPassesUnchanged(t *testing.T) {
	reference := &commonpb.Payload{
		Metadata: map[string][]byte{
			"encoding": []byte("json/protobuf"), "messageType": []byte("temporal.api.sdk.v1.ExternalStorageReference"),
		},
		Data:             []byte(`{"driverName":"s3"}`),
		ExternalPayloads: []*commonpb.Payload_ExternalPayloadDetails{{SizeBytes: 1 << 30}},
	}
	var payload heartbeat.Payload
	if err := payload.UnmarshalBinary(must(proto.Marshal(reference))); err != nil {
		t.Fatal(err)
	}
	var value any
	if err := payload.Get(&value); err == nil || !strings.Contains(err.Error(), "external storage") {
		t.Errorf("read %v, %v", value, err)
	}
	details, err := heartbeat.NewDetails(payload)
	if err != nil {
		t.Fatal(err)
	}
	after := &commonpb.Payload{}
	if err := proto.Unmarshal(must(details.Payloads()[0].MarshalBinary()), after); err != nil || !proto.Equal(after, reference) {
		t.Errorf("%v, %v", after, err)
	}
}
