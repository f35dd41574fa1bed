package heartbeat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

var (
	errNotPointer  = errors.New("not a pointer that can be written through")
	errNoEncoding  = errors.New("its metadata names no encoding")
	errNotBytes    = errors.New("only []byte and any take bytes")
	errNotMessage  = errors.New("not a protobuf message of google.golang.org/protobuf")
	errNotConcrete = errors.New("a protobuf message needs a variable of its own type, not of an interface")
)

// read converts the value into what the pointer points to.
func (p Payload) read(valuePtr any) *ConversionError {
	if err := p.decode(valuePtr); err != nil {
		return &ConversionError{Type: reflect.TypeOf(valuePtr), Encoding: p.describe(), Err: err}
	}
	return nil
}

// describe names the encoding in an error.
func (p Payload) describe() string {
	if e := p.Encoding(); e != "" {
		return e
	}
	return "unknown encoding"
}

func (p Payload) decode(valuePtr any) error {
	if whole, ok := valuePtr.(*Payload); ok && whole != nil {
		*whole = p.clone()
		return nil
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
	return fmt.Errorf("the encoding %q is not known here; read it into a *Payload", encoding)
}

// setBytes gives the target bytes of its own.
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

// setMessage reads a message into a target that is one, or that is a pointer to one; a nil pointer gets a new one.
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
