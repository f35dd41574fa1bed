package main

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"temporal-heartbeat.dev/go/tests/interop/values"
)

func interopActivity(ctx context.Context, value string, records bool) error {
	info := activity.GetInfo(ctx)
	if records && info.Attempt == 1 {
		activity.RecordHeartbeat(ctx, values.Named(value)...)
		return errors.New("recorded")
	}
	seen := []string{}
	if activity.HasHeartbeatDetails(ctx) {
		pointers := values.Pointers(value)
		if err := activity.GetHeartbeatDetails(ctx, pointers...); err != nil {
			return err
		}
		seen = values.Show(pointers)
	}
	printLine(map[string]any{
		"workflow": info.WorkflowExecution.ID,
		"attempt":  info.Attempt,
		"token":    hex.EncodeToString(info.TaskToken),
		"seen":     seen,
	})
	return activity.ErrResultPending
}

type ending struct {
	Ended   string   `json:"ended"`
	Message string   `json:"message"`
	Seen    []string `json:"seen"`
}

func interopWorkflow(ctx workflow.Context, value string, records bool, heartbeatTimeoutMs, maximumAttempts int) (ending, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 2 * time.Minute,
		HeartbeatTimeout:    time.Duration(heartbeatTimeoutMs) * time.Millisecond,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: 100 * time.Millisecond,
			MaximumInterval: 100 * time.Millisecond,
			MaximumAttempts: int32(maximumAttempts),
		},
	})
	pointers := values.Pointers(value)
	err := workflow.ExecuteActivity(ctx, "interop", value, records).Get(ctx, pointers[0])
	if err == nil {
		return ending{"completed", "", values.Show(pointers[:1])}, nil
	}
	if timeout := (*temporal.TimeoutError)(nil); errors.As(err, &timeout) {
		seen, err := read(timeout.HasLastHeartbeatDetails(), timeout.LastHeartbeatDetails, value)
		return ending{"timed out", timeout.Message(), seen}, err
	}
	if failure := (*temporal.ApplicationError)(nil); errors.As(err, &failure) {
		seen, err := read(failure.HasDetails(), failure.Details, value)
		return ending{"failed", failure.Message(), seen}, err
	}
	return ending{}, err
}

func read(has bool, details func(...any) error, value string) ([]string, error) {
	if !has {
		return []string{}, nil
	}
	pointers := values.Pointers(value)
	if err := details(pointers...); err != nil {
		return nil, err
	}
	return values.Show(pointers), nil
}
