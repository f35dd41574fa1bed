// Package sdktest compares the conversions of package heartbeat with those of the SDK. It is a separate module, so that only this test
// depends on the SDK.
package sdktest

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"temporal-heartbeat.dev/go/heartbeat"
)

type record struct {
	Name  string
	Count int `json:"count,omitempty"`
	Deep  map[string][]any
}

type namedBytes []byte

type text struct{ s string }

func (x text) MarshalText() ([]byte, error) { return []byte("text:" + x.s), nil }

func pointerTo[T any](v T) *T { return &v }

var message = &commonpb.WorkflowExecution{WorkflowId: "w", RunId: "r"}

var values = []any{
	nil, (*int)(nil), (*record)(nil), (*commonpb.WorkflowExecution)(nil), (*[]byte)(nil),
	true, 0, 42, -1, int64(math.MaxInt64), uint64(math.MaxUint64), 1.0, 0.1, 1e300, "", "text", "Unicode: é 漢 🙂 <&>", "\xff",
	[]byte{}, []byte(nil), []byte{0, 1, 255}, namedBytes{1, 2}, [3]byte{1, 2, 3}, pointerTo([]byte{7}),
	[]int{1, 2}, []int(nil), []any{1, "two", nil}, map[string]int(nil), map[string]any{"b": 1, "a": []any{nil}},
	record{}, record{"n", 3, map[string][]any{"k": {1.5}}}, &record{Name: "pointer"}, pointerTo(pointerTo(3)),
	json.RawMessage(`{"b": 1,  "a": 2}`), json.Number("12345678901234567890"), text{"x"},
	time.Unix(1700000000, 5).UTC(), 3 * time.Second,
	message, pointerTo(message), durationpb.New(1500 * time.Millisecond), structpb.NewNullValue(),
	commonpb.WorkflowType{Name: "by value"}, &commonpb.Payload{Data: []byte("a message like any other")},
	make(chan int), func() {}, math.NaN(), math.Inf(1), map[float64]int{1: 1},
}

// targets returns pointers to new variables of all kinds.
func targets() []any {
	return []any{
		new(any), new(bool), new(int), new(uint8), new(float64), new(string), new([]byte), new(namedBytes), new([3]byte), new([]int),
		new([]any), new(map[string]any), new(record), new(*record), new(*int), pointerTo(pointerTo(9)), new(json.RawMessage),
		new(time.Time), new(*commonpb.WorkflowExecution), &commonpb.WorkflowExecution{}, pointerTo(&commonpb.WorkflowExecution{RunId: "old"}),
		new(*durationpb.Duration), new(proto.Message), new(fmt.Stringer),
		nil, 5, "text", record{}, (*int)(nil), (*commonpb.WorkflowExecution)(nil),
	}
}

var sdk = converter.GetDefaultDataConverter()

func TestValuesAreWrittenAsTheSDKDoes(t *testing.T) {
	for _, value := range values {
		t.Run(fmt.Sprintf("%T", value), func(t *testing.T) {
			ours, ourErr := heartbeat.NewPayload(value)
			theirs, theirErr := sdk.ToPayload(value)
			if (ourErr == nil) != (theirErr == nil) {
				t.Fatalf("our error is %v, the SDK's %v", ourErr, theirErr)
			}
			if ourErr != nil {
				return
			}
			if !proto.Equal(asMessage(ours), theirs) {
				t.Errorf("we write %v, the SDK %v", asMessage(ours), theirs)
			}
		})
	}
}

func TestValuesAreReadAsTheSDKDoes(t *testing.T) {
	payloads := []*commonpb.Payload{
		{}, {Metadata: map[string][]byte{}, Data: []byte("1")},
		{Metadata: map[string][]byte{"encoding": []byte("binary/other")}, Data: []byte("1")},
		{Metadata: map[string][]byte{"encoding": []byte("json/protobuf")}, Data: []byte("null")},
		{Metadata: map[string][]byte{"encoding": []byte("json/protobuf")}, Data: []byte(`{"workflowId":"w","unknown":1}`)},
		{Metadata: map[string][]byte{"encoding": []byte("binary/protobuf")}, Data: must(proto.Marshal(message))},
		{Metadata: map[string][]byte{"encoding": []byte("binary/protobuf")}, Data: []byte{0xff}},
		{Metadata: map[string][]byte{"encoding": []byte("json/plain")}},
		{Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: []byte("null")},
		{Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: []byte(`{"Name":`)},
	}
	for _, value := range values {
		if payload, err := sdk.ToPayload(value); err == nil {
			payloads = append(payloads, payload)
		}
	}
	for _, payload := range payloads {
		ours, theirs := targets(), targets()
		for i := range ours {
			t.Run(fmt.Sprintf("%s into %T", payload.Metadata["encoding"], ours[i]), func(t *testing.T) {
				ourErr := heartbeat.Payload{Metadata: payload.Metadata, Data: payload.Data}.Get(ours[i])
				theirErr, panicked := read(payload, theirs[i])
				if panicked {
					if ourErr == nil {
						t.Errorf("the SDK panics on %v, and we read %#v", payload, ours[i])
					}
					return
				}
				if (ourErr == nil) != (theirErr == nil) {
					t.Fatalf("%v: our error is %v, the SDK's %v", payload, ourErr, theirErr)
				}
				if ourErr == nil && !same(ours[i], theirs[i]) {
					t.Errorf("%v: we read %#v, the SDK %#v", payload, ours[i], theirs[i])
				}
			})
		}
	}
}

// read reads with the SDK, which panics for some targets.
func read(payload *commonpb.Payload, target any) (err error, panicked bool) {
	defer func() { panicked = recover() != nil }()
	return sdk.FromPayload(payload, target), false
}

func same(a, b any) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	// protobuf messages have internal state in addition to their fields
	return fmt.Sprintf("%v", reflect.Indirect(reflect.ValueOf(a))) == fmt.Sprintf("%v", reflect.Indirect(reflect.ValueOf(b))) &&
		isMessage(a) && isMessage(b)
}

func isMessage(target any) bool {
	v := reflect.ValueOf(target)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		if _, ok := v.Interface().(proto.Message); ok {
			return true
		}
		v = v.Elem()
	}
	return false
}

func asMessage(p heartbeat.Payload) *commonpb.Payload {
	return &commonpb.Payload{Metadata: p.Metadata, Data: p.Data}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}
