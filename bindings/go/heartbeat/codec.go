package heartbeat

import (
	"context"
	"errors"
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

// PayloadCodecWithSerializationContext is an optional interface of a [PayloadCodec].
type PayloadCodecWithSerializationContext interface {
	// WithSerializationContext returns a codec for the values of this activity. It should be fast, because each call with a token calls
	// it.
	WithSerializationContext(SerializationContext) PayloadCodec
}

// WithPayloadCodec returns a context with which calls use this codec, instead of that of the connection: [RecordHeartbeat],
// [GetDetails], [Complete], [Fail] and [ReportCancelled] for that call, [Open] and [OpenFromEnv] for the activity.
func WithPayloadCodec(ctx context.Context, codec PayloadCodec) context.Context {
	return context.WithValue(ctx, conversionKey{}, conversion{codec: codec})
}

// encodePayloads encodes the payloads with the codec, except external references, which the SDKs don't encode either. A nil codec leaves
// all unchanged.
func encodePayloads(codec PayloadCodec, payloads []Payload) ([]Payload, error) {
	if codec == nil || len(payloads) == 0 {
		return payloads, nil
	}
	if i := slices.IndexFunc(payloads, Payload.isExternalReference); i >= 0 {
		before, err := encodePayloads(codec, payloads[:i])
		if err != nil {
			return nil, err
		}
		after, err := encodePayloads(codec, payloads[i+1:])
		return slices.Concat(before, payloads[i:i+1], after), err
	}
	encoded, err := codec.Encode(payloads)
	if err != nil {
		return nil, fmt.Errorf("the codec can't encode: %w", err)
	}
	return encoded, nil
}

// plainEncodings are the encodings of the default data converter, and "" for payloads without one.
var plainEncodings = []string{"", encodingNull, encodingBinary, encodingJSON, encodingProtoJSON, encodingProto}

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
//
// A codec with the method WithSerializationContext needs the SDK's type as the second argument. The codec gets a copy with the data of the
// activity. Without that argument, [Connect] and [Open] return [ErrConfig], and Encode and Decode return an error. Pass nil for a codec that is already bound.
//
//	heartbeat.CodecFrom(codec, converter.ActivitySerializationContext{})
func CodecFrom[P proto.Message](codec sdkCodec[P], activityContext ...any) PayloadCodec {
	adapter := &sdkCodecAdapter[P]{codec: codec}
	switch {
	case !takesContext(codec):
	case len(activityContext) == 0:
		adapter.err = errNeedsContext
	case activityContext[0] != nil:
		return &sdkCodecWithContext[P]{*adapter, sdkContextOf(codec, activityContext[0])}
	}
	return adapter
}

var errNeedsContext = errors.New("the codec takes a serialization context: " +
	"pass converter.ActivitySerializationContext{} of the SDK to CodecFrom, or nil for a codec that is already bound")

type sdkCodecAdapter[P proto.Message] struct {
	codec sdkCodec[P]
	err   error // why it can't be used
}

func (a *sdkCodecAdapter[P]) Encode(payloads []Payload) ([]Payload, error) {
	return a.apply(payloads, a.codec.Encode)
}

func (a *sdkCodecAdapter[P]) Decode(payloads []Payload) ([]Payload, error) {
	return a.apply(payloads, a.codec.Decode)
}

// usable returns why the codec can't be used, or nil.
func (a *sdkCodecAdapter[P]) usable() error {
	return a.err
}

type sdkCodecWithContext[P proto.Message] struct {
	sdkCodecAdapter[P]
	context sdkContext
}

func (a *sdkCodecWithContext[P]) WithSerializationContext(facts SerializationContext) PayloadCodec {
	return &sdkCodecAdapter[P]{codec: bindSDK(a.codec, a.context, facts)}
}

// apply converts payloads to messages, applies the function to them and converts its result back.
func (a *sdkCodecAdapter[P]) apply(payloads []Payload, apply func([]P) ([]P, error)) ([]Payload, error) {
	if a.err != nil {
		return nil, a.err
	}
	messages := make([]P, len(payloads))
	for i, payload := range payloads {
		var err error
		if messages[i], err = toSDK[P](payload); err != nil {
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
