// Package handoff is for the parent process: the activity of a worker hands its work to a child process, which opens it with
// heartbeat.OpenFromEnv, or with the same function in another language. The package needs neither cgo nor the native library nor
// Temporal's SDK.
//
// In an activity of a worker with the Go SDK, one line makes the environment of the child:
//
//	func Solve(ctx context.Context) (string, error) {
//		child := exec.Command("./solver")
//		child.Stdout, child.Stderr = os.Stdout, os.Stderr
//		var err error
//		if child.Env, err = handoff.Environ(os.Environ(), handoff.From(activity.GetInfo(ctx))); err != nil {
//			return "", err
//		}
//		if err := child.Start(); err != nil {
//			return "", err
//		}
//		go func() {
//			child.Wait()
//			log.Print("./solver: ", child.ProcessState)
//		}()
//		return "", activity.ErrResultPending // the child completes it
//	}
//
// The parent can also hand over the details of the previous attempt, so that the child needn't ask the server. This code passes one value
// of any type:
//
//	a := handoff.From(activity.GetInfo(ctx))
//	if activity.HasHeartbeatDetails(ctx) {
//		var value converter.RawValue
//		if err := activity.GetHeartbeatDetails(ctx, &value); err != nil {
//			return "", err
//		}
//		details := &commonpb.Payloads{Payloads: []*commonpb.Payload{value.Payload()}}
//		a.HeartbeatDetails, err = proto.Marshal(details)
//	}
//
// The environment has the task token, the ids, the types and the attempt of the activity, its task queue, and the heartbeat timeout. It has the details of the
// previous attempt if they are set, and the start-to-close timeout as a hint.
//
// A process that has the token can end the activity. Other users of the machine can't read the environment of a process, but the processes
// that it starts inherit it. [EnvironWithFile] and [Prepare] keep the token out of the environment.
package handoff

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"temporal-heartbeat.dev/go/internal/wire"
)

// Activity describes the activity to the child. Only TaskToken is required.
type Activity struct {
	TaskToken []byte
	// Namespace is the child's TEMPORAL_NAMESPACE. Empty: that of the base environment.
	Namespace string
	// Address is the child's TEMPORAL_ADDRESS. Empty: that of the base environment.
	Address string
	// WorkflowID is empty for a standalone activity.
	WorkflowID string
	// RunID is the run ID of the workflow, or of a standalone activity.
	RunID      string
	ActivityID string
	// WorkflowType, ActivityType and TaskQueue are for codecs whose key depends on them: the child's heartbeat.SerializationContext.
	WorkflowType string
	ActivityType string
	TaskQueue    string
	// Attempt counts from 1. 0: unknown.
	Attempt int32
	// HeartbeatTimeout is 0 if it is unknown, and if there is none.
	HeartbeatTimeout time.Duration
	// StartToCloseTimeout is 0 if it is unknown. It is a hint for the child: the server enforces its own timeout.
	StartToCloseTimeout time.Duration
	// Age is the time since the activity function began, if it did other work first. Measure it with time.Since. [From] doesn't set
	// it, since the SDK's StartedTime is a time of the server's clock, which may differ from this machine's. Without an age, the child
	// counts the attempt from the moment at which it opens the activity.
	Age time.Duration

	// HeartbeatDetails are the details of the previous attempt: a serialized temporal.api.common.v1.Payloads, which is proto.Marshal of
	// the result of the SDK's data converter. nil: the child asks the server. Empty, but not nil: there are none.
	//
	// Details of more than about 70 KB are too long for an environment variable. They are left out, and the child asks the server.
	HeartbeatDetails []byte
	// RequireEncoded is for a namespace with encrypted data: it refuses details that no codec encoded, with [ErrReadable]. The SDK
	// decodes the details for the activity, so a worker with a codec must encode them again, with ToPayloads of its data converter.
	RequireEncoded bool
}

