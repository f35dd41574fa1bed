// Package handoff is the parent's side: the activity of a worker hands its work to another process, which takes it with
// heartbeat.OpenFromEnv, or with its like in any other language. It takes neither cgo nor the native library, nor does it depend on
// Temporal's SDK.
//
// In an activity of a worker with the Go SDK, one line makes the child's environment:
//
//	func Solve(ctx context.Context) (string, error) {
//		child := exec.Command("./solver")
//		var err error
//		if child.Env, err = handoff.Environ(os.Environ(), handoff.From(activity.GetInfo(ctx))); err != nil {
//			return "", err
//		}
//		if err := child.Start(); err != nil {
//			return "", err
//		}
//		go child.Wait()
//		return "", activity.ErrResultPending // the child completes it
//	}
//
// What the attempt before recorded may go with it, so that the child needn't ask the server. Here one value, whatever it is:
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
// In the environment are the task token, whose activity and which attempt it is, the heartbeat timeout, the details of the attempt before if
// they are given, and the start-to-close timeout as a hint.
//
// Who has the token can end the activity. Other users of the machine can't see a process's environment, but whatever it starts
// inherits it: [EnvironWithFile] and [Prepare] keep the token out of there.
package handoff

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Activity is what the child is to know. Only TaskToken must be there.
type Activity struct {
	TaskToken []byte
	// Namespace is where the child connects to, as TEMPORAL_NAMESPACE. Empty: as its environment says.
	Namespace string
	// Address is the server that the child connects to, as TEMPORAL_ADDRESS. Empty: as its environment says.
	Address string
	// WorkflowID is empty for an activity without a workflow.
	WorkflowID string
	// RunID is the workflow's; the activity's own where there is no workflow.
	RunID      string
	ActivityID string
	// Attempt counts from 1. 0: unknown.
	Attempt int32
	// HeartbeatTimeout is 0 when it is unknown, and when there is none.
	HeartbeatTimeout time.Duration
	// StartToCloseTimeout is 0 when it is unknown. The child takes it as a hint: the server enforces the timeout that is in force.
	StartToCloseTimeout time.Duration
	// Age is the time since the activity function began, if it did something else first: time.Since of a time.Now of its own. The SDK's
	// StartedTime is the server's clock, which can differ from this machine's, so [From] sets no age. Without an age the child counts
	// the attempt from the moment at which it opens the activity.
	Age time.Duration

	// HeartbeatDetails are those of the attempt before: a serialized temporal.api.common.v1.Payloads, as proto.Marshal makes it of
	// what the SDK's data converter makes of the values. nil: the child asks the server. Empty, but not nil: there are none.
	//
	// Details that are too long for an environment variable, of more than some 70 KB, are left out, and the child asks the server.
	HeartbeatDetails []byte
	// RequireEncoded is for a namespace whose data are encrypted: details that anybody can read are then [ErrReadable]. The SDK
	// decodes what it gives to the activity, so a worker with a codec has to encode it anew: pass what its own data converter's
	// ToPayloads makes.
	RequireEncoded bool
}

// ErrReadable is the error of details that anybody can read, where encoded ones are required.
var ErrReadable = errors.New("handoff: the heartbeat details are readable by anybody, and encoded ones are required: " +
	"pass what the data converter with your codec makes of them")

// From reads the SDK's activity.Info: what activity.GetInfo returns. Of another value it takes the fields that have the same names and
// types, so that this package needs no particular version of the SDK. The details aren't among them.
func From(info any) Activity {
	v := reflect.Indirect(reflect.ValueOf(info))
	a := Activity{
		TaskToken:           field[[]byte](v, "TaskToken"),
		Namespace:           field[string](v, "Namespace"),
		WorkflowID:          field[string](v, "WorkflowExecution", "ID"),
		RunID:               field[string](v, "WorkflowExecution", "RunID"),
		ActivityID:          field[string](v, "ActivityID"),
		Attempt:             field[int32](v, "Attempt"),
		HeartbeatTimeout:    field[time.Duration](v, "HeartbeatTimeout"),
		StartToCloseTimeout: field[time.Duration](v, "StartToCloseTimeout"),
	}
	if a.Namespace == "" {
		a.Namespace = field[string](v, "WorkflowNamespace") // in older versions
	}
	if a.RunID == "" {
		a.RunID = field[string](v, "ActivityRunID")
	}
	return a
}

// field reads a field, or a field of a field; the zero value where there is none of that name and type.
func field[T any](v reflect.Value, path ...string) (value T) {
	for _, name := range path {
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

// Environ gives the environment of a child that is to carry on the activity: base, which usually is os.Environ(), and in it the
// activity with its token. What base has of another activity is left out.
func Environ(base []string, activity Activity) ([]string, error) {
	return activity.environ(base, "TASK_TOKEN", activity.tokenText())
}

// The names of the variables.
const (
	prefix            = "TEMPORAL_ACTIVITY_"
	addressVariable   = "TEMPORAL_ADDRESS"
	namespaceVariable = "TEMPORAL_NAMESPACE"
)

// maxDetails is the longest text of details that is handed over: Linux gives a variable 128 KiB.
const maxDetails = 96 << 10

// environ makes the environment, with the token where it says.
func (a Activity) environ(base []string, tokenName, tokenText string) ([]string, error) {
	if len(a.TaskToken) == 0 {
		return nil, errors.New("handoff: there is no task token; of an activity it is in activity.GetInfo(ctx)")
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
	add(prefix+"ATTEMPT", strconv.Itoa(int(a.Attempt)), a.Attempt > 0)
	// A time that is too long for the library, 49 days, is left out.
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

// without gives the variables but for some.
func without(base []string, unwanted func(name string) bool) []string {
	var env []string
	for _, variable := range base {
		if name, _, _ := strings.Cut(variable, "="); !unwanted(name) {
			env = append(env, variable)
		}
	}
	return env
}
