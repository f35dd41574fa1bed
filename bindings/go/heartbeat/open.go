package heartbeat

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"time"

	"temporal-heartbeat.dev/go/internal/abi"
)

// OpenOptions are the options of [Open]. With the zero value the library heartbeats in the background, and asks the server for missing
// values.
type OpenOptions struct {
	// WorkflowID, RunID, ActivityID and Attempt identify the activity instead of the task token, which is then nil. A standalone
	// activity has no WorkflowID. The server doesn't distinguish attempts by ids, so the library asks it first: docs/by-ids.md
	// describes the cost and the remaining risk. With a token, the library uses the ids to ask the server about the activity.
	WorkflowID, RunID, ActivityID string
	Attempt                       int32
	// HeartbeatTimeout is the heartbeat timeout of the activity. 0: the library asks the server.
	HeartbeatTimeout time.Duration
	// DisablePulse sends heartbeats only for records. The program must then record often enough to keep the activity alive.
	DisablePulse bool
	// StallTimeout is the time without a record or an [Activity.Touch] after which the work is stalled. Time in which the activity is
	// paused, or the process frozen, doesn't count. 0: never.
	StallTimeout time.Duration
	// StallAction is what happens then. "stop", or empty: the background heartbeats stop. The server then times the attempt out and
	// retries it, although the process is alive. "fail": the attempt fails as retryable, with the type Stalled, the newest details, and
	// what the work was doing. "warn": only [SignalStalled], the log and the metrics show it.
	StallAction string
	// StallStacks adds the stacks of all goroutines to the failure or the log of a stall, at most 32 KiB: first that of the goroutine that
	// called Open, or [Activity.SetStatus] last.
	StallStacks bool
	// StallReport "brief" leaves the stacks and the status out of the failure. With a PayloadCodec, a DataConverter, or RequireEncoded they
	// are always left out, because they would be readable. Empty: "full".
	StallReport string
	// CancelPoll is the longest time between two heartbeats, to learn of a cancellation sooner. 0: the heartbeat timeout decides.
	CancelPoll time.Duration
	// FollowServer keeps a long poll at the server, which shows a cancellation at once, not with the next heartbeat.
	// docs/guide/follow.md of the project has what it costs.
	FollowServer bool
	// InitialDetails are the details of the previous attempt, if the parent knows them; without values there are none. nil: the
	// library asks the server. See [NewDetails].
	InitialDetails *Details
	// Age is the time since the attempt started. Until the server acknowledges the first heartbeat, the lease counts from that start.
	Age time.Duration
	// AttemptRemaining is a hint: the time after which [SignalDeadline] is set. 0: without a limit.
	AttemptRemaining time.Duration
	// PayloadCodec or DataConverter is that of this activity. nil: that of [WithPayloadCodec] or [WithDataConverter], else that of the
	// connection.
	PayloadCodec  PayloadCodec
	DataConverter DataConverter
	// SerializationContext replaces the known data of the activity, for codecs and converters that depend on them.
	SerializationContext SerializationContext
	// RequireEncoded refuses values that no codec has encoded, for namespaces that encrypt.
	RequireEncoded bool
	// Verify asks the server about a Complete, Fail or ReportCancelled with a lost answer before it returns [ErrInDoubt]. The
	// call succeeds if it took effect, and returns [ErrNotFound] otherwise.
	Verify bool
	// WhenAbsent is for [OpenFromEnv], which "inactive" lets run by hand. Empty: "error".
	WhenAbsent string
	// CancelOn are the signals that cancel the activity's Context. 0: [StopSignals].
	CancelOn Signals
}

