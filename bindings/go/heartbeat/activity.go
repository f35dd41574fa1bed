package heartbeat

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"temporal-heartbeat.dev/go/internal/abi"
)

// Activity is one that is held open: the library heartbeats it in the background, with the details that were recorded last,
// whatever the program does meanwhile. [Open] and [OpenFromEnv] make it, Close ends the holding. Any goroutine may call anything.
type Activity struct {
	handle abi.Handle
	codec  PayloadCodec // of the connection that it was opened under, with which the handle ends
	ctx    context.Context
	cancel context.CancelCauseFunc
	stopOn Signals // those that cancel ctx

	watcher *watcher
	id      uint64 // in the watcher

	previous atomic.Pointer[Details] // of the attempt before, once known
	last     atomic.Uint32           // signals, for after Close
	closed   atomic.Bool

	mu      sync.Mutex
	changed chan struct{} // closed when the signals change
}

// OpenOptions says how an activity is held. The zero value heartbeats it in the background, and asks the server for whatever
// isn't given.
type OpenOptions struct {
	// WorkflowID, RunID, ActivityID and Attempt tell which activity it is, instead of the task token (then nil); a standalone one has no
	// WorkflowID. The server doesn't tell attempts apart by these, so the library asks it first: docs/by-ids.md tells what that costs,
	// and what remains. Beside a token they are for asking what the server holds.
	WorkflowID, RunID, ActivityID string
	Attempt                       int32
	// HeartbeatTimeout is the activity's, as its parent knows it. 0: the server is asked, where it tells.
	HeartbeatTimeout time.Duration
	// DisablePulse sends heartbeats only for what is recorded; then it is the program that keeps the activity alive.
	DisablePulse bool
	// StallTimeout stops the pulse when nothing was recorded and [Activity.Touch] wasn't called for so long: then the server
	// times the attempt out, and retries it, although the process is alive. 0: never.
	StallTimeout time.Duration
	// CancelPoll heartbeats at least so often, to hear of a cancellation sooner. 0: as the heartbeat timeout needs it.
	CancelPoll time.Duration
	// InitialDetails are those that the attempt began with, if the parent knows them; without values there are none. nil: the
	// server is asked. See [NewDetails].
	InitialDetails *Details
	// Age is how long ago the attempt started. Until the first acknowledged heartbeat the lease counts from there.
	Age time.Duration
	// AttemptRemaining is a hint: how long the attempt may still take; then comes [SignalDeadline]. 0: without a limit.
	AttemptRemaining time.Duration
	// RequireEncoded refuses values that no codec has encoded, for namespaces that encrypt.
	RequireEncoded bool
	// Verify looks up an ending that is in doubt, because the server's answer was lost, before it is [ErrInDoubt]: it is no error if it
	// was ours, and [ErrNotFound] if it wasn't.
	Verify bool
	// CancelOn are the signals that cancel the activity's Context. 0: those of [StopSignals].
	CancelOn Signals
}

// Open begins to hold the activity of a task token, or of the ids in the options. It doesn't wait for the server. One holder a token: until Close the
// functions that take the token itself are [ErrAlreadyOpen], but for [GetDetails].
//
// ctx is the parent of the activity's Context, and bounds nothing else: when it ends, the work is to stop, and the activity is
// still held, to be ended or closed.
//
// Errors: [ErrNotConnected], [ErrAlreadyOpen], [ErrConfig] for options, [ErrTokenUnreadable], [ErrLocalLimit].
func Open(ctx context.Context, taskToken []byte, options OpenOptions) (*Activity, error) {
	return open(ctx, "open", taskToken, options, false)
}

// OpenFromEnv is [Open] for the activity that the parent process left in the environment: its task token (see [TokenFromEnv]), and
// if they are there its heartbeat timeout, its previous details and its remaining time, so that the server needn't be asked.
// Package handoff makes that environment. Options given win over it.
func OpenFromEnv(ctx context.Context, options OpenOptions) (*Activity, error) {
	return open(ctx, "open from environment", nil, options, true)
}

func open(ctx context.Context, op string, taskToken []byte, options OpenOptions, fromEnv bool) (*Activity, error) {
	if ctx.Err() != nil {
		return nil, notCalled(ctx, op)
	}
	handle, codec, err := openHandle(op, taskToken, options, fromEnv)
	if err != nil {
		return nil, err
	}
	a := &Activity{handle: handle, codec: codec, stopOn: options.CancelOn, changed: make(chan struct{})}
	if a.stopOn == 0 {
		a.stopOn = StopSignals
	}
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	if err := watch(a); err != nil {
		a.cancel(nil)
		handle.Close(0)
		return nil, failed(op, err)
	}
	return a, nil
}

// openHandle opens a handle, and returns the codec of the connection that it belongs to.
func openHandle(op string, taskToken []byte, options OpenOptions, fromEnv bool) (handle abi.Handle, _ PayloadCodec, _ error) {
	for {
		link := linkInForce.Load()
		optionsJSON, err := options.json(link.codec, op, fromEnv)
		if err != nil {
			return 0, nil, err
		}
		if err := load(); err != nil {
			return 0, nil, err
		}
		var nativeErr *abi.Error
		if link.call(func() { handle, nativeErr = abi.OpenActivity(slices.Clone(taskToken), optionsJSON) }) {
			return handle, link.codec, failed(op, nativeErr)
		}
	}
}