// ErrReadable is the error for details that no codec encoded although RequireEncoded is set.
var ErrReadable = errors.New("handoff: the heartbeat details are readable by anybody, and encoded ones are required: " +
	"pass what the data converter with your codec makes of them")

// From converts the SDK's activity.Info, the result of activity.GetInfo. It reads the fields by name and type, so that this package
// doesn't depend on a version of the SDK. It doesn't set the details. For the first activity without a heartbeat timeout it logs a warning
// to slog's default logger.
func From(info any) Activity {
	v := reflect.Indirect(reflect.ValueOf(info))
	a := Activity{
		TaskToken:           field[[]byte](v, "TaskToken"),
		Namespace:           field[string](v, "Namespace"),
		WorkflowID:          field[string](v, "WorkflowExecution", "ID"),
		RunID:               field[string](v, "WorkflowExecution", "RunID"),
		ActivityID:          field[string](v, "ActivityID"),
		WorkflowType:        field[string](v, "WorkflowType", "Name"),
		ActivityType:        field[string](v, "ActivityType", "Name"),
		TaskQueue:           field[string](v, "TaskQueue"),
		Attempt:             field[int32](v, "Attempt"),
		HeartbeatTimeout:    field[time.Duration](v, "HeartbeatTimeout"),
		StartToCloseTimeout: field[time.Duration](v, "StartToCloseTimeout"),
	}
	if a.Namespace == "" {
		a.Namespace = field[string](v, "WorkflowNamespace") // its name in older versions of the SDK
	}
	if a.RunID == "" {
		a.RunID = field[string](v, "ActivityRunID")
	}
	if a.HeartbeatTimeout == 0 {
		warnOnce.Do(func() {
			slog.Warn("handoff: the activity has no heartbeat timeout: if the child dies, the server notices it only at the "+
				"start-to-close timeout. Set HeartbeatTimeout in the options of the activity", "activity", a.ActivityID)
		})
	}
	return a
}

var warnOnce sync.Once

// field returns the field at a path of names, or the zero value if there is no such field of that type.
func field[T any](v reflect.Value, path ...string) (value T) {
	for _, name := range path {
		v = reflect.Indirect(v)
		if v.Kind() != reflect.Struct {
			return value
		}
		v = v.FieldByName(name)
	}
	if v.IsValid() && v.CanInterface() {
		value, _ = v.Interface().(T)
	}
	return value
}

// Environ returns the environment of a child that continues the activity: base, which is usually os.Environ(), with the variables of the
// activity and its token. It removes the variables of another activity from base.
func Environ(base []string, activity Activity) ([]string, error) {
	return activity.environ(base, "TASK_TOKEN", activity.tokenText())
}

// The names of the environment variables.
const (
	prefix            = "TEMPORAL_ACTIVITY_"
	addressVariable   = "TEMPORAL_ADDRESS"
	namespaceVariable = "TEMPORAL_NAMESPACE"
)

// maxDetails is the longest base64 of details in a variable. Linux limits a variable to 128 KiB.
const maxDetails = 96 << 10

