package heartbeat

import (
	"bytes"
	"context"
	"encoding/json"

	"temporal-heartbeat.dev/go/internal/abi"
)

// TokenFromEnv returns the task token that the parent process handed over: as base64 in TEMPORAL_ACTIVITY_TASK_TOKEN, in the file
// named by TEMPORAL_ACTIVITY_TASK_TOKEN_FILE, or through the descriptor in TEMPORAL_ACTIVITY_TASK_TOKEN_FD.
//
// It reads a descriptor until the parent closes its end, for at most 10 seconds.
//
// The error is [ErrConfig] if no variable is set, if several are set, or if the token isn't base64.
func TokenFromEnv() ([]byte, error) {
	if err := loadLibrary(); err != nil {
		return nil, err
	}
	token, err := abi.TokenFromEnv()
	return token, newError("token from environment", err)
}

// IDs are the ids of an activity of a workflow.
type IDs struct {
	WorkflowID string `json:"workflow_id,omitempty"`
	// RunID is the run of the workflow. Without it, the workflow's current run is used.
	RunID      string `json:"run_id,omitempty"`
	ActivityID string `json:"activity_id,omitempty"`
	// Attempt is the number that the running attempt must have. 0: any.
	Attempt int32 `json:"attempt,omitempty"`
}

// TokenFromIDs makes a task token for the attempt that runs. Every function takes the token, and the server rejects it after that
// attempt. While the attempt isn't started, TokenFromIDs waits.
//
// Errors: [ErrNotFound] when the activity is over, or another attempt has taken over; [ErrFailedPrecondition] when the attempt isn't
// started in time; [ErrUnimplemented] when there is no such token, for example for a standalone activity: call [Open] with the ids;
// [ErrConfig], [ErrNotConnected], [ErrUnavailable], [ErrTimeout].
func TokenFromIDs(ctx context.Context, ids IDs) ([]byte, error) {
	const op = "token from ids"
	idsJSON, err := json.Marshal(ids)
	if err != nil {
		return nil, localError(op, StatusInvalidArgument, "the ids can't be encoded", err)
	}
	if err := checkCallable(ctx, op); err != nil {
		return nil, err
	}
	select {
	case tokenCalls <- struct{}{}:
	case <-ctx.Done():
		return nil, contextError(ctx, op, notCalled)
	}
	timeoutMs := toTimeoutMs(callTimeout(ctx))
	return await(ctx, op, func() ([]byte, *abi.Error) {
		defer func() { <-tokenCalls }()
		return abi.TokenFromIDs(idsJSON, timeoutMs)
	})
}

// tokenCalls limits the calls of TokenFromIDs that block a thread each.
var tokenCalls = make(chan struct{}, 16)

// RecordHeartbeat sends a heartbeat with details, waits for the server's answer, and returns its signals. The details replace those of
// the last heartbeat; the next attempt reads them with [GetDetails].
//
// At least one detail is required; it may be nil. A heartbeat without details deletes the progress on the server; [ClearHeartbeat]
// sends one.
//
// Between two calls nothing is noticed: a cancellation is a signal of the next call. To learn of it at once, call [Open] with FollowServer,
// and use the Context of the Activity.
//
// Errors: [ErrNotFound] when the activity is over for this token (stop the work), [ErrInvalidArgument] for details that can't be
// converted, [ErrTooLarge], [ErrTokenUnreadable], [ErrNotConnected], [ErrUnavailable], [ErrTimeout].
func RecordHeartbeat(ctx context.Context, taskToken []byte, details ...any) (Signals, error) {
	const op = "heartbeat"
	if len(details) == 0 {
		return 0, localError(op, StatusInvalidArgument,
			"no details: a heartbeat without details erases the progress that the server holds; pass details, or call ClearHeartbeat", nil)
	}
	return sendHeartbeat(ctx, op, taskToken, details)
}

// ClearHeartbeat sends a heartbeat without details, which deletes those on the server: the next attempt starts from the beginning.
// Otherwise it is like [RecordHeartbeat].
func ClearHeartbeat(ctx context.Context, taskToken []byte) (Signals, error) {
	return sendHeartbeat(ctx, "clear heartbeat", taskToken, nil)
}

func sendHeartbeat(ctx context.Context, op string, taskToken []byte, details []any) (Signals, error) {
	answer, _, err := request(ctx, op, abi.Request{Call: abi.Heartbeat, Token: taskToken}, valuesEncoder(op, details))
	return Signals(answer.Signals), err
}

// GetDetails returns the details of the last heartbeat, which an earlier attempt may have sent: the point to resume from. It
// isn't an error if there are none.
//
// Errors: [ErrNotFound] when the activity is over, not just this attempt (compare [Details.Attempt]), [ErrTokenUnreadable],
// [ErrNotConnected], [ErrUnavailable], [ErrTimeout].
func GetDetails(ctx context.Context, taskToken []byte) (Details, error) {
	const op = "get details"
	noValues := func(*abi.Request, *bytes.Buffer, conversion) error { return nil }
	answer, c, err := request(ctx, op, abi.Request{Call: abi.GetDetails, Token: taskToken}, noValues)
	if err != nil {
		return Details{}, err
	}
	return newDetails(c, op, answer.Details)
}

// Complete completes the activity with a result. With nil it has no result, like an activity function that returns only an error.
//
// In three cases Complete, [Fail] and [ReportCancelled] may have taken effect although they return an error: after [ErrInDoubt], after a
// timeout, and when ctx ended. The next call may then return [ErrNotFound] because the first one took effect.
//
// Errors: [ErrNotFound], [ErrInDoubt], [ErrTooLarge], [ErrInvalidArgument], [ErrTokenUnreadable], [ErrNotConnected],
// [ErrUnavailable], [ErrTimeout].
func Complete(ctx context.Context, taskToken []byte, result any) error {
	const op = "complete"
	_, _, err := request(ctx, op, abi.Request{Call: abi.Complete, Token: taskToken}, valuesEncoder(op, resultValues(result)))
	return err
}

// ReportCancelled ends the activity as cancelled, with or without details. The server accepts it only if the cancellation was
// requested ([SignalCancelRequested]). Otherwise the error is [ErrInvalidArgument], and the activity continues.
func ReportCancelled(ctx context.Context, taskToken []byte, details ...any) error {
	const op = "report cancelled"
	_, _, err := request(ctx, op, abi.Request{Call: abi.ReportCancelled, Token: taskToken}, valuesEncoder(op, details))
	return err
}

// Fail ends the attempt with an error, which [FailureFrom] converts. The retry policy decides whether another attempt follows, unless the
// error is a [Failure] that is NonRetryable.
func Fail(ctx context.Context, taskToken []byte, err error) error {
	const op = "fail"
	failure, err := failureToSend(err, op)
	if err != nil {
		return err
	}
	encode := func(r *abi.Request, _ *bytes.Buffer, c conversion) (err error) {
		r.Data, err = failure.marshal(c, op)
		return err
	}
	_, _, err = request(ctx, op, abi.Request{Call: abi.Fail, Token: taskToken}, encode)
	return err
}
