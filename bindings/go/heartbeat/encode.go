package heartbeat

import (
	"encoding/json"
	"errors"
	"reflect"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"temporal-heartbeat.dev/go/internal/abi"
)

// The metadata and encodings of the official SDKs' default data converters.
const (
	metadataEncoding    = "encoding"
	metadataMessageType = "messageType"

	encodingNull      = "binary/null"
	encodingBinary    = "binary/plain"
	encodingJSON      = "json/plain"
	encodingProtoJSON = "json/protobuf"
	encodingProto     = "binary/protobuf"
)

// wireValues are values as the library takes them.
type wireValues struct {
	encoding int32
	data     []byte
}

// encodeWith returns the function for [callEncoded] that encodes these values.
func encodeWith(op string, values []any) func(PayloadCodec) (wireValues, error) {
	return func(codec PayloadCodec) (encoded wireValues, err error) {
		encoded.encoding, encoded.data, err = encode(codec, op, values)
		return encoded, err
	}
}

// encode converts values to what the library takes: no details for none, else serialized Payloads.
func encode(codec PayloadCodec, op string, values []any) (encoding int32, data []byte, err error) {
	if len(values) == 0 {
		return abi.EncodingNone, nil, nil
	}
	payloads, err := encodedPayloadsOf(codec, values)
	if err != nil {
		return 0, nil, refused(op, StatusInvalidArgument, err.Error(), err)
	}
	return abi.EncodingPayloads, appendPayloads(nil, payloads), nil
}

// encodedPayloadsOf converts values, and encodes them.
func encodedPayloadsOf(codec PayloadCodec, values []any) ([]Payload, error) {
	payloads, err := payloadsOf(values)
	if err != nil {
		return nil, err
	}
	return encoded(codec, payloads)
}

// payloadsOf converts values; its error is a *ConversionError.
func payloadsOf(values []any) ([]Payload, error) {
	payloads := make([]Payload, len(values))
	for i, value := range values {
		payload, err := payloadOf(value)
		if err != nil {
			return nil, &ConversionError{Index: i, Type: reflect.TypeOf(value), Err: err}
		}
		payloads[i] = payload
	}
	return payloads, nil
}

// payloadOf converts one value; the order of the cases is that of the official SDK.
func payloadOf(value any) (Payload, error) {
	if payload, ok := value.(Payload); ok {
		return payload, nil
	}
	if isNil(value) {
		return newPayload(encodingNull, nil), nil
	}
	if b, ok := value.([]byte); ok {
		return newPayload(encodingBinary, b), nil
	}
	if message, ok, err := messageOf(value); err != nil {
		return Payload{}, err
	} else if ok {
		return protoPayload(message)
	}
	data, err := json.Marshal(value)
	if err != nil {
		return Payload{}, err
	}
	return newPayload(encodingJSON, data), nil
}

func newPayload(encoding string, data []byte) Payload {
	return Payload{Metadata: map[string][]byte{metadataEncoding: []byte(encoding)}, Data: data}
}

func protoPayload(message proto.Message) (Payload, error) {
	data, err := protojson.Marshal(message)
	if err != nil {
		return Payload{}, err
	}
	payload := newPayload(encodingProtoJSON, data)
	payload.Metadata[metadataMessageType] = []byte(message.ProtoReflect().Descriptor().FullName())
	return payload, nil
}

// isNil: nil itself and nil pointers. Nil maps and slices have their own forms.
func isNil(value any) bool {
	if value == nil {
		return true
	}
	v := reflect.ValueOf(value)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

var errOldMessage = errors.New("a protobuf message of the old Go API (gogo/protobuf, or golang/protobuf before 1.4); " +
	"generate it for google.golang.org/protobuf, or pass it as a Payload")

// messageOf finds the protobuf message that the value is, or that a pointer to it is.
func messageOf(value any) (proto.Message, bool, error) {
	pointer := func() any {
		p := reflect.New(reflect.TypeOf(value))
		p.Elem().Set(reflect.ValueOf(value))
		return p.Interface()
	}
	for _, candidate := range []any{value, pointer()} {
		if message, ok := candidate.(proto.Message); ok {
			return message, true, nil
		}
		if isOldMessage(candidate) {
			return nil, false, errOldMessage
		}
	}
	return nil, false, nil
}

// isOldMessage finds what the official SDK converts with gogo/protobuf, which this package doesn't depend on. As plain JSON it would
// be something else to its reader.
func isOldMessage(value any) bool {
	_, ok := value.(interface {
		Reset()
		String() string
		ProtoMessage()
	})
	return ok
}