// environ returns the environment, with one variable for the token.
func (a Activity) environ(base []string, tokenName, tokenText string) ([]string, error) {
	if len(a.TaskToken) == 0 {
		return nil, errors.New("handoff: there is no task token; in an activity, activity.GetInfo(ctx) has it")
	}
	if a.HeartbeatTimeout < 0 || a.StartToCloseTimeout < 0 || a.Age < 0 || a.Attempt < 0 {
		return nil, fmt.Errorf("handoff: a heartbeat timeout of %v, a start-to-close timeout of %v, an age of %v, attempt %d: "+
			"none can be negative", a.HeartbeatTimeout, a.StartToCloseTimeout, a.Age, a.Attempt)
	}
	encodings, err := encodingsOf(a.HeartbeatDetails)
	if err != nil {
		return nil, fmt.Errorf("handoff: the heartbeat details aren't a serialized temporal.api.common.v1.Payloads: %w", err)
	}
	if a.RequireEncoded && anyReadable(encodings) {
		return nil, fmt.Errorf("%w (%s)", ErrReadable, strings.Join(encodings, ", "))
	}

	env := without(base, func(name string) bool {
		return strings.HasPrefix(name, prefix) || a.Address != "" && name == addressVariable ||
			a.Namespace != "" && name == namespaceVariable
	})
	add := func(name, value string, wanted bool) {
		if wanted {
			env = append(env, name+"="+value)
		}
	}
	add(addressVariable, a.Address, a.Address != "")
	add(namespaceVariable, a.Namespace, a.Namespace != "")
	add(prefix+tokenName, tokenText, true)
	add(prefix+"WORKFLOW_ID", a.WorkflowID, a.WorkflowID != "")
	add(prefix+"RUN_ID", a.RunID, a.RunID != "")
	add(prefix+"ID", a.ActivityID, a.ActivityID != "")
	add(prefix+"WORKFLOW_TYPE", a.WorkflowType, a.WorkflowType != "")
	add(prefix+"TYPE", a.ActivityType, a.ActivityType != "")
	add(prefix+"TASK_QUEUE", a.TaskQueue, a.TaskQueue != "")
	add(prefix+"ATTEMPT", strconv.Itoa(int(a.Attempt)), a.Attempt > 0)
	// A time of more than 49 days is too long for the library, and is left out.
	addTime := func(name string, duration time.Duration, wanted bool) {
		ms := duration.Milliseconds()
		add(prefix+name, strconv.FormatInt(ms, 10), wanted && ms <= math.MaxUint32)
	}
	addTime("HEARTBEAT_TIMEOUT_MS", a.HeartbeatTimeout, a.HeartbeatTimeout >= time.Millisecond)
	details := base64.StdEncoding.EncodeToString(a.HeartbeatDetails)
	add(prefix+"HEARTBEAT_DETAILS", details, a.HeartbeatDetails != nil && len(details) <= maxDetails)
	addTime("AGE_MS", a.Age, a.Age > 0)
	addTime("DEADLINE_MS", max(a.StartToCloseTimeout-a.Age, 0), a.StartToCloseTimeout > 0)
	add(prefix+"REQUIRE_ENCODED", "true", a.RequireEncoded)
	return env, nil
}

func (a Activity) tokenText() string {
	return base64.StdEncoding.EncodeToString(a.TaskToken)
}

// without returns the variables whose name isn't unwanted.
func without(base []string, unwanted func(name string) bool) []string {
	var env []string
	for _, variable := range base {
		if name, _, _ := strings.Cut(variable, "="); !unwanted(name) {
			env = append(env, variable)
		}
	}
	return env
}

// readableEncodings are the encodings of the SDKs' default data converters that show the value.
var readableEncodings = []string{"json/plain", "json/protobuf", "binary/plain", "binary/protobuf"}

// anyReadable reports whether a value wasn't encoded by a codec. A null shows nothing.
func anyReadable(encodings []string) bool {
	return slices.ContainsFunc(encodings, func(encoding string) bool { return slices.Contains(readableEncodings, encoding) })
}

// encodingsOf returns the encodings of serialized Payloads, with one encoding for all external references, which show no value.
func encodingsOf(payloads []byte) (encodings []string, err error) {
	_, err = wire.Fields(payloads, func(field protowire.Number, payload []byte) (bool, error) {
		if field != wire.Payloads {
			return true, nil
		}
		encoding, isReference := "", false
		_, err := wire.Fields(payload, func(field protowire.Number, data []byte) (bool, error) {
			if field != wire.Metadata {
				return true, nil
			}
			key, value, err := wire.MetadataEntry(data)
			switch {
			case key == "messageType" && string(value) == wire.MessageExternalReference:
				isReference = true
			case key == "encoding":
				encoding = string(value)
			}
			return true, err
		})
		if isReference {
			encoding = wire.EncodingExternalReference
		}
		encodings = append(encodings, encoding)
		return true, err
	})
	return encodings, err
}
