package heartbeat

import (
	"bytes"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// The numbers of the fields of temporal.api.common.v1:
//
//	message Payloads { repeated Payload payloads = 1; }
//	message Payload  { map<string, bytes> metadata = 1; bytes data = 2; }
//
// A map's entry is a message with the key in field 1 and the value in field 2.
const (
	fieldPayloads protowire.Number = 1
	fieldMetadata protowire.Number = 1
	fieldData     protowire.Number = 2
	fieldKey      protowire.Number = 1
	fieldValue    protowire.Number = 2
)

// appendPayloads serializes values as Payloads. The same values always give the same bytes.
func appendPayloads(b []byte, payloads []Payload) []byte {
	for _, p := range payloads {
		b = appendBytes(b, fieldPayloads, p.marshal())
	}
	return b
}

func (p Payload) marshal() []byte {
	var b []byte
	for _, key := range slices.Sorted(maps.Keys(p.Metadata)) {
		var entry []byte
		entry = appendBytes(entry, fieldKey, []byte(key))
		entry = appendBytes(entry, fieldValue, p.Metadata[key])
		b = appendBytes(b, fieldMetadata, entry)
	}
	if len(p.Data) > 0 {
		b = appendBytes(b, fieldData, p.Data)
	}
	return append(b, p.unknown...)
}

func appendBytes(b []byte, field protowire.Number, data []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), data)
}

// parsePayloads reads what appendPayloads or anybody else wrote.
func parsePayloads(b []byte) ([]Payload, error) {
	var payloads []Payload
	_, err := parseFields(b, func(field protowire.Number, data []byte) (known bool, err error) {
		if field != fieldPayloads {
			return false, nil
		}
		p, err := parsePayload(data)
		payloads = append(payloads, p)
		return true, err
	})
	return payloads, err
}

func parsePayload(b []byte) (Payload, error) {
	p := Payload{Metadata: map[string][]byte{}}
	var err error
	p.unknown, err = parseFields(b, func(field protowire.Number, data []byte) (known bool, err error) {
		switch field {
		case fieldMetadata:
			var key string
			var value []byte
			_, err = parseFields(data, func(field protowire.Number, data []byte) (known bool, err error) {
				switch field {
				case fieldKey:
					key = string(data)
				case fieldValue:
					value = data
				}
				return true, nil
			})
			p.Metadata[key] = value
			return true, err
		case fieldData:
			p.Data = data
			return true, nil
		}
		return false, nil
	})
	return p, err
}

// parseFields gives each field that holds bytes to take, and returns all others, and those that take doesn't know, as they are.
func parseFields(b []byte, take func(field protowire.Number, data []byte) (known bool, err error)) (unknown []byte, err error) {
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
			if known, err = take(field, data); err != nil {
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

// clone copies all that the payload refers to.
func (p Payload) clone() Payload {
	metadata := make(map[string][]byte, len(p.Metadata))
	for key, value := range p.Metadata {
		metadata[key] = bytes.Clone(value)
	}
	return Payload{Metadata: metadata, Data: bytes.Clone(p.Data), unknown: bytes.Clone(p.unknown)}
}
