// Package cipher is the codec of the worker and the child.
package cipher

import (
	"bytes"

	commonpb "go.temporal.io/api/common/v1"
	"google.golang.org/protobuf/proto"
)

const (
	encrypted = "binary/encrypted"
	key       = 0x5a
)

// Cipher encrypts payloads. It is simple and not secure, because the tests need no secrecy. Every peer has the same cipher.
type Cipher struct{}

// Encode encrypts payloads.
func (Cipher) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	encoded := make([]*commonpb.Payload, len(payloads))
	for i, payload := range payloads {
		data, err := proto.Marshal(payload)
		if err != nil {
			return nil, err
		}
		metadata := map[string][]byte{"encoding": []byte(encrypted), "encryption-key-id": []byte("interop")}
		encoded[i] = &commonpb.Payload{Metadata: metadata, Data: mixed(data)}
	}
	return encoded, nil
}

// Decode decrypts the payloads of Encode.
func (Cipher) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	decoded := make([]*commonpb.Payload, len(payloads))
	for i, payload := range payloads {
		decoded[i] = payload
		if !bytes.Equal(payload.Metadata["encoding"], []byte(encrypted)) {
			continue
		}
		decoded[i] = &commonpb.Payload{}
		if err := proto.Unmarshal(mixed(payload.Data), decoded[i]); err != nil {
			return nil, err
		}
	}
	return decoded, nil
}

func mixed(data []byte) []byte {
	result := make([]byte, len(data))
	for i, b := range data {
		result[i] = b ^ key
	}
	return result
}