// Open opens the activity of a task token, or of the ids in the options. It doesn't wait for the server. Only one Activity can hold a
// token: until Close, the functions that take the token return [ErrAlreadyOpen], except [GetDetails].
//
// ctx is the parent of the activity's Context. When ctx ends, the work should stop, but the activity stays open, to be completed,
// failed or closed.
//
// Errors: [ErrNotConnected], [ErrAlreadyOpen], [ErrConfig] for options, [ErrTokenUnreadable], [ErrLocalLimit].
func Open(ctx context.Context, taskToken []byte, options OpenOptions) (*Activity, error) {
	return open(ctx, "open", taskToken, options, false)
}

// OpenFromEnv opens the activity that the parent process handed over in the environment: its task token (see [TokenFromEnv]) and, if
// they are set, its heartbeat timeout, previous details and remaining time. Package handoff makes that environment. The given
// options override it. Otherwise it is like [Open].
//
// With the option WhenAbsent "inactive" a program also runs by hand. If no variable of a task token or of ids is set, the Activity is
// inactive: its methods succeed and do nothing, it has no details, and no signal cancels its Context. It needs no [Connect]. A variable
// that is set, but empty or wrong, is an error nevertheless.
func OpenFromEnv(ctx context.Context, options OpenOptions) (*Activity, error) {
	return open(ctx, "open from environment", nil, options, true)
}

func open(ctx context.Context, op string, taskToken []byte, options OpenOptions, fromEnv bool) (*Activity, error) {
	if ctx.Err() != nil {
		return nil, contextError(ctx, op, notCalled)
	}
	var stacks *stackPipe
	if options.StallStacks {
		var err error
		if stacks, err = newStackPipe(); err != nil {
			return nil, localError(op, StatusLocalLimit, "no pipe for the stacks: "+err.Error(), err)
		}
	}
	handle, conversion, err := openHandle(ctx, op, taskToken, options, stacks, fromEnv)
	if err != nil {
		if stacks != nil {
			stacks.free()
		}
		return nil, err
	}
	a := &Activity{
		handle: handle, conversion: conversion, cancelOn: options.CancelOn, signalsChanged: make(chan struct{}), stacks: stacks,
	}
	if a.cancelOn == 0 {
		a.cancelOn = StopSignals
	}
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	if err := startWatching(a); err != nil {
		a.cancel(nil)
		handle.Close()
		if stacks != nil {
			stacks.free()
		}
		return nil, newError(op, err)
	}
	return a, nil
}

// openHandle opens a handle, and returns its conversion.
func openHandle(ctx context.Context, op string, taskToken []byte, options OpenOptions, stacks *stackPipe, fromEnv bool) (handle abi.Handle, _ conversion, _ error) {
	if err := checkConversion(op, options.PayloadCodec, options.DataConverter); err != nil {
		return 0, conversion{}, err
	}
	for {
		epoch := currentEpoch.Load()
		c := epoch.conversion.ofContext(ctx).replacedBy(options.PayloadCodec, options.DataConverter).boundTo(func() SerializationContext {
			return options.serializationContext(ctx, taskToken, fromEnv)
		})
		optionsJSON, err := options.marshal(c, op, stacks, fromEnv)
		if err != nil {
			return 0, c, err
		}
		if err := loadLibrary(); err != nil {
			return 0, c, err
		}
		if handle, nativeErr, isCurrent := openInEpoch(epoch, taskToken, optionsJSON); isCurrent {
			return handle, c, newError(op, nativeErr)
		}
	}
}

// openInEpoch opens a handle, unless the epoch of the options isn't current any more.
func openInEpoch(epoch *codecEpoch, taskToken, optionsJSON []byte) (handle abi.Handle, err *abi.Error, isCurrent bool) {
	epochMu.RLock()
	defer epochMu.RUnlock()
	if currentEpoch.Load() != epoch {
		return 0, nil, false
	}
	handle, err = abi.OpenActivity(taskToken, optionsJSON)
	return handle, err, true
}

