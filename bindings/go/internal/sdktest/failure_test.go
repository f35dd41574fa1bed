package sdktest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"

	"temporal-heartbeat.dev/go/heartbeat"
)

var applicationError = temporal.NewApplicationErrorWithOptions("simulated failure", "test", temporal.ApplicationErrorOptions{
	NonRetryable:   true,
	Cause:          temporal.NewNonRetryableApplicationError("the cause", "inner", nil, 41),
	Details:        []any{"some details", map[string]int{"item": 41}, []byte("raw")},
	NextRetryDelay: 3 * time.Second,
	Category:       temporal.ApplicationErrorCategoryBenign,
})

func TestErrorsOfTheSDKAreConvertedAsTheSDKDoes(t *testing.T) {
	for name, err := range map[string]error{
		"full":                 applicationError,
		"without type":         temporal.NewApplicationError("err message", "", "err details"),
		"retryable":            temporal.NewApplicationErrorWithCause("retryable", "test", errors.New("the cause")),
		"wrapped":              fmt.Errorf("save: %w", applicationError),
		"wrapping a plain one": temporal.NewApplicationErrorWithCause("x", "T", fmt.Errorf("y: %w", context.DeadlineExceeded)),
	} {
		t.Run(name, func(t *testing.T) {
			wantSameFailure(t, heartbeat.FailureFrom(err), temporal.GetDefaultFailureConverter().ErrorToFailure(err))
		})
	}
}

func TestErrorsThatTheServerRefusesBecomeApplicationErrorsOfTheirType(t *testing.T) {
	timeout := temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_HEARTBEAT, errors.New("the cause"), 41)
	for _, c := range []struct {
		err     error
		kind    string
		details []any
	}{
		{timeout, "TimeoutError", []any{41}},
		{temporal.NewHeartbeatTimeoutError("a", "b"), "TimeoutError", []any{"a", "b"}},
		{temporal.NewCanceledError("where"), "CanceledError", []any{"where"}},
	} {
		got := heartbeat.FailureFrom(c.err)
		if got.Type != c.kind || fmt.Sprint(got.Details) != fmt.Sprint(c.details) || got.NonRetryable {
			t.Errorf("%v is %+v", c.err, got)
		}
	}
	if cause := heartbeat.FailureFrom(timeout).Cause; cause == nil || cause.Message != "the cause" {
		t.Errorf("the cause of the timeout is %+v", cause)
	}
}

func TestReceivedErrorKeepsItsDetails(t *testing.T) {
	converter := temporal.GetDefaultFailureConverter()
	received := converter.FailureToError(converter.ErrorToFailure(applicationError))
	got := heartbeat.FailureFrom(received)
	if len(got.Details) != 3 || got.Details[0] != "some details" || string(got.Details[2].([]byte)) != "raw" {
		t.Errorf("the details are %+v", got.Details)
	}
}

func TestNilAmongTheDetailsIsNoPanic(t *testing.T) {
	got := heartbeat.FailureFrom(temporal.NewApplicationError("x", "", "first", nil))
	if len(got.Details) != 2 || got.Details[0] != "first" || got.Details[1] != nil {
		t.Errorf("the details are %+v", got.Details)
	}
}

func wantSameFailure(t *testing.T, got heartbeat.Failure, want *failurepb.Failure) {
	t.Helper()
	info := want.GetApplicationFailureInfo()
	if got.Message != want.GetMessage() || got.Type != info.GetType() || got.NonRetryable != info.GetNonRetryable() {
		t.Errorf("got %+v, want %v", got, want)
	}
	if got.NextRetryDelay != info.GetNextRetryDelay().AsDuration() {
		t.Errorf("the delay is %v, want %v", got.NextRetryDelay, info.GetNextRetryDelay())
	}
	if (got.Category == heartbeat.CategoryBenign) != (info.GetCategory() == enumspb.APPLICATION_ERROR_CATEGORY_BENIGN) {
		t.Errorf("the category is %q, want %v", got.Category, info.GetCategory())
	}
	if len(got.Details) != len(info.GetDetails().GetPayloads()) {
		t.Fatalf("the details are %+v, want %v", got.Details, info.GetDetails())
	}
	for i, value := range got.Details {
		payload, err := heartbeat.NewPayload(value)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := payload.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		theirs := info.GetDetails().GetPayloads()[i].ProtoReflect().New().Interface()
		if err := proto.Unmarshal(ours, theirs); err != nil || !proto.Equal(theirs, info.GetDetails().GetPayloads()[i]) {
			t.Errorf("detail %d is %v (%v), want %v", i, theirs, err, info.GetDetails().GetPayloads()[i])
		}
	}
	if (got.Cause == nil) != (want.GetCause() == nil) {
		t.Fatalf("the cause is %+v, want %v", got.Cause, want.GetCause())
	}
	if got.Cause != nil {
		wantSameFailure(t, *got.Cause, want.GetCause())
	}
}
