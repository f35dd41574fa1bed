package heartbeat

import (
	"reflect"
	"time"
)

// The errors of Temporal's SDK, recognised by their methods: this module doesn't depend on the SDK.
type (
	// sdkApplicationError is *temporal.ApplicationError.
	sdkApplicationError interface {
		Message() string
		Type() string
		NonRetryable() bool
		NextRetryDelay() time.Duration
		sdkDetails
	}
	// sdkTimeoutError is *temporal.TimeoutError.
	sdkTimeoutError interface {
		Message() string
		LastHeartbeatDetails(targets ...any) error
	}
	// sdkDetails is *temporal.CanceledError, among others.
	sdkDetails interface {
		HasDetails() bool
		Details(targets ...any) error
	}
	// sdkPanicError is *temporal.PanicError.
	sdkPanicError interface {
		StackTrace() string
	}
)

// addSDKError sets the fields that an error of the SDK has beyond its text and the name of its type.
func (f *Failure) addSDKError(err error) {
	switch err := err.(type) {
	case sdkApplicationError:
		f.Message, f.Type, f.NonRetryable = err.Message(), err.Type(), err.NonRetryable()
		f.NextRetryDelay = err.NextRetryDelay()
		f.Details = sdkValues(err.Details)
		if isBenign(err) {
			f.Category = CategoryBenign
		}
	case sdkTimeoutError:
		f.Message, f.Details = err.Message(), sdkValues(err.LastHeartbeatDetails)
	case sdkDetails:
		f.Details = sdkValues(err.Details)
	case sdkPanicError:
		f.StackTrace = err.StackTrace()
	}
}

// isBenign calls Category by reflection, because its result has a type of the SDK.
func isBenign(err sdkApplicationError) bool {
	method := reflect.ValueOf(err).MethodByName("Category")
	if !method.IsValid() || method.Type().NumIn() != 0 || method.Type().NumOut() != 1 || method.Type().Out(0).Kind() != reflect.Int {
		return false
	}
	const benign = 1 // temporal.ApplicationErrorCategoryBenign
	return method.Call(nil)[0].Int() == benign
}

// maxSDKValues bounds the values that are read from an error.
const maxSDKValues = 64

// sdkValues returns the values that get copies to its targets, as many as there are.
func sdkValues(get func(targets ...any) error) (values []any) {
	for len(values) < maxSDKValues {
		more := firstSDKValues(get, len(values)+1)
		if more == nil {
			break
		}
		values = more
	}
	return values
}

// firstSDKValues returns the first count values, or nil if there are fewer: get then returns an error, or doesn't change the last target.
// The SDK panics when it copies a nil, after it has checked the count. The result then has nil for that value and for all later values.
func firstSDKValues(get func(targets ...any) error, count int) (values []any) {
	type unset struct{}
	values = make([]any, count)
	targets := make([]any, count)
	for i := range values {
		values[i], targets[i] = unset{}, &values[i]
	}
	defer func() {
		if recover() == nil {
			return
		}
		for i := range values {
			if values[i] == any(unset{}) {
				values[i] = nil
			}
		}
	}()
	if err := get(targets...); err != nil || values[count-1] == any(unset{}) {
		return nil
	}
	return values
}
