package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"temporal-heartbeat.dev/go/heartbeat"
)

// activities are the open activities, by the NAMEs of the protocol.
var activities = map[string]*heartbeat.Activity{}

// activityVerbs are the requests for the activity with a NAME.
var activityVerbs = map[string]func(act *heartbeat.Activity, words []string) ([]string, error){
	"activity_record":            activityRecord,
	"activity_touch":             activityTouch,
	"activity_set_status":        activitySetStatus,
	"activity_signals":           activitySignals,
	"activity_cause":             activityCause,
	"activity_wait":              activityWait,
	"activity_wait_while_paused": activityWaitWhilePaused,
	"activity_details":           activityDetails,
	"activity_info":              activityInfo,
	"activity_reason":            activityReason,
	"activity_flush":             activityFlush,
	"activity_complete":          activityComplete,
	"activity_fail":              activityFail,
	"activity_report_cancelled":  activityReportCancelled,
	"activity_close":             activityClose,
}

func init() {
	verbs["activity_open"] = activityOpen
	for name, verb := range activityVerbs {
		verbs[name] = func(words []string) ([]string, error) { return verb(activities[words[0]], words[1:]) }
	}
}

func activityOpen(words []string) ([]string, error) {
	var options struct {
		HeartbeatTimeoutMs int64  `json:"heartbeat_timeout_ms"`
		StallTimeoutMs     int64  `json:"stall_timeout_ms"`
		StallAction        string `json:"stall_action"`
		CancelPollMs       int64  `json:"cancel_poll_ms"`
		AttemptRemainingMs int64  `json:"attempt_remaining_ms"`
		FollowServer       bool   `json:"follow_server"`
		Pulse              *bool  `json:"pulse"`
		// The NAME replaces the token.
		WorkflowID string `json:"workflow_id"`
		RunID      string `json:"run_id"`
		ActivityID string `json:"activity_id"`
		Attempt    int32  `json:"attempt"`
		Verify     bool   `json:"verify"`
	}
	mustUnmarshal(fromHex(words[2]), &options)
	open := heartbeat.OpenOptions{
		HeartbeatTimeout: milliseconds(options.HeartbeatTimeoutMs),
		StallTimeout:     milliseconds(options.StallTimeoutMs),
		StallAction:      options.StallAction,
		CancelPoll:       milliseconds(options.CancelPollMs),
		FollowServer:     options.FollowServer,
		AttemptRemaining: milliseconds(options.AttemptRemainingMs),
		DisablePulse:     options.Pulse != nil && !*options.Pulse,
		WorkflowID:       options.WorkflowID,
		RunID:            options.RunID,
		ActivityID:       options.ActivityID,
		Attempt:          options.Attempt,
		Verify:           options.Verify,
	}
	var act *heartbeat.Activity
	var err error
	if words[1] == "-" {
		act, err = heartbeat.OpenFromEnv(context.Background(), open)
	} else {
		act, err = heartbeat.Open(context.Background(), fromHex(words[1]), open)
	}
	if err == nil {
		activities[words[0]] = act
	}
	return nil, err
}

// activityRecord answers with the signals and with the cause of the Context at the time when the record returned.
func activityRecord(act *heartbeat.Activity, words []string) ([]string, error) {
	signals, err := act.RecordHeartbeat(fromValues(words)...)
	why := cause(act)
	return []string{fmt.Sprint(uint32(signals)), why}, err
}

func activityTouch(act *heartbeat.Activity, _ []string) ([]string, error) {
	signals, err := act.Touch()
	return []string{fmt.Sprint(uint32(signals))}, err
}

func activitySetStatus(act *heartbeat.Activity, words []string) ([]string, error) {
	return nil, act.SetStatus(string(fromHex(words[0])))
}

func activitySignals(act *heartbeat.Activity, _ []string) ([]string, error) {
	return []string{fmt.Sprint(uint32(act.Signals()))}, nil
}

// activityCause waits for the end of the activity's Context.
func activityCause(act *heartbeat.Activity, words []string) ([]string, error) {
	ctx, cancel := within(words[0])
	defer cancel()
	select {
	case <-act.Context().Done():
	case <-ctx.Done():
	}
	return []string{cause(act)}, nil
}

