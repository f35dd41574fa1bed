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

// act is the one activity that this process holds open.
var act *heartbeat.Activity

var activityVerbs = map[string]func(words []string) ([]string, error){
	"activity_open":             activityOpen,
	"activity_record":           activityRecord,
	"activity_touch":            activityTouch,
	"activity_stopped":          activityStopped,
	"activity_wait":             activityWait,
	"activity_wait_cleared":     activityWaitCleared,
	"activity_details":          activityDetails,
	"activity_info":             activityInfo,
	"activity_flush":            activityFlush,
	"activity_complete":         activityComplete,
	"activity_fail":             activityFail,
	"activity_report_cancelled": activityReportCancelled,
	"activity_close":            activityClose,
}

func init() {
	for name, verb := range activityVerbs {
		verbs[name] = verb
	}
}

func activityOpen(words []string) (answer []string, err error) {
	var options struct {
		HeartbeatTimeoutMs int64 `json:"heartbeat_timeout_ms"`
		StallTimeoutMs     int64 `json:"stall_timeout_ms"`
		Pulse              *bool `json:"pulse"`
		// Instead of the token.
		WorkflowID string `json:"workflow_id"`
		RunID      string `json:"run_id"`
		ActivityID string `json:"activity_id"`
		Attempt    int32  `json:"attempt"`
		Verify     bool   `json:"verify"`
	}
	mustUnmarshal(fromHex(words[1]), &options)
	open := heartbeat.OpenOptions{
		HeartbeatTimeout: time.Duration(options.HeartbeatTimeoutMs) * time.Millisecond,
		StallTimeout:     time.Duration(options.StallTimeoutMs) * time.Millisecond,
		DisablePulse:     options.Pulse != nil && !*options.Pulse,
		WorkflowID:       options.WorkflowID,
		RunID:            options.RunID,
		ActivityID:       options.ActivityID,
		Attempt:          options.Attempt,
		Verify:           options.Verify,
	}
	if words[0] == "-" && options.ActivityID == "" {
		act, err = heartbeat.OpenFromEnv(context.Background(), open)
	} else {
		act, err = heartbeat.Open(context.Background(), fromHex(words[0]), open)
	}
	return nil, err
}

// activityRecord answers the signals, and why the work is to stop as known when the record returned.
func activityRecord(words []string) ([]string, error) {
	signals, err := act.RecordHeartbeat(fromValues(words)...)
	why := cause()
	return []string{fmt.Sprint(uint32(signals)), why}, err
}

func activityTouch([]string) ([]string, error) {
	signals, err := act.Touch()
	return []string{fmt.Sprint(uint32(signals))}, err
}

// activityStopped waits for the end of the activity's Context.
func activityStopped(words []string) ([]string, error) {
	ctx, cancel := within(words[0])
	defer cancel()
	select {
	case <-act.Context().Done():
	case <-ctx.Done():
	}
	return []string{cause()}, nil
}

// cause is a word for why the Context ended.
func cause() string {
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

func activityWait(words []string) ([]string, error) {
	return waited(words, act.Wait)
}

func activityWaitCleared(words []string) ([]string, error) {
	return waited(words, act.WaitCleared)
}

func waited(words []string, wait func(context.Context, heartbeat.Signals) (heartbeat.Signals, error)) ([]string, error) {
	mask, err := strconv.ParseUint(words[0], 10, 32)
	if err != nil {
		panic(err)
	}
	ctx, cancel := within(words[1])
	defer cancel()
	signals, err := wait(ctx, heartbeat.Signals(mask))
	return []string{fmt.Sprint(uint32(signals))}, err
}

// activityDetails answers those of the attempt before.
func activityDetails([]string) ([]string, error) {
	details, err := act.Details(context.Background())
	if err != nil {
		return nil, err
	}
	if details.Has() != act.HasHeartbeatDetails() {
		panic("two answers to one question")
	}
	var values []string
	for _, payload := range details.Payloads() {
		values = append(values, toValue(payload))
	}
	return values, nil
}

func activityInfo([]string) ([]string, error) {
	info, err := act.Info()
	if err != nil {
		return nil, err
	}
	answer, err := json.Marshal(map[string]any{
		"state": info.State, "attempt": info.Attempt, "pending": info.Pending, "records": info.Records, "beats": info.Beats,
		"heartbeat_timeout_ms": info.HeartbeatTimeout.Milliseconds(), "addressed_by": info.AddressedBy,
	})
	if err != nil {
		panic(err)
	}
	return []string{toHex(answer)}, nil
}

func activityFlush(words []string) ([]string, error) {
	ctx, cancel := within(words[0])
	defer cancel()
	return nil, act.Flush(ctx)
}

func activityComplete(words []string) ([]string, error) {
	ctx, cancel := within(words[0])
	defer cancel()
	var result any
	if len(words) > 1 {
		result = fromValue(words[1])
	}
	return nil, act.Complete(ctx, result)
}

func activityFail(words []string) ([]string, error) {
	ctx, cancel := within(words[0])
	defer cancel()
	var f failure
	mustUnmarshal(fromHex(words[1]), &f)
	return nil, act.Fail(ctx, f.idiomatic())
}

func activityReportCancelled(words []string) ([]string, error) {
	ctx, cancel := within(words[0])
	defer cancel()
	return nil, act.ReportCancelled(ctx, fromValues(words[1:])...)
}

func activityClose(words []string) ([]string, error) {
	ctx, cancel := within(words[0])
	defer cancel()
	return nil, act.Close(ctx)
}
