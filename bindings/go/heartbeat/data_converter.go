package heartbeat

import (
	"context"

	"google.golang.org/protobuf/proto"
)

// DataConverter converts all values instead of the rules in the documentation of the package, and encrypts them if it has a codec: see
// [Options]. [DataConverterFrom] converts a converter of Temporal's Go SDK.
//
// With a DataConverter, a [Payload] that is read has the form in which the server stores it. A Payload that is sent again is encoded if its
// encoding is one of the SDKs' default converters, and is unchanged otherwise.
//
// Any goroutine may call it. Calls that send values wait for ToPayloads, and return its error.
type DataConverter interface {
	// ToPayloads returns one payload for each value, as the server stores it.
	ToPayloads(values ...any) ([]Payload, error)
	// FromPayload converts a payload into the variable that the pointer points to.
	FromPayload(payload Payload, valuePtr any) error
}

// DataConverterWithSerializationContext is an optional interface of a [DataConverter].
type DataConverterWithSerializationContext interface {
	// WithSerializationContext returns a converter for the values of this activity. It should be fast, because each call with a token
	// calls it.
	WithSerializationContext(SerializationContext) DataConverter
}

// WithDataConverter returns a context with which calls use this converter, like [WithPayloadCodec]. The later of the two replaces the other.
func WithDataConverter(ctx context.Context, converter DataConverter) context.Context {
	return context.WithValue(ctx, conversionKey{}, conversion{converter: converter})
}

// sdkConverter is go.temporal.io/sdk/converter.DataConverter, if P is *commonpb.Payload and PS is *commonpb.Payloads. With the type
// parameters this package doesn't depend on these modules.
type sdkConverter[P, PS proto.Message] interface {
	ToPayloads(values ...any) (PS, error)
	FromPayload(payload P, valuePtr any) error
}

// DataConverterFrom converts a converter of Temporal's Go SDK, a converter.DataConverter, with its codecs. activityContext is the SDK's
// converter.ActivitySerializationContext{}, of which the converter gets a copy with the data of the activity. nil: the converter stays as it is.
//
//	heartbeat.Options{DataConverter: heartbeat.DataConverterFrom(dataConverter, converter.ActivitySerializationContext{})}
func DataConverterFrom[P, PS proto.Message](converter sdkConverter[P, PS], activityContext any) DataConverter {
	adapter := &sdkConverterAdapter[P, PS]{converter}
	if activityContext == nil || !takesContext(converter) {
		return adapter
	}
	return &sdkConverterWithContext[P, PS]{*adapter, sdkContextOf(converter, activityContext)}
}

type sdkConverterAdapter[P, PS proto.Message] struct {
	converter sdkConverter[P, PS]
}

func (a *sdkConverterAdapter[P, PS]) ToPayloads(values ...any) ([]Payload, error) {
	message, err := a.converter.ToPayloads(values...)
	if err != nil {
		return nil, err
	}
	data, err := proto.Marshal(message)
	if err != nil {
		return nil, err
	}
	return parsePayloads(data)
}

func (a *sdkConverterAdapter[P, PS]) FromPayload(payload Payload, valuePtr any) error {
	message, err := toSDK[P](payload)
	if err != nil {
		return err
	}
	return a.converter.FromPayload(message, valuePtr)
}

type sdkConverterWithContext[P, PS proto.Message] struct {
	sdkConverterAdapter[P, PS]
	context sdkContext
}

func (a *sdkConverterWithContext[P, PS]) WithSerializationContext(facts SerializationContext) DataConverter {
	return &sdkConverterAdapter[P, PS]{bindSDK(a.converter, a.context, facts)}
}

// toSDK converts a payload to the SDK's message.
func toSDK[P proto.Message](payload Payload) (P, error) {
	var zero P
	message := zero.ProtoReflect().Type().New().Interface().(P)
	return message, proto.Unmarshal(payload.marshal(), message)
}