// cause returns the protocol's word for the cause of the Context.
func cause(act *heartbeat.Activity) string {
	switch why := context.Cause(act.Context()); {
	case why == nil:
		return "none"
	case errors.Is(why, heartbeat.ErrNotFound):
		return "gone"
	case errors.Is(why, heartbeat.ErrCancelRequested):
		return "cancel_requested"
	case errors.Is(why, heartbeat.ErrLeaseLost):
		return "lease_lost"
	case errors.Is(why, heartbeat.ErrReset):
		return "reset"
	default:
		return "other"
	}
}

// activityReason answers with the reason in the cause of the activity's Context.
func activityReason(act *heartbeat.Activity, _ []string) ([]string, error) {
	var stop *heartbeat.StopError
	if !errors.As(context.Cause(act.Context()), &stop) {
		return []string{toHex(nil)}, nil
	}
	return []string{toHex([]byte(stop.Reason))}, nil
}

// activityWait also answers with the signals when the timeout expires, like the other languages.
func activityWait(act *heartbeat.Activity, words []string) ([]string, error) {
	mask, known := toSignals(words[0]), toSignals(words[1])
	ctx, cancel := within(words[2])
	defer cancel()
	wait := act.Wait
	if known&mask != 0 {
		wait, mask = act.WaitCleared, known&mask
	}
	signals, err := wait(ctx, mask)
	return waited(signals, err)
}

func activityWaitWhilePaused(act *heartbeat.Activity, words []string) ([]string, error) {
	ctx, cancel := within(words[0])
	defer cancel()
	return waited(act.WaitWhilePaused(ctx))
}

func waited(signals heartbeat.Signals, err error) ([]string, error) {
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	return []string{fmt.Sprint(uint32(signals))}, err
}

func toSignals(word string) heartbeat.Signals {
	bits, err := strconv.ParseUint(word, 10, 32)
	if err != nil {
		panic(err)
	}
	return heartbeat.Signals(bits)
}

// activityDetails answers with the details of the previous attempt.
func activityDetails(act *heartbeat.Activity, words []string) ([]string, error) {
	ctx, cancel := within(words[0])
	defer cancel()
	details, err := act.Details(ctx)
	if err != nil {
		return nil, err
	}
	if details.Has() != act.HasHeartbeatDetails() {
		panic("Details and HasHeartbeatDetails differ")
	}
	return toDetails(details)
}

func activityInfo(act *heartbeat.Activity, _ []string) ([]string, error) {
	info, err := act.Info()
	if err != nil {
		return nil, err
	}
	answer, err := json.Marshal(map[string]any{
		"state": info.State, "attempt": info.Attempt, "pending": info.Pending, "addressed_by": info.AddressedBy,
		"records": info.Records, "beats": info.Beats, "failed_tries": info.FailedTries,
		"leases_regained":      info.LeasesRegained,
		"status":               info.Status,
		"heartbeat_timeout_ms": info.HeartbeatTimeout.Milliseconds(), "lease_left_ms": time.Until(info.LeaseEnd).Milliseconds(),
		"following": info.Following, "timeouts_from": info.TimeoutsFrom,
		"start_to_close_timeout_ms":    info.StartToCloseTimeout.Milliseconds(),
		"schedule_to_close_timeout_ms": info.ScheduleToCloseTimeout.Milliseconds(),
		"cancel_reason":                orNil(info.CancelReason), "cancel_identity": orNil(info.CancelIdentity),
		"pause_reason": orNil(info.PauseReason), "pause_identity": orNil(info.PauseIdentity),
	})
	if err != nil {
		panic(err)
	}
	return []string{toHex(answer)}, nil
}

func orNil(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func activityFlush(act *heartbeat.Activity, words []string) ([]string, error) {
	ctx, cancel := within(words[0])
	defer cancel()
	return nil, act.Flush(ctx)
}

func activityComplete(act *heartbeat.Activity, words []string) ([]string, error) {
	ctx, cancel := within(words[0])
	defer cancel()
	return nil, act.Complete(ctx, toResult(words[1:]))
}

func activityFail(act *heartbeat.Activity, words []string) ([]string, error) {
	ctx, cancel := within(words[0])
	defer cancel()
	return nil, act.Fail(ctx, toFailure(words[1]))
}

func activityReportCancelled(act *heartbeat.Activity, words []string) ([]string, error) {
	ctx, cancel := within(words[0])
	defer cancel()
	return nil, act.ReportCancelled(ctx, fromValues(words[1:])...)
}

func activityClose(act *heartbeat.Activity, words []string) ([]string, error) {
	ctx, cancel := within(words[0])
	defer cancel()
	return nil, act.Close(ctx)
}
