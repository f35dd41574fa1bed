package heartbeat

import (
	"bytes"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"temporal-heartbeat.dev/go/internal/wire"
)

// appendPayloads serializes values as Payloads. The same values always give the same bytes.
func appendPayloads(b []byte, payloads []Payload) []byte {
	for _, p := range payloads {
		b = wire.AppendBytes(b, wire.Payloads, p.marshal())
	}
	return b
}

// MarshalBinary gives the serialized temporal.api.common.v1.Payload: what most codecs encrypt.
func (p Payload) MarshalBinary() ([]byte, error) {
	return p.marshal(), nil
}

// UnmarshalBinary reads what MarshalBinary has made.
func (p *Payload) UnmarshalBinary(data []byte) error {
	payload, err := parsePayload(bytes.Clone(data))
	if err != nil {
		return err
	}
	*p = payload
	return nil
}

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

// parsePayloads reads what appendPayloads or anybody else wrote.
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

// clone copies all that the payload refers to.
func (p Payload) clone() Payload {
	metadata := make(map[string][]byte, len(p.Metadata))
	for key, value := range p.Metadata {
		metadata[key] = bytes.Clone(value)
	}
	return Payload{Metadata: metadata, Data: bytes.Clone(p.Data), unknown: bytes.Clone(p.unknown)}
}
