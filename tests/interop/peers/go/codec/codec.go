// Package codec is a codec that encrypts, as a user would write it: AES-256-GCM with a key for each workflow.
package codec

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
)

const (
	encrypted = "binary/encrypted"
	keyID     = "encryption-key-id"
	// secret is the secret of all keys. The tests need no real one.
	secret = "temporal-heartbeat's tests"
)

// Codec encrypts payloads: see [ForNamespace]. The key's id is "workflow:" and the id of the workflow, else "namespace:" and the namespace. The key is the
// HMAC-SHA256 of its id. An encrypted payload is a nonce of 12 bytes and the sealed payload, and its metadata has the id of its key.
type Codec struct {
	keyID string
}

// ForNamespace returns a codec that encrypts with the key of the namespace.
func ForNamespace(namespace string) Codec {
	return Codec{"namespace:" + namespace}
}

// WithSerializationContext returns a codec with the key of the context's workflow, if it has one.
func (c Codec) WithSerializationContext(context converter.SerializationContext) converter.PayloadCodec {
	workflowID := ""
	switch context := context.(type) {
	case converter.WorkflowSerializationContext:
		workflowID = context.WorkflowID
	case converter.ActivitySerializationContext:
		workflowID = context.WorkflowID
	}
	if workflowID == "" {
		return c
	}
	return Codec{"workflow:" + workflowID}
}

// Encode encrypts payloads.
func (c Codec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	encoded := make([]*commonpb.Payload, len(payloads))
	for i, payload := range payloads {
		data, err := proto.Marshal(payload)
		if err != nil {
			return nil, err
		}
		nonce := make([]byte, 12)
		rand.Read(nonce)
		encoded[i] = &commonpb.Payload{
			Metadata: map[string][]byte{converter.MetadataEncoding: []byte(encrypted), keyID: []byte(c.keyID)},
			Data:     aead(c.keyID).Seal(nonce, nonce, data, nil),
		}
	}
	return encoded, nil
}

// Decode decrypts payloads, each with the key that its metadata names. A codec with a key of a workflow refuses those of other
// workflows.
func (c Codec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	decoded := make([]*commonpb.Payload, len(payloads))
	for i, payload := range payloads {
		decoded[i] = payload
		if string(payload.Metadata[converter.MetadataEncoding]) != encrypted {
			continue
		}
		id, workflow := payload.Metadata[keyID], []byte("workflow:")
		if bytes.HasPrefix(id, workflow) && bytes.HasPrefix([]byte(c.keyID), workflow) && string(id) != c.keyID {
			return nil, errors.New("the key is that of another workflow")
		}
		if len(payload.Data) < 12 {
			return nil, errors.New("the data is too short")
		}
		data, err := aead(string(id)).Open(nil, payload.Data[:12], payload.Data[12:], nil)
		if err != nil {
			return nil, err
		}
		decoded[i] = &commonpb.Payload{}
		if err := proto.Unmarshal(data, decoded[i]); err != nil {
			return nil, err
		}
	}
	return decoded, nil
}

// aead returns the cipher with the key of this id.
func aead(id string) cipher.AEAD {
	key := hmac.New(sha256.New, []byte(secret))
	key.Write([]byte(id))
	block, err := aes.NewCipher(key.Sum(nil))
	if err != nil {
		panic(err) // a wrong length of the key, which is constant
	}
	sealer, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return sealer
}
