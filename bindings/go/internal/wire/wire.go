// Package wire reads and writes the protobuf messages Payloads and Payload, for package heartbeat and for package handoff, which must not
// depend on cgo.
package wire

import "google.golang.org/protobuf/encoding/protowire"

// The field numbers of temporal.api.common.v1:
//
//	message Payloads { repeated Payload payloads = 1; }
//	message Payload  { map<string, bytes> metadata = 1; bytes data = 2; }
//
// A map's entry is a message with the key in field 1 and the value in field 2.
const (
	Payloads protowire.Number = 1
	Metadata protowire.Number = 1
	Data     protowire.Number = 2
	Key      protowire.Number = 1
	Value    protowire.Number = 2
)

// The references that the SDKs store in place of a large value when they have an external storage: a protobuf message as JSON, and in
// old versions an encoding of their own.
const (
	EncodingExternalReference = "json/external-storage-reference"
	MessageExternalReference  = "temporal.api.sdk.v1.ExternalStorageReference"
)

// AppendBytes appends a bytes field.
func AppendBytes(b []byte, field protowire.Number, data []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), data)
}

// Fields calls visit with each bytes field. It returns the serialized fields that visit doesn't know, and those of other types.
func Fields(b []byte, visit func(field protowire.Number, data []byte) (known bool, err error)) (unknown []byte, err error) {
	for len(b) > 0 {
		field, wireType, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		size := protowire.ConsumeFieldValue(field, wireType, b[n:])
		if size < 0 {
			return nil, protowire.ParseError(size)
		}
		known := false
		if wireType == protowire.BytesType {
			data, _ := protowire.ConsumeBytes(b[n:])
			if known, err = visit(field, data); err != nil {
				return nil, err
			}
		}
		if !known {
			unknown = append(unknown, b[:n+size]...)
		}
		b = b[n+size:]
	}
	return unknown, nil
}

// MetadataEntry reads an entry of the metadata of a Payload.
func MetadataEntry(b []byte) (key string, value []byte, err error) {
	_, err = Fields(b, func(field protowire.Number, data []byte) (known bool, err error) {
		switch field {
		case Key:
			key = string(data)
		case Value:
			value = data
		}
		return true, nil
	})
	return key, value, err
}
