package heartbeat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"temporal-heartbeat.dev/go/internal/abi"
)

// conversion is how values become payloads and back: for a connection, an activity or a call. The zero value is the default conversion,
// without a codec. At most one of codec and converter is set.
type conversion struct {
	codec     PayloadCodec
	converter DataConverter
	// namespace is that of the connection; "" if the options and the environment have none.
	namespace string
	// encodesFailures says that messages and stack traces of failures are encoded.
	encodesFailures bool
}

var errTwoConversions = errors.New("PayloadCodec and DataConverter are both set: set one of them, since a DataConverter has its own codecs")

// checkConversion returns what is wrong with the options of a connection or an activity.
func checkConversion(op string, codec PayloadCodec, converter DataConverter) error {
	var err error
	if adapter, ok := codec.(interface{ usable() error }); ok {
		err = adapter.usable()
	}
	if codec != nil && converter != nil {
		err = errTwoConversions
	}
	if err != nil {
		return localError(op, StatusConfig, err.Error(), err)
	}
	return nil
}

// replacedBy returns the conversion of an activity or a call: with this codec or converter, if one of them is set.
func (c conversion) replacedBy(codec PayloadCodec, converter DataConverter) conversion {
	if codec != nil || converter != nil {
		c.codec, c.converter = codec, converter
	}
	return c
}

// conversionKey is the key of a context's value, for [WithPayloadCodec] and [WithDataConverter].
type conversionKey struct{}

// ofContext returns the conversion with the codec or the converter of the context, if it has one.
func (c conversion) ofContext(ctx context.Context) conversion {
	own, _ := ctx.Value(conversionKey{}).(conversion)
	return c.replacedBy(own.codec, own.converter)
}

// boundTo returns the conversion with the serialization context that facts returns. It calls facts only if the context is needed.
func (c conversion) boundTo(facts func() SerializationContext) conversion {
	of := func() SerializationContext {
		known := facts().or(SerializationContext{Namespace: c.namespace})
		if known.Namespace == "" {
			known.Namespace = namespaceInUse()
		}
		return known
	}
	if codec, ok := c.codec.(PayloadCodecWithSerializationContext); ok {
		c.codec = codec.WithSerializationContext(of())
	}
	if converter, ok := c.converter.(DataConverterWithSerializationContext); ok {
		c.converter = converter.WithSerializationContext(of())
	}
	return c
}

// namespaceLabel is the label of the metrics with the namespace of the connection, which a profile of temporal.toml may set.
var namespaceLabel = regexp.MustCompile(`namespace=("(?:[^"\\]|\\.)*")`)

// namespaceInUse returns the namespace of the current connection.
func namespaceInUse() string {
	if loader.loaded.Load() {
		if metrics, err := abi.Metrics(); err == nil {
			if label := namespaceLabel.FindSubmatch(metrics); label != nil {
				namespace, _ := strconv.Unquote(string(label[1]))
				return namespace
			}
		}
	}
	return "default"
}

// isDefault reports whether values are converted by the default rules and not encoded.
func (c conversion) isDefault() bool {
	return c.codec == nil && c.converter == nil
}

// toPayloads converts values and encodes them.
func (c conversion) toPayloads(values []any) ([]Payload, error) {
	if len(values) == 0 {
		return nil, nil
	}
	if c.converter == nil {
		payloads, err := toPayloads(values)
		if err != nil {
			return nil, err
		}
		return encodePayloads(c.codec, payloads)
	}
	if !slices.ContainsFunc(values, isPayload) {
		return c.convert(0, values...)
	}
	var payloads []Payload
	for i, value := range values {
		var converted []Payload
		var err error
		if payload, ok := value.(Payload); ok {
			converted, err = c.encodePlain([]Payload{payload})
		} else {
			converted, err = c.convert(i, value)
		}
		if err != nil {
			return nil, err
		}
		payloads = append(payloads, converted...)
	}
	return payloads, nil
}

func isPayload(value any) bool {
	_, ok := value.(Payload)
	return ok
}

// convert converts values with the converter. index is that of the first value, for errors.
func (c conversion) convert(index int, values ...any) ([]Payload, error) {
	payloads, err := c.converter.ToPayloads(values...)
	switch {
	case err == nil && len(payloads) == len(values):
		return payloads, nil
	case err == nil:
		err = fmt.Errorf("the DataConverter made %d payloads of %d values", len(payloads), len(values))
	}
	return nil, &ConversionError{Index: index, Type: reflect.TypeOf(values[0]), Err: err}
}

// encodePlain encodes the payloads that anybody can read, and leaves the others unchanged.
func (c conversion) encodePlain(payloads []Payload) ([]Payload, error) {
	var encoded []Payload
	for i, payload := range payloads {
		one, err := []Payload{payload}, error(nil)
		switch {
		case !slices.Contains(plainEncodings, payload.Encoding()) || payload.isExternalReference():
		case c.converter == nil:
			one, err = encodePayloads(c.codec, one)
		default:
			var value any
			if value, err = payload.plainValue(); err == nil {
				one, err = c.convert(i, value)
			}
		}
		if err != nil {
			return nil, err
		}
		encoded = append(encoded, one...)
	}
	return encoded, nil
}

// plainValue returns a value that a data converter converts to an equal payload, and encodes.
func (p Payload) plainValue() (any, error) {
	switch p.Encoding() {
	case encodingNull:
		return nil, nil
	case encodingBinary:
		return p.Data, nil
	case encodingJSON:
		return json.RawMessage(p.Data), nil
	case encodingProtoJSON:
		name := protoreflect.FullName(p.Metadata[metadataMessageType])
		if messageType, err := protoregistry.GlobalTypes.FindMessageByName(name); err == nil {
			message := messageType.New().Interface()
			return message, protojson.Unmarshal(p.Data, message)
		}
	}
	return nil, fmt.Errorf("a DataConverter can't encode a Payload of the encoding %q: pass the value instead", p.Encoding())
}

// decode reverses the codec. The converter decodes each value when it is read.
func (c conversion) decode(payloads []Payload) ([]Payload, error) {
	return decodePayloads(c.codec, payloads)
}

// read converts a decoded payload into the variable that the pointer points to.
func (c conversion) read(payload Payload, valuePtr any) *ConversionError {
	if _, isRaw := valuePtr.(*Payload); c.converter == nil || isRaw {
		return payload.get(valuePtr)
	}
	err := c.converter.FromPayload(payload, valuePtr)
	if err == nil {
		return nil
	}
	if payload.isExternalReference() {
		err = fmt.Errorf("%w: %w", errExternalReference, err)
	}
	return &ConversionError{Type: reflect.TypeOf(valuePtr), Encoding: payload.Encoding(), Err: err}
}
