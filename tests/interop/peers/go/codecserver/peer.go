package main

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"time"

	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/proto"

	"temporal-heartbeat.dev/go/tests/interop/codec"
)

// activityType is the type of the only activity.
const activityType = "encrypted"

// peer is a client and a worker, both with the codec or both without one.
type peer struct {
	client client.Client
	worker worker.Worker
	queue  string
	data   converter.DataConverter
}

func startPeer(address, namespace, queue string, encrypts bool) *peer {
	// The standard output is only for reports.
	logger := log.NewStructuredLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	data, failures := converter.GetDefaultDataConverter(), temporal.GetDefaultFailureConverter()
	if encrypts {
		data = converter.NewCodecDataConverter(data, codec.ForNamespace(namespace))
		failures = newFailureConverter(data)
	}
	c, err := client.Dial(client.Options{
		HostPort: address, Namespace: namespace, Logger: logger, DataConverter: data, FailureConverter: failures,
		ExternalStorage: newExternalStorage(),
	})
	must(err)
	w := worker.New(c, queue, worker.Options{})
	w.RegisterActivityWithOptions(handOver, activity.RegisterOptions{Name: activityType})
	w.RegisterWorkflowWithOptions(oneActivity, workflow.RegisterOptions{Name: "Encrypted"})
	must(w.Start())
	return &peer{c, w, queue, data}
}

func (p *peer) stop() {
	p.worker.Stop()
	p.client.Close()
}

// failureConverter is the SDK's converter with encoded common attributes. The SDK's own passes no serialization context to its data
// converter.
type failureConverter struct {
	converter.FailureConverter
	data converter.DataConverter
}

func newFailureConverter(data converter.DataConverter) converter.FailureConverter {
	options := temporal.DefaultFailureConverterOptions{DataConverter: data, EncodeCommonAttributes: true}
	return failureConverter{temporal.NewDefaultFailureConverter(options), data}
}

// WithSerializationContext returns a converter with the context.
func (f failureConverter) WithSerializationContext(context converter.SerializationContext) converter.FailureConverter {
	return newFailureConverter(converter.WithDataConverterSerializationContext(f.data, context))
}

// startRequest asks for an activity, of a workflow or a standalone one.
type startRequest struct {
	Kind string `json:"kind"`
	// ID is the id of the activity, and of its workflow.
	ID                 string `json:"id"`
	Input              any    `json:"input"`
	HeartbeatTimeoutMs int    `json:"heartbeat_timeout_ms"`
	MaximumAttempts    int32  `json:"maximum_attempts"`
	// TaskQueue is the queue of the activity. Empty: that of the worker.
	TaskQueue string `json:"task_queue"`
}

func (r startRequest) heartbeatTimeout() time.Duration {
	return time.Duration(r.HeartbeatTimeoutMs) * time.Millisecond
}

func (r startRequest) retryPolicy() *temporal.RetryPolicy {
	interval := 100 * time.Millisecond
	return &temporal.RetryPolicy{InitialInterval: interval, MaximumInterval: interval, MaximumAttempts: r.MaximumAttempts}
}

// start starts the activity, and prints its outcome when it ends.
func (p *peer) start(r startRequest) {
	ctx := context.Background()
	if r.TaskQueue == "" {
		r.TaskQueue = p.queue
	}
	var wait func(context.Context, any) error
	if r.Kind == "workflow" {
		run, err := p.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: r.ID, TaskQueue: p.queue}, "Encrypted", r)
		must(err)
		wait = run.Get
	} else {
		handle, err := p.client.ExecuteActivity(ctx, client.StartActivityOptions{
			ID: r.ID, TaskQueue: r.TaskQueue, StartToCloseTimeout: 2 * time.Minute, HeartbeatTimeout: r.heartbeatTimeout(), RetryPolicy: r.retryPolicy(),
		}, activityType, r.Input)
		must(err)
		wait = handle.Get
	}
	go func() {
		var result any
		err := wait(ctx, &result)
		printLine(map[string]any{"ended": r.ID, "result": result, "failure": p.shown(err)})
	}()
}

// handOver prints the attempt, as the SDK sees it, and leaves its completion to the test.
func handOver(ctx context.Context, input any) (any, error) {
	info := activity.GetInfo(ctx)
	var details any
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &details); err != nil {
			return nil, err
		}
	}
	printLine(map[string]any{
		"attempt": info.ActivityID, "number": info.Attempt, "token": hex.EncodeToString(info.TaskToken), "input": input, "details": details,
		"run_id": info.WorkflowExecution.RunID + info.ActivityRunID,
	})
	return nil, activity.ErrResultPending
}

// oneActivity is a workflow that ends like its activity.
func oneActivity(ctx workflow.Context, r startRequest) (any, error) {
	var result any
	return result, workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		ActivityID: r.ID, TaskQueue: r.TaskQueue, StartToCloseTimeout: 2 * time.Minute, HeartbeatTimeout: r.heartbeatTimeout(),
		RetryPolicy: r.retryPolicy(),
	}), activityType, r.Input).Get(ctx, &result)
}

// shown returns the failure of the activity, and its causes; nil without one.
func (p *peer) shown(err error) any {
	for wrapper := err; wrapper != nil; wrapper = errors.Unwrap(wrapper) {
		var details any
		switch failure := wrapper.(type) {
		case *temporal.ApplicationError:
			if failure.HasDetails() {
				must(failure.Details(&details))
			}
			return map[string]any{
				"message": failure.Message(), "type": failure.Type(), "stack_trace": p.stackTrace(failure.Failure()), "details": details,
				"cause": p.shown(failure.Unwrap()),
			}
		case *temporal.TimeoutError:
			if failure.HasLastHeartbeatDetails() {
				must(failure.LastHeartbeatDetails(&details))
			}
			return map[string]any{"message": failure.Message(), "type": "TimeoutError", "details": details}
		case *temporal.CanceledError:
			if failure.HasDetails() {
				must(failure.Details(&details))
			}
			return map[string]any{"message": failure.Error(), "type": "CanceledError", "details": details}
		}
	}
	if err == nil {
		return nil
	}
	return map[string]any{"message": err.Error(), "type": "other"}
}

// stackTrace returns the stack trace of a failure, decoded.
func (p *peer) stackTrace(failure *failurepb.Failure) string {
	decoded := proto.Clone(failure).(*failurepb.Failure)
	converter.DecodeCommonFailureAttributes(p.data, decoded)
	return decoded.GetStackTrace()
}
