package heartbeat

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
)

// PayloadCodec encrypts values on their way to the server, or compresses them, and undoes that on their way back: what
// [Options.DataConverter] is. All values pass through it: details that are recorded and read, results, the details of failures and
// cancellations, also values that are a Payload.
//
// Calls come from any goroutine. What takes long in Encode, or fails, takes long or fails in [Activity.RecordHeartbeat] and the like.
type PayloadCodec interface {
	// Encode gives the payloads as they are to be stored; their encoding should say so.
	Encode(payloads []Payload) ([]Payload, error)
	// Decode gives the payloads as they were before. Those that it hasn't encoded it should let through.
	Decode(payloads []Payload) ([]Payload, error)
}

// encoded returns the payloads as the codec encodes them; a nil codec leaves them as they are.
func encoded(codec PayloadCodec, payloads []Payload) ([]Payload, error) {
	if codec == nil || len(payloads) == 0 {
		return payloads, nil
	}
	out, err := codec.Encode(payloads)
	if err != nil {
		return nil, fmt.Errorf("the codec can't encode: %w", err)
	}
	return out, nil
}

// plain are the encodings that every reader understands, "" for none. Nothing else is taken for plain.
var plain = []string{"", encodingNull, encodingBinary, encodingJSON, encodingProtoJSON, encodingProto}

// encodedPlain returns the payloads, those of a plain encoding encoded, the others as they are.
func encodedPlain(codec PayloadCodec, payloads []Payload) ([]Payload, error) {
	var out []Payload
	for _, payload := range payloads {
		stored := []Payload{payload}
		if slices.Contains(plain, payload.Encoding()) {
			var err error
			if stored, err = encoded(codec, stored); err != nil {
				return nil, err
			}
		}
		out = append(out, stored...)
	}
	return out, nil
}

// decoded undoes encoded.
func decoded(codec PayloadCodec, payloads []Payload) ([]Payload, error) {
	if codec == nil || len(payloads) == 0 {
		return payloads, nil
	}
	in, err := codec.Decode(payloads)
	if err != nil {
		return nil, fmt.Errorf("the codec can't decode: %w", err)
	}
	return in, nil
}

// sdkCodec is what [CodecFrom] takes: go.temporal.io/sdk/converter.PayloadCodec, whose P is
// go.temporal.io/api/common/v1.Payload, and which this package needn't depend on.
type sdkCodec[P proto.Message] interface {
	Encode([]P) ([]P, error)
	Decode([]P) ([]P, error)
}

// CodecFrom makes a codec of one of Temporal's Go SDK, a converter.PayloadCodec:
//
//	heartbeat.Options{DataConverter: heartbeat.CodecFrom(codec)}
func CodecFrom[P proto.Message](codec sdkCodec[P]) PayloadCodec {
	return &adapted[P]{codec}
}

type adapted[P proto.Message] struct {
	codec sdkCodec[P]
}

func (a *adapted[P]) Encode(payloads []Payload) ([]Payload, error) {
	return through(payloads, a.codec.Encode)
}

func (a *adapted[P]) Decode(payloads []Payload) ([]Payload, error) {
	return through(payloads, a.codec.Decode)
}

// through passes payloads through a function that takes them as messages.
func through[P proto.Message](payloads []Payload, pass func([]P) ([]P, error)) ([]Payload, error) {
	var none P
	kind := none.ProtoReflect().Type()
	messages := make([]P, len(payloads))
	for i, payload := range payloads {
		messages[i] = kind.New().Interface().(P)
		if err := proto.Unmarshal(payload.marshal(), messages[i]); err != nil {
			return nil, err
		}
	}
	passed, err := pass(messages)
	if err != nil {
		return nil, err
	}
	out := make([]Payload, len(passed))
	for i, message := range passed {
		data, err := proto.Marshal(message)
		if err != nil {
			return nil, err
		}
		if out[i], err = parsePayload(data); err != nil {
			return nil, err
		}
	}
	return out, nil
}
