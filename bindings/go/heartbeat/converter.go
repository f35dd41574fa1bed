package heartbeat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"sync"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"temporal-heartbeat.dev/go/internal/abi"
)

// The metadata and encodings of the default data converters of the SDKs.
const (
	metadataEncoding    = "encoding"
	metadataMessageType = "messageType"

	encodingNull      = "binary/null"
	encodingBinary    = "binary/plain"
	encodingJSON      = "json/plain"
	encodingProtoJSON = "json/protobuf"
	encodingProto     = "binary/protobuf"
)

// ConversionError says which value couldn't be converted, and why.
type ConversionError struct {
	// Index is the index of the value among the details.
	Index int
	// Type is the type of the Go value, or of the pointer that Get was called with.
	Type reflect.Type
	// Encoding is the encoding of the payload that was read; "" when writing.
	Encoding string
	// Err is the reason.
	Err error
}

// Error returns the index, the type, the encoding and the reason.
func (e *ConversionError) Error() string {
	value := "value " + strconv.Itoa(e.Index)
	goType := "nil"
	if e.Type != nil {
		goType = e.Type.String()
	}
	if e.Encoding == "" {
		return value + " of type " + goType + " can't be converted: " + e.Err.Error()
	}
	return value + " (" + e.Encoding + ") can't be read into " + goType + ": " + e.Err.Error()
}

// Unwrap returns the reason.
func (e *ConversionError) Unwrap() error {
	return e.Err
}

// encodedValues are the encoding and the data with which values are passed to the library.
type encodedValues struct {
	encoding int32
	data     []byte
}

// resultValues returns the values to send for a result: none for nil, else one.
func resultValues(result any) []any {
	if result == nil {
		return nil
	}
	return []any{result}
}

// bufferPool has buffers for the JSON of details, so that a record allocates none.
var bufferPool = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPooledBuffer is the capacity of the largest buffer that is reused.
const maxPooledBuffer = 64 << 10

func putBuffer(buffer *bytes.Buffer) {
	if buffer.Cap() <= maxPooledBuffer {
		buffer.Reset()
		bufferPool.Put(buffer)
	}
}

// encodeValues converts values and encodes them. Without values the encoding is none. The result may refer to the buffer,
// and to a value. By default the library makes the payload of a single value.
func encodeValues(buffer *bytes.Buffer, c conversion, op string, values []any) (encodedValues, error) {
	switch {
	case len(values) == 0:
		return encodedValues{encoding: abi.EncodingNone}, nil
	case len(values) > 1 || !c.isDefault():
	default:
		switch value := values[0].(type) {
		case []byte:
			return encodedValues{abi.EncodingBinary, value}, nil
		case int: // without an encoder
			return encodedValues{abi.EncodingJSON, strconv.AppendInt(buffer.AvailableBuffer(), int64(value), 10)}, nil
		}
		if !isConvertedToJSON(values[0]) {
			break
		}
		if err := json.NewEncoder(buffer).Encode(values[0]); err != nil {
			conversion := &ConversionError{Type: reflect.TypeOf(values[0]), Err: err}
			return encodedValues{}, localError(op, StatusInvalidArgument, conversion.Error(), conversion)
		}
		return encodedValues{abi.EncodingJSON, bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))}, nil
	}
	// A converter may keep the values. A copy lets the caller's slice, of each record, stay on the stack.
	payloads, err := c.toPayloads(append([]any(nil), values...))
	if err != nil {
		return encodedValues{}, localError(op, StatusInvalidArgument, err.Error(), err)
	}
	return encodedValues{abi.EncodingPayloads, appendPayloads(buffer.AvailableBuffer(), payloads)}, nil
}

// isConvertedToJSON reports whether toPayload converts the value by encoding/json.
func isConvertedToJSON(value any) bool {
	switch value.(type) {
	case bool, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64, string:
		return true // without reflection
	case Payload, []byte:
		return false
	}
	if isNil(value) {
		return false
	}
	_, isMessage, err := toMessage(value)
	return !isMessage && err == nil
}

// toPayloads converts values by the default rules. Its error is a *ConversionError.
func toPayloads(values []any) ([]Payload, error) {
	payloads := make([]Payload, len(values))
	for i, value := range values {
		payload, err := toPayload(value)
		if err != nil {
			return nil, &ConversionError{Index: i, Type: reflect.TypeOf(value), Err: err}
		}
		payloads[i] = payload
	}
	return payloads, nil
}