// marshal returns the options as the JSON of the library, with the details encoded.
func (o OpenOptions) marshal(c conversion, op string, stacks *stackPipe, fromEnv bool) ([]byte, error) {
	for _, option := range []struct {
		name  string
		value time.Duration
	}{
		{"HeartbeatTimeout", o.HeartbeatTimeout}, {"StallTimeout", o.StallTimeout}, {"CancelPoll", o.CancelPoll}, {"Age", o.Age},
		{"AttemptRemaining", o.AttemptRemaining},
	} {
		if option.value < 0 {
			return nil, localError(op, StatusConfig, option.name+" is negative", nil)
		}
	}
	initialDetails, err := o.initialDetails(c, fromEnv)
	if err != nil {
		return nil, localError(op, StatusInvalidArgument, err.Error(), err)
	}
	stallReport := o.StallReport
	if !c.isDefault() {
		stallReport = "brief" // the library can't encode it with a codec of Go
	}
	var stackFd *int32
	if stacks != nil {
		number := stacks.descriptor()
		stackFd = &number
	}
	options, err := json.Marshal(struct {
		WorkflowID         string  `json:"workflow_id,omitempty"`
		RunID              string  `json:"run_id,omitempty"`
		ActivityID         string  `json:"activity_id,omitempty"`
		Attempt            int32   `json:"attempt,omitempty"`
		HeartbeatTimeoutMs int64   `json:"heartbeat_timeout_ms,omitempty"`
		Pulse              bool    `json:"pulse"`
		StallTimeoutMs     int64   `json:"stall_timeout_ms,omitempty"`
		StallAction        string  `json:"stall_action,omitempty"`
		StallReport        string  `json:"stall_report,omitempty"`
		StallStackFd       *int32  `json:"stall_stack_fd,omitempty"`
		CancelPollMs       int64   `json:"cancel_poll_ms,omitempty"`
		FollowServer       bool    `json:"follow_server,omitempty"`
		InitialDetails     *string `json:"initial_details,omitempty"`
		AgeMs              int64   `json:"age_ms,omitempty"`
		AttemptRemainingMs int64   `json:"attempt_remaining_ms,omitempty"`
		RequireEncoded     bool    `json:"require_encoded,omitempty"`
		Verify             bool    `json:"verify,omitempty"`
		FromEnv            bool    `json:"from_env,omitempty"`
		WhenAbsent         string  `json:"when_absent,omitempty"`
	}{
		o.WorkflowID, o.RunID, o.ActivityID, o.Attempt,
		toMilliseconds(o.HeartbeatTimeout), !o.DisablePulse, toMilliseconds(o.StallTimeout),
		o.StallAction, stallReport, stackFd, toMilliseconds(o.CancelPoll),
		o.FollowServer, initialDetails, toMilliseconds(o.Age), toMilliseconds(o.AttemptRemaining), o.RequireEncoded, o.Verify, fromEnv,
		o.WhenAbsent,
	})
	if err != nil {
		panic(err) // strings, numbers and booleans always marshal
	}
	return options, nil
}

// initialDetails returns the details as base64 of encoded Payloads; nil: the library finds them.
func (o OpenOptions) initialDetails(c conversion, fromEnv bool) (*string, error) {
	var values []Payload
	var err error
	if o.InitialDetails != nil && o.InitialDetails.given != nil {
		values, err = c.toPayloads(o.InitialDetails.given)
	} else if o.InitialDetails != nil {
		values, err = c.toPayloads(o.InitialDetails.Values())
	} else {
		// The library would send the details of the environment unchanged, and they may be plain.
		variable, found := os.LookupEnv("TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS")
		if !fromEnv || !found || c.isDefault() {
			return nil, nil
		}
		data, invalid := base64.StdEncoding.DecodeString(strings.TrimSpace(variable))
		if invalid != nil {
			return nil, nil // the library returns the error
		}
		if values, invalid = parsePayloads(data); invalid != nil {
			return nil, nil
		}
		values, err = c.encodePlain(values)
	}
	text := base64.StdEncoding.EncodeToString(appendPayloads(nil, values))
	return &text, err
}
