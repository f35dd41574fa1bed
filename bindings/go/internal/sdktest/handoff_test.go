package sdktest

import (
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/proto"

	"temporal-heartbeat.dev/go/handoff"
)

func TestHandOffReadsTheSDKsInfo(t *testing.T) {
	var info activity.Info
	info.TaskToken = []byte("token")
	info.Namespace = "n"
	info.WorkflowExecution.ID, info.WorkflowExecution.RunID = "w", "r"
	info.ActivityID = "a"
	info.Attempt = 3
	info.HeartbeatTimeout = time.Minute
	info.StartToCloseTimeout = time.Hour
	info.WorkflowType = &workflow.Type{Name: "Model"}
	info.ActivityType.Name = "solve"
	info.TaskQueue = "solvers"
	got := handoff.From(info)
	if string(got.TaskToken) != "token" || got.Namespace != "n" || got.WorkflowID != "w" || got.RunID != "r" || got.ActivityID != "a" ||
		got.Attempt != 3 || got.HeartbeatTimeout != time.Minute || got.StartToCloseTimeout != time.Hour ||
		got.WorkflowType != "Model" || got.ActivityType != "solve" || got.TaskQueue != "solvers" {
		t.Errorf("%+v", got)
	}

	var standalone activity.Info
	standalone.ActivityRunID = "own"
	if got := handoff.From(&standalone); got.RunID != "own" || got.WorkflowID != "" {
		t.Errorf("%+v", got)
	}
}

// A worker reads a RawValue without conversion, and so can hand over details of any type.
func TestHandOffAcceptsPayloadsOfTheSDK(t *testing.T) {
	payloads, err := sdk.ToPayloads(converter.NewRawValue(&commonpb.Payload{Data: []byte("x")}), 41)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := handoff.Environ(nil, handoff.Activity{TaskToken: []byte("t"), HeartbeatDetails: must(proto.Marshal(payloads))}); err != nil {
		t.Error(err)
	}
}
