package heartbeat

import (
	"errors"
	"reflect"
	"strconv"
)

// Payload is a value in the form in which Temporal stores it. As a detail or a result it passes through as it is, and
// [Details.Get] reads into a *Payload without converting: the way to send and receive encodings that this package doesn't know. The
// codec of [Options], if there is one, encodes and decodes it like any other value.
//
// It stands for temporal.api.common.v1.Payload, and is passed by value.
type Payload struct {
	// Metadata says what Data is; the key "encoding" names its form.
	Metadata map[string][]byte
	Data     []byte

	unknown []byte // other fields of the protobuf message, kept for passing through
}

// NewPayload converts a value as the package's documentation says. For a value that is a Payload it gives that one.
func NewPayload(value any) (Payload, error) {
	payload, err := payloadOf(value)
	if err != nil {
		return Payload{}, &ConversionError{Type: reflect.TypeOf(value), Err: err}
	}
	return payload, nil
}

// Get reads the value into what the pointer points to, as [Details.Get] does.
func (p Payload) Get(valuePtr any) error {
	if err := p.read(valuePtr); err != nil {
		return err
	}
	return nil
}

// Encoding is the form of the data, "json/plain" for example; "" when the metadata doesn't say.
func (p Payload) Encoding() string {
	return string(p.Metadata[metadataEncoding])
}

var errPayloadInJSON = errors.New("a Payload is passed by value and by itself, not within another value")

// MarshalJSON always fails: within another value a Payload would lose its meaning.
func (p Payload) MarshalJSON() ([]byte, error) {
	return nil, errPayloadInJSON
}

// UnmarshalJSON always fails, as MarshalJSON does.
func (p *Payload) UnmarshalJSON([]byte) error {
	return errPayloadInJSON
}

// ConversionError says which value couldn't be converted, and why.
type ConversionError struct {
	// Index is the value's place among the details, from 0.
	Index int
	// Type is that of the Go value; when reading, of the pointer to it.
	Type reflect.Type
	// Encoding is the form of what was read; "" when writing.
	Encoding string
	// Err is the reason.
	Err error
}

// Error gives the place, the type, the encoding and the reason.
func (e *ConversionError) Error() string {
	where := "value " + strconv.Itoa(e.Index)
	what := "nil"
	if e.Type != nil {
		what = e.Type.String()
	}
	if e.Encoding == "" {
		return where + " of type " + what + " can't be converted: " + e.Err.Error()
	}
	return where + " (" + e.Encoding + ") can't be read into " + what + ": " + e.Err.Error()
}

// Unwrap gives the reason.
func (e *ConversionError) Unwrap() error {
	return e.Err
}