// toPayload converts one value, in the order of the SDK's default data converter.
func toPayload(value any) (Payload, error) {
	if payload, ok := value.(Payload); ok {
		return payload, nil
	}
	if isNil(value) {
		return newPayload(encodingNull, nil), nil
	}
	if data, ok := value.([]byte); ok {
		return newPayload(encodingBinary, data), nil
	}
	if message, ok, err := toMessage(value); err != nil {
		return Payload{}, err
	} else if ok {
		data, err := protojson.Marshal(message)
		if err != nil {
			return Payload{}, err
		}
		payload := newPayload(encodingProtoJSON, data)
		payload.Metadata[metadataMessageType] = []byte(message.ProtoReflect().Descriptor().FullName())
		return payload, nil
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

// isNil reports whether the value is nil or a nil pointer. A nil map or slice is converted to JSON.
func isNil(value any) bool {
	if value == nil {
		return true
	}
	v := reflect.ValueOf(value)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

var errOldMessage = errors.New("a protobuf message of the old Go API (gogo/protobuf, or golang/protobuf before 1.4); " +
	"generate it for google.golang.org/protobuf, or pass it as a Payload")

// toMessage returns the value, or else a pointer to a copy of it, as a protobuf message, and whether it is one.
func toMessage(value any) (proto.Message, bool, error) {
	pointer := reflect.New(reflect.TypeOf(value))
	pointer.Elem().Set(reflect.ValueOf(value))
	for _, candidate := range []any{value, pointer.Interface()} {
		if message, ok := candidate.(proto.Message); ok {
			return message, true, nil
		}
		if isOldMessage(candidate) {
			return nil, false, errOldMessage
		}
	}
	return nil, false, nil
}

// isOldMessage reports whether the value is a message that the SDK converts with gogo/protobuf, on which this package doesn't depend.
// Such a message isn't converted to plain JSON, because its reader expects another encoding.
func isOldMessage(value any) bool {
	_, ok := value.(interface {
		Reset()
		String() string
		ProtoMessage()
	})
	return ok
}

var (
	errNotPointer        = errors.New("not a pointer that can be written through")
	errNoEncoding        = errors.New("its metadata names no encoding")
	errNotBytes          = errors.New("bytes can only be read into []byte or any")
	errNotMessage        = errors.New("not a protobuf message of google.golang.org/protobuf")
	errExternalReference = errors.New("the value is in external storage, and the server has only a reference to it: let the codec " +
		"retrieve it with the storage driver, or read the reference into a *Payload and pass that on unchanged")
	errNotConcrete = errors.New("a protobuf message needs a variable of the message's type, not of an interface")
)

// get decodes the payload into the variable that the pointer points to.
func (p Payload) get(valuePtr any) *ConversionError {
	err := p.decode(valuePtr)
	if err == nil {
		return nil
	}
	encoding := p.Encoding()
	if encoding == "" {
		encoding = "unknown encoding"
	}
	return &ConversionError{Type: reflect.TypeOf(valuePtr), Encoding: encoding, Err: err}
}

func (p Payload) decode(valuePtr any) error {
	if payload, ok := valuePtr.(*Payload); ok && payload != nil {
		*payload = p.clone()
		return nil
	}
	if p.isExternalReference() {
		return errExternalReference
	}
	ptr := reflect.ValueOf(valuePtr)
	if ptr.Kind() != reflect.Pointer || ptr.IsNil() {
		return errNotPointer
	}
	target := ptr.Elem()

	encoding, ok := p.Metadata[metadataEncoding]
	if !ok {
		return errNoEncoding
	}
	switch string(encoding) {
	case encodingNull:
		target.SetZero()
		return nil
	case encodingBinary:
		return setBytes(target, p.Data)
	case encodingProtoJSON:
		if string(p.Data) == "null" {
			target.SetZero()
			return nil
		}
		return setMessage(target, p.Data, protojson.Unmarshal)
	case encodingProto:
		return setMessage(target, p.Data, proto.Unmarshal)
	case encodingJSON:
		return json.Unmarshal(p.Data, valuePtr)
	}
	return fmt.Errorf("this package doesn't know the encoding %q; read the value into a *Payload", encoding)
}

// setBytes sets the target to a copy of the data.
func setBytes(target reflect.Value, data []byte) error {
	data = bytes.Clone(data)
	switch {
	case target.Kind() == reflect.Interface && target.NumMethod() == 0:
		target.Set(reflect.ValueOf(data))
	case target.Kind() == reflect.Slice && target.Type().Elem().Kind() == reflect.Uint8:
		target.SetBytes(data)
	default:
		return errNotBytes
	}
	return nil
}

// setMessage decodes a message into the target, which is a message or a pointer to one. For a nil pointer it allocates the message.
func setMessage(target reflect.Value, data []byte, unmarshal func([]byte, proto.Message) error) error {
	if target.Kind() == reflect.Interface {
		return errNotConcrete
	}
	if target.Kind() != reflect.Pointer {
		target = target.Addr()
	}
	if !target.Type().Implements(reflect.TypeFor[proto.Message]()) {
		return errNotMessage
	}
	if target.IsNil() {
		target.Set(reflect.New(target.Type().Elem()))
	}
	return unmarshal(data, target.Interface().(proto.Message))
}
