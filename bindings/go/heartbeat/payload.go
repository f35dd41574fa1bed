package heartbeat

import (
	"bytes"
	"errors"
	"maps"
	"reflect"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"temporal-heartbeat.dev/go/internal/wire"
)

// Payload is a value in the form in which Temporal stores it, temporal.api.common.v1.Payload. It is passed by value.
//
// As a detail or a result it isn't converted, and [Details.Get] reads a value into a *Payload without converting it. Use it for
// encodings that this package doesn't know. The codec of [Options] encodes and decodes it like any other value.
type Payload struct {
	// Metadata describes Data. The key "encoding" names its encoding.
	Metadata map[string][]byte
	Data     []byte

	unknown []byte // other fields of the protobuf message, which are preserved
}

// NewPayload converts a value as the documentation of the package describes. It returns a Payload unchanged.
func NewPayload(value any) (Payload, error) {
	payload, err := toPayload(value)
	if err != nil {
		return Payload{}, &ConversionError{Type: reflect.TypeOf(value), Err: err}
	}
	return payload, nil
}

// Get converts the payload into the variable that the pointer points to, as [Details.Get] does.
func (p Payload) Get(valuePtr any) error {
	if err := p.get(valuePtr); err != nil {
		return err
	}
	return nil
}

// Encoding returns the encoding of the data, for example "json/plain"; "" if the metadata doesn't name it.
func (p Payload) Encoding() string {
	return string(p.Metadata[metadataEncoding])
}

// isExternalReference reports whether the payload is a reference to a value in an external storage of an SDK.
func (p Payload) isExternalReference() bool {
	return p.Encoding() == wire.EncodingExternalReference || string(p.Metadata[metadataMessageType]) == wire.MessageExternalReference
}

var errPayloadInJSON = errors.New("pass a Payload by value, and not within another value")

// MarshalJSON always fails. A Payload within another value would lose its meaning.
func (p Payload) MarshalJSON() ([]byte, error) {
	return nil, errPayloadInJSON
}

// UnmarshalJSON always fails, as MarshalJSON does.
func (p *Payload) UnmarshalJSON([]byte) error {
	return errPayloadInJSON
}

// MarshalBinary returns the serialized temporal.api.common.v1.Payload, which most codecs encrypt.
func (p Payload) MarshalBinary() ([]byte, error) {
	return p.marshal(), nil
}

// UnmarshalBinary reads the result of MarshalBinary.
func (p *Payload) UnmarshalBinary(data []byte) error {
	payload, err := parsePayload(bytes.Clone(data))
	if err != nil {
		return err
	}
	*p = payload
	return nil
}

// marshal serializes the payload. Equal payloads have equal bytes.
func (p Payload) marshal() []byte {
	var b []byte
	for _, key := range slices.Sorted(maps.Keys(p.Metadata)) {
		var entry []byte
		entry = wire.AppendBytes(entry, wire.Key, []byte(key))
		entry = wire.AppendBytes(entry, wire.Value, p.Metadata[key])
		b = wire.AppendBytes(b, wire.Metadata, entry)
	}
	if len(p.Data) > 0 {
		b = wire.AppendBytes(b, wire.Data, p.Data)
	}
	return append(b, p.unknown...)
}

// clone returns a deep copy.
func (p Payload) clone() Payload {
	metadata := make(map[string][]byte, len(p.Metadata))
	for key, value := range p.Metadata {
		metadata[key] = bytes.Clone(value)
	}
	return Payload{Metadata: metadata, Data: bytes.Clone(p.Data), unknown: bytes.Clone(p.unknown)}
}

func parsePayload(b []byte) (Payload, error) {
	p := Payload{Metadata: map[string][]byte{}}
	var err error
	p.unknown, err = wire.Fields(b, func(field protowire.Number, data []byte) (known bool, err error) {
		switch field {
		case wire.Metadata:
			key, value, err := wire.MetadataEntry(data)
			p.Metadata[key] = value
			return true, err
		case wire.Data:
			p.Data = data
			return true, nil
		}
		return false, nil
	})
	return p, err
}

// appendPayloads serializes values as Payloads.
func appendPayloads(b []byte, payloads []Payload) []byte {
	for _, p := range payloads {
		b = wire.AppendBytes(b, wire.Payloads, p.marshal())
	}
	return b
}

// parsePayloads reads serialized Payloads.
func parsePayloads(b []byte) ([]Payload, error) {
	var payloads []Payload
	_, err := wire.Fields(b, func(field protowire.Number, data []byte) (known bool, err error) {
		if field != wire.Payloads {
			return false, nil
		}
		p, err := parsePayload(data)
		payloads = append(payloads, p)
		return true, err
	})
	return payloads, err
}