// json writes the options as the library reads them, details encoded by the codec.
func (o OpenOptions) json(codec PayloadCodec, op string, fromEnv bool) ([]byte, error) {
	for name, d := range map[string]time.Duration{
		"HeartbeatTimeout": o.HeartbeatTimeout, "StallTimeout": o.StallTimeout, "CancelPoll": o.CancelPoll, "Age": o.Age,
		"AttemptRemaining": o.AttemptRemaining,
	} {
		if d < 0 {
			return nil, refused(op, StatusConfig, name+" is negative", nil)
		}
	}
	initialDetails, err := o.initialDetails(codec, fromEnv)
	if err != nil {
		return nil, refused(op, StatusInvalidArgument, err.Error(), err)
	}
	options, err := json.Marshal(struct {
		WorkflowID         string  `json:"workflow_id,omitempty"`
		RunID              string  `json:"run_id,omitempty"`
		ActivityID         string  `json:"activity_id,omitempty"`
		Attempt            int32   `json:"attempt,omitempty"`
		HeartbeatTimeoutMs int64   `json:"heartbeat_timeout_ms,omitempty"`
		Pulse              bool    `json:"pulse"`
		StallTimeoutMs     int64   `json:"stall_timeout_ms,omitempty"`
		CancelPollMs       int64   `json:"cancel_poll_ms,omitempty"`
		InitialDetails     *string `json:"initial_details,omitempty"`
		AgeMs              int64   `json:"age_ms,omitempty"`
		AttemptRemainingMs int64   `json:"attempt_remaining_ms,omitempty"`
		RequireEncoded     bool    `json:"require_encoded,omitempty"`
		Verify             bool    `json:"verify,omitempty"`
		FromEnv            bool    `json:"from_env,omitempty"`
	}{
		o.WorkflowID, o.RunID, o.ActivityID, o.Attempt,
		wholeMilliseconds(o.HeartbeatTimeout), !o.DisablePulse, wholeMilliseconds(o.StallTimeout), wholeMilliseconds(o.CancelPoll),
		initialDetails, wholeMilliseconds(o.Age), wholeMilliseconds(o.AttemptRemaining), o.RequireEncoded, o.Verify, fromEnv,
	})
	if err != nil {
		panic(err) // strings, numbers and booleans always marshal
	}
	return options, nil
}

// initialDetails returns the details as base64 of encoded Payloads; nil leaves it to the library to find them.
func (o OpenOptions) initialDetails(codec PayloadCodec, fromEnv bool) (*string, error) {
	var values []Payload
	var err error
	if o.InitialDetails != nil {
		values, err = encoded(codec, o.InitialDetails.values)
	} else {
		// The library reads the variable itself, and sends what is in it: so it may not be plain.
		handed, found := os.LookupEnv("TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS")
		if !fromEnv || !found || codec == nil {
			return nil, nil
		}
		data, wrong := base64.StdEncoding.DecodeString(strings.TrimSpace(handed))
		if wrong != nil {
			return nil, nil // the library refuses it, and says why
		}
		if values, wrong = parsePayloads(data); wrong != nil {
			return nil, nil
		}
		values, err = encodedPlain(codec, values)
	}
	text := base64.StdEncoding.EncodeToString(appendPayloads(nil, values))
	return &text, err
}

// Context is for the work: it is cancelled as soon as a signal says that the work is to stop, and context.Cause then tells
// which, to be compared with [ErrCancelRequested], [ErrNotFound] (the activity is over), [ErrLeaseLost] or
// [ErrReset]; with [ErrNotConnected] after Disconnect. It is cancelled by Close as well, and when the context given to
// Open ends. Once cancelled it stays so.
//
// To end the activity afterwards takes another context: the program's own, or context.WithoutCancel of this one.
func (a *Activity) Context() context.Context {
	return a.ctx
}

// Close ends the holding: no further heartbeat goes out. What was recorded last is sent first, within ctx; when ctx is done
// already it is abandoned. On the server it ends nothing: an activity that wasn't ended times out there, and is retried.
//
// The activity is closed whatever Close returns: that what was recorded last couldn't be sent. To close it again does nothing.
func (a *Activity) Close(ctx context.Context) error {
	const op = "close"
	if !a.closed.CompareAndSwap(false, true) {
		return nil
	}
	a.Signals()
	a.cancel(nil)
	limit := budget(ctx)
	if ctx.Err() != nil || takeSlot(ctx, op, limit) != nil {
		return failed(op, a.release(0))
	}
	deadline := time.Now().Add(limit)
	_, err := await(ctx, op, deadline, func() (struct{}, *abi.Error) {
		defer func() { <-callSlots }()
		return struct{}{}, a.release(milliseconds(time.Until(deadline)))
	})
	return err
}

// release closes the handle.
func (a *Activity) release(timeoutMs uint32) *abi.Error {
	err := a.handle.Close(timeoutMs)
	unwatch(a)
	a.wake()
	if err != nil && Status(err.Status) == StatusInvalidHandle {
		return nil // Disconnect has closed it
	}
	return err
}
