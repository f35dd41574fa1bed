package heartbeat

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestFailureIsMarshalledForTheLibrary(t *testing.T) {
	failure := Failure{
		Message:          "disk full",
		Type:             "DiskFull",
		NonRetryable:     true,
		Details:          []any{1, []byte("two"), nil},
		NextRetryDelay:   1500*time.Millisecond + 1,
		Category:         CategoryBenign,
		StackTrace:       "main.go:1",
		Source:           "solver",
		Cause:            &Failure{Message: "write"},
		HeartbeatDetails: []any{41},
	}
	got, err := failure.marshal(conversion{}, "fail")
	if err != nil {
		t.Fatal(err)
	}
	payloads := func(values ...any) string {
		payloads, err := toPayloads(values)
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(appendPayloads(nil, payloads))
	}
	want := `{"message":"disk full","type":"DiskFull","non_retryable":true,` +
		`"details_payloads":"` + payloads(1, []byte("two"), nil) + `","next_retry_delay_ms":1501,"category":"benign","stack_trace":"main.go:1",` +
		`"source":"solver","cause":{"message":"write"},"heartbeat_details_payloads":"` + payloads(41) + `"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, err := (Failure{}).marshal(conversion{}, "fail"); err != nil || string(got) != "{}" {
		t.Errorf("the zero Failure is %s, %v", got, err)
	}
}

func TestFailureThatCannotBeMarshalledNamesTheField(t *testing.T) {
	cyclic := &Failure{}
	cyclic.Cause = cyclic
	bad := make(chan int)
	for _, c := range []struct {
		where   string
		failure Failure
	}{
		{"Details: value 0", Failure{Details: []any{bad}}},
		{"HeartbeatDetails: value 1", Failure{HeartbeatDetails: []any{1, bad}}},
		{"Cause.Details: value 0", Failure{Cause: &Failure{Details: []any{bad}}}},
		{"Cause.HeartbeatDetails", Failure{Cause: &Failure{HeartbeatDetails: []any{1}}}},
		{"causes", *cyclic},
	} {
		_, err := c.failure.marshal(conversion{}, "fail")
		wantIs(t, err, ErrInvalidArgument)
		if err != nil && !strings.Contains(err.Error(), c.where) {
			t.Errorf("%q doesn't say %q", err, c.where)
		}
	}
}

func TestFailureFromHasWrappedErrorsAsCauses(t *testing.T) {
	err := fmt.Errorf("save: %w", &fs.PathError{Op: "open", Path: "x", Err: errors.New("no such file")})
	got := FailureFrom(err)
	if got.Message != "save: open x: no such file" || got.Type != "wrapError" {
		t.Errorf("%+v", got)
	}
	cause := got.Cause
	if cause == nil || cause.Message != "open x: no such file" || cause.Type != "PathError" {
		t.Fatalf("%+v", cause)
	}
	if root := cause.Cause; root == nil || root.Message != "no such file" || root.Type != "" || root.Cause != nil {
		t.Errorf("%+v", root)
	}
	if text, err := json.Marshal(FailureFrom(nil)); err != nil || !strings.Contains(string(text), `"Message":""`) {
		t.Error(string(text), err)
	}
}

func TestFailureIsAnErrorThatKeepsItsFields(t *testing.T) {
	failure := Failure{Message: "disk full", Type: "DiskFull", NonRetryable: true, Cause: &Failure{Message: "write"}}
	for _, err := range []error{failure, &failure} {
		if got := FailureFrom(err); !reflect.DeepEqual(got, failure) {
			t.Errorf("%T becomes %#v", err, got)
		}
		if err.Error() != "disk full" || errors.Unwrap(err).Error() != "write" {
			t.Errorf("%T reads %q, and wraps %v", err, err, errors.Unwrap(err))
		}
	}
	wrapped := FailureFrom(fmt.Errorf("save: %w", &failure))
	if wrapped.Message != "save: disk full" || wrapped.NonRetryable || !reflect.DeepEqual(*wrapped.Cause, failure) {
		t.Errorf("the wrapped one becomes %#v", wrapped)
	}
	if errors.Unwrap(Failure{}) != nil {
		t.Error("a Failure without a cause wraps an error")
	}
}

func TestFailSendsTheTextOfAnError(t *testing.T) {
	server := newRecorder(t)
	ctx := context.Background()
	if err := Connect(ctx, server.options(nil)); err != nil {
		t.Fatal(err)
	}
	defer Disconnect(ctx)
	if err := Fail(ctx, testToken, fmt.Errorf("save: %w", fs.ErrNotExist)); err != nil {
		t.Fatal(err)
	}
	server.waitFor(t, "save: file does not exist")

	initial, err := NewDetails()
	if err != nil {
		t.Fatal(err)
	}
	act, err := Open(ctx, testToken, OpenOptions{InitialDetails: &initial, DisablePulse: true})
	if err != nil {
		t.Fatal(err)
	}
	defer act.Close(ctx)
	if err := act.Fail(ctx, fmt.Errorf("load: %w", fs.ErrPermission)); err != nil {
		t.Fatal(err)
	}
	server.waitFor(t, "load: permission denied")
}

func TestFailureFromALongChainIsBounded(t *testing.T) {
	err := errors.New("root")
	for range 100 {
		err = fmt.Errorf("x: %w", err)
	}
	failure, depth := FailureFrom(err), 0
	for cause := failure.Cause; cause != nil; cause = cause.Cause {
		depth++
	}
	if depth != maxCauses {
		t.Errorf("%d causes", depth)
	}
}
