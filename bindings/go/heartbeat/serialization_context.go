package heartbeat

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"reflect"

	"google.golang.org/protobuf/encoding/protowire"

	"temporal-heartbeat.dev/go/internal/wire"
)

// SerializationContext is the activity to which values belong, for codecs and converters that depend on it, for example by a key for each
// workflow. Its sources are [OpenOptions] and [WithSerializationContext], then the environment that the parent made, then the task token.
// A field that is unknown is empty.
//
// As in the SDK, a codec must also work without one: for example, the SDK's default failure converter passes none.
type SerializationContext struct {
	// Namespace is that of the connection.
	Namespace string
	// WorkflowID and WorkflowType are empty for a standalone activity.
	WorkflowID, WorkflowType string
	ActivityID, ActivityType string
	// TaskQueue isn't in a task token. Package handoff passes it on.
	TaskQueue string
}

// serializationKey is the key of a context's value, for [WithSerializationContext].
type serializationKey struct{}

// WithSerializationContext returns a context with which calls and [Open] use this serialization context. Its empty fields
// are taken from the other sources.
func WithSerializationContext(ctx context.Context, activity SerializationContext) context.Context {
	return context.WithValue(ctx, serializationKey{}, activity)
}

// or returns the context with its empty fields taken from another.
func (s SerializationContext) or(other SerializationContext) SerializationContext {
	return SerializationContext{
		Namespace:    cmp.Or(s.Namespace, other.Namespace),
		WorkflowID:   cmp.Or(s.WorkflowID, other.WorkflowID),
		WorkflowType: cmp.Or(s.WorkflowType, other.WorkflowType),
		ActivityID:   cmp.Or(s.ActivityID, other.ActivityID),
		ActivityType: cmp.Or(s.ActivityType, other.ActivityType),
		TaskQueue:    cmp.Or(s.TaskQueue, other.TaskQueue),
	}
}

// knownOf returns the serialization context of the activity of a token.
func knownOf(ctx context.Context, token []byte) SerializationContext {
	given, _ := ctx.Value(serializationKey{}).(SerializationContext)
	ofToken, handedOver := contextOfToken(token), handedOverContext()
	// The environment may be that of another activity.
	if handedOver.ActivityID != "" && handedOver.ActivityID == ofToken.ActivityID && handedOver.WorkflowID == ofToken.WorkflowID {
		given = given.or(handedOver)
	}
	return given.or(ofToken)
}

// serializationContext returns that of the activity that is opened.
func (o OpenOptions) serializationContext(ctx context.Context, token []byte, fromEnv bool) SerializationContext {
	known := o.SerializationContext
	if given, ok := ctx.Value(serializationKey{}).(SerializationContext); ok {
		known = known.or(given)
	}
	known = known.or(SerializationContext{WorkflowID: o.WorkflowID, ActivityID: o.ActivityID})
	if fromEnv {
		known = known.or(handedOverContext())
		// A descriptor can be read only once, by the library.
		if os.Getenv("TEMPORAL_ACTIVITY_TASK_TOKEN_FD") == "" {
			token, _ = TokenFromEnv() // the library returns the error
		}
	}
	return known.or(knownOf(ctx, token))
}

// handedOverContext returns the serialization context in the environment.
func handedOverContext() SerializationContext {
	variable := func(name string) string { return os.Getenv("TEMPORAL_ACTIVITY_" + name) }
	return SerializationContext{
		WorkflowID: variable("WORKFLOW_ID"), WorkflowType: variable("WORKFLOW_TYPE"),
		ActivityID: variable("ID"), ActivityType: variable("TYPE"), TaskQueue: variable("TASK_QUEUE"),
	}
}

// The fields of the server's task token, temporal.server.api.token.v1.Task, and of its ComponentRef.
const (
	tokenWorkflowID   protowire.Number = 2
	tokenActivityID   protowire.Number = 6
	tokenWorkflowType protowire.Number = 7
	tokenActivityType protowire.Number = 8
	tokenComponentRef protowire.Number = 14
	componentID       protowire.Number = 2
)

// contextOfToken returns the serialization context in a task token; an empty one for a token of another format.
func contextOfToken(token []byte) (known SerializationContext) {
	_, err := wire.Fields(token, func(field protowire.Number, data []byte) (bool, error) {
		switch field {
		case tokenWorkflowID:
			known.WorkflowID = string(data)
		case tokenActivityID:
			known.ActivityID = string(data)
		case tokenWorkflowType:
			known.WorkflowType = string(data)
		case tokenActivityType:
			known.ActivityType = string(data)
		case tokenComponentRef: // of a standalone activity
			_, err := wire.Fields(data, func(field protowire.Number, data []byte) (bool, error) {
				if field == componentID {
					known.ActivityID = string(data)
				}
				return true, nil
			})
			return true, err
		}
		return true, nil
	})
	if err != nil {
		return SerializationContext{}
	}
	return known
}

// sdkContext is the type of the SDK's converter.ActivitySerializationContext.
type sdkContext reflect.Type

const withContext = "WithSerializationContext"

// takesContext reports whether a codec or converter of the SDK takes a serialization context.
func takesContext(object any) bool {
	method := reflect.ValueOf(object).MethodByName(withContext)
	return method.IsValid() && method.Type().NumIn() == 1 && method.Type().NumOut() == 1
}

// sdkContextOf returns the type of the context for the method of a codec or converter. It panics for any other type.
func sdkContextOf(object, activityContext any) sdkContext {
	t := reflect.TypeOf(activityContext)
	if parameter := reflect.ValueOf(object).MethodByName(withContext).Type().In(0); t.Kind() != reflect.Struct || !t.AssignableTo(parameter) {
		panic(fmt.Sprintf("heartbeat: %v is no %v: pass converter.ActivitySerializationContext{} of the SDK", t, parameter))
	}
	return t
}

// bindSDK returns the result of the object's method WithSerializationContext. The SDK's context has fields of the same names.
func bindSDK[T any](object T, contextType sdkContext, facts SerializationContext) T {
	context, known := reflect.New(contextType).Elem(), reflect.ValueOf(facts)
	for i := range known.NumField() {
		if field := context.FieldByName(known.Type().Field(i).Name); field.IsValid() && field.Kind() == reflect.String {
			field.SetString(known.Field(i).String())
		}
	}
	return reflect.ValueOf(object).MethodByName(withContext).Call([]reflect.Value{context})[0].Interface().(T)
}
