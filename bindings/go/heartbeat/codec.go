package heartbeat

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
)

// PayloadCodec encrypts or compresses values before they are sent, and reverses that when they are read: see [Options]. All values pass
// through it: recorded details and details that are read, results, the details of failures and cancellations, and values that
// are a [Payload].
//
// Any goroutine may call it. Calls that send values, such as [Activity.RecordHeartbeat], wait for Encode, and return its error.
type PayloadCodec interface {
	// Encode returns the payloads as the server stores them. It should set their encoding.
	Encode(payloads []Payload) ([]Payload, error)
	// Decode reverses Encode. It should return payloads of other encodings unchanged.
	Decode(payloads []Payload) ([]Payload, error)
}

// codecKey is the key of a context's value, for [WithPayloadCodec].
type codecKey struct{}

// WithPayloadCodec returns a context with which calls use this codec, instead of that of the connection: [RecordHeartbeat],
// [GetDetails], [Complete], [Fail] and [ReportCancelled] for that call, [Open] and [OpenFromEnv] for the activity. Use it for a codec that is
// bound to one workflow or activity.
func WithPayloadCodec(ctx context.Context, codec PayloadCodec) context.Context {
	return context.WithValue(ctx, codecKey{}, codec)
}

// codecFrom returns the codec of the context, else that of the connection.
func codecFrom(ctx context.Context, ofConnection PayloadCodec) PayloadCodec {
	if codec, _ := ctx.Value(codecKey{}).(PayloadCodec); codec != nil {
		return codec
	}
	return ofConnection
}

// encodePayloads encodes the payloads with the codec; a nil codec leaves them unchanged.
func encodePayloads(codec PayloadCodec, payloads []Payload) ([]Payload, error) {
	if codec == nil || len(payloads) == 0 {
		return payloads, nil
	}
	encoded, err := codec.Encode(payloads)
	if err != nil {
		return nil, fmt.Errorf("the codec can't encode: %w", err)
	}
	return encoded, nil
}

// plainEncodings are the encodings of the default data converter, and "" for payloads without one.
var plainEncodings = []string{"", encodingNull, encodingBinary, encodingJSON, encodingProtoJSON, encodingProto}

// encodePlainPayloads encodes the payloads of a plain encoding and leaves the others unchanged.
func encodePlainPayloads(codec PayloadCodec, payloads []Payload) ([]Payload, error) {
	var encoded []Payload
	for _, payload := range payloads {
		one := []Payload{payload}
		if slices.Contains(plainEncodings, payload.Encoding()) {
			var err error
			if one, err = encodePayloads(codec, one); err != nil {
				return nil, err
			}
		}
		encoded = append(encoded, one...)
	}
	return encoded, nil
}

// decodePayloads reverses encodePayloads.
func decodePayloads(codec PayloadCodec, payloads []Payload) ([]Payload, error) {
	if codec == nil || len(payloads) == 0 {
		return payloads, nil
	}
	decoded, err := codec.Decode(payloads)
	if err != nil {
		return nil, fmt.Errorf("the codec can't decode: %w", err)
	}
	return decoded, nil
}

// sdkCodec is go.temporal.io/sdk/converter.PayloadCodec, if P is go.temporal.io/api/common/v1.Payload. With the type parameter this
// package doesn't depend on either module.
type sdkCodec[P proto.Message] interface {
	Encode([]P) ([]P, error)
	Decode([]P) ([]P, error)
}

// CodecFrom converts a codec of Temporal's Go SDK, a converter.PayloadCodec:
//
//	heartbeat.Options{PayloadCodec: heartbeat.CodecFrom(codec)}
func CodecFrom[P proto.Message](codec sdkCodec[P]) PayloadCodec {
	return &sdkCodecAdapter[P]{codec}
}

type sdkCodecAdapter[P proto.Message] struct {
	codec sdkCodec[P]
}

func (a *sdkCodecAdapter[P]) Encode(payloads []Payload) ([]Payload, error) {
	return applyToMessages(payloads, a.codec.Encode)
}

func (a *sdkCodecAdapter[P]) Decode(payloads []Payload) ([]Payload, error) {
	return applyToMessages(payloads, a.codec.Decode)
}

// applyToMessages converts payloads to messages, applies the function to them and converts its result back.
func applyToMessages[P proto.Message](payloads []Payload, apply func([]P) ([]P, error)) ([]Payload, error) {
	var zero P
	messageType := zero.ProtoReflect().Type()
	messages := make([]P, len(payloads))
	for i, payload := range payloads {
		messages[i] = messageType.New().Interface().(P)
		if err := proto.Unmarshal(payload.marshal(), messages[i]); err != nil {
			return nil, err
		}
	}
	messages, err := apply(messages)
	if err != nil {
		return nil, err
	}
	result := make([]Payload, len(messages))
	for i, message := range messages {
		data, err := proto.Marshal(message)
		if err != nil {
			return nil, err
		}
		if result[i], err = parsePayload(data); err != nil {
			return nil, err
		}
	}
	return result, nil
}
