package heartbeat

import (
	"bytes"
	"reflect"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"temporal-heartbeat.dev/go/internal/wire"
)

// payloadsSchema is the part of temporal/api/common/v1/message.proto that holds Payloads.
const payloadsSchema = `
name: "message.proto" package: "temporal.api.common.v1" syntax: "proto3"
message_type {
  name: "Payload"
  field { name: "metadata" number: 1 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".temporal.api.common.v1.Payload.MetadataEntry" }
  field { name: "data" number: 2 label: LABEL_OPTIONAL type: TYPE_BYTES }
  nested_type {
    name: "MetadataEntry" options { map_entry: true }
    field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
    field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_BYTES }
  }
}
message_type {
  name: "Payloads"
  field { name: "payloads" number: 1 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".temporal.api.common.v1.Payload" }
}`

func payloadsDescriptor(t *testing.T) protoreflect.MessageDescriptor {
	t.Helper()
	schema := new(descriptorpb.FileDescriptorProto)
	if err := prototext.Unmarshal([]byte(payloadsSchema), schema); err != nil {
		t.Fatal(err)
	}
	file, err := protodesc.NewFile(schema, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file.Messages().ByName("Payloads")
}

func TestPayloadsAreSerializedAsProtobufDoes(t *testing.T) {
	values := []Payload{
		{Metadata: map[string][]byte{"encoding": []byte("binary/null")}},
		{Metadata: map[string][]byte{"messageType": []byte("a.B"), "encoding": []byte("json/protobuf")}, Data: []byte("{}")},
		{Metadata: map[string][]byte{}, Data: bytes.Repeat([]byte("x"), 300)},
		{Metadata: map[string][]byte{"": {}}},
	}
	ours := appendPayloads(nil, values)

	message := dynamicpb.NewMessage(payloadsDescriptor(t))
	if err := proto.Unmarshal(ours, message); err != nil {
		t.Fatal(err)
	}
	theirs, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ours, theirs) {
		t.Errorf("we write\n%x, protobuf\n%x", ours, theirs)
	}

	back, err := parsePayloads(theirs)
	if err != nil {
		t.Fatal(err)
	}
	for i := range back {
		if len(back[i].unknown) != 0 {
			t.Errorf("value %d has unknown fields", i)
		}
		for key, value := range values[i].Metadata {
			if !bytes.Equal(back[i].Metadata[key], value) {
				t.Errorf("value %d: metadata %q is %q", i, key, back[i].Metadata[key])
			}
		}
		if len(back[i].Metadata) != len(values[i].Metadata) || !bytes.Equal(back[i].Data, values[i].Data) {
			t.Errorf("value %d is %v", i, back[i])
		}
	}
}

func TestUnknownPayloadFieldsArePreserved(t *testing.T) {
	external := wire.AppendBytes(nil, 3, []byte("external storage"))
	theirs := wire.AppendBytes(nil, wire.Payloads, append(newPayload("json/plain", []byte("1")).marshal(), external...))
	values, err := parsePayloads(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if ours := appendPayloads(nil, values); !bytes.Equal(ours, theirs) {
		t.Errorf("%x became %x", theirs, ours)
	}
}

func TestBrokenPayloadsAreAnError(t *testing.T) {
	whole := appendPayloads(nil, []Payload{newPayload("json/plain", []byte("123"))})
	for n := 1; n < len(whole); n++ {
		if values, err := parsePayloads(whole[:n]); err == nil {
			t.Errorf("%d bytes of %d are read as %v", n, len(whole), values)
		}
	}
	if values, err := parsePayloads(nil); err != nil || !reflect.DeepEqual(values, []Payload(nil)) {
		t.Error(values, err)
	}
}
