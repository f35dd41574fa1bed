package heartbeat

import (
	"encoding/json"
	"time"
)

// Info is the state of an open activity, for people and logs. Times are those of this machine's clock.
type Info struct {
	// State is "open", "ending", "ended", "gone" or "inactive".
	State string
	// Attempt counts from 1; 0: unknown.
	Attempt int32
	// AddressedBy says how requests identify the activity: "token", "derived_token" or "ids"; empty: not known yet.
	AddressedBy string
	Signals     Signals
	// HeartbeatTimeout is 0 if it is unknown, and if there is none.
	HeartbeatTimeout time.Duration
	// LeaseEnd is when the heartbeat timeout expires if no heartbeat is acknowledged before. Zero: never.
	LeaseEnd time.Time
	// LastAcknowledged is when the last acknowledged heartbeat was sent. Zero: none was acknowledged.
	LastAcknowledged time.Time
	// NextBeat is when the next heartbeat is due. Zero: none is.
	NextBeat time.Time
	// Pending reports whether the server hasn't acknowledged the newest record yet.
	Pending bool
	// Records counts the records, Beats the acknowledged heartbeats, FailedTries the heartbeats that failed, and LeasesRegained the
	// heartbeats that were acknowledged after [SignalLeaseLost].
	Records, Beats, FailedTries, LeasesRegained int64
	// Status is what [Activity.SetStatus] has set.
	Status string
	// SinceProgress is the time since the last record or touch, without the time that doesn't count for a stall.
	SinceProgress time.Duration
	// LastError is the error of the last heartbeat; nil if it succeeded.
	LastError error
	// Following reports whether a long poll shows changes: see [OpenOptions].
	Following bool
	// TimeoutsFrom is "options" until the server has described the activity, and then "server".
	TimeoutsFrom string
	// StartToCloseTimeout and ScheduleToCloseTimeout are 0 if they are unknown, and if there is none.
	StartToCloseTimeout, ScheduleToCloseTimeout time.Duration
	// CancelReason and CancelIdentity are the reason of the cancellation, and the client that requested it. PauseReason and
	// PauseIdentity are those of the pause. Empty: the server hasn't shown it.
	CancelReason, CancelIdentity, PauseReason, PauseIdentity string
}

// Info returns the state of the activity. After Close the error is [ErrInvalidHandle].
func (a *Activity) Info() (Info, error) {
	const op = "info"
	text, err := a.handle.Info()
	if err != nil {
		return Info{}, newError(op, err)
	}
	return parseInfo(op, text, time.Now())
}

func parseInfo(op string, text []byte, now time.Time) (Info, error) {
	var fields struct {
		State               string  `json:"state"`
		Attempt             int32   `json:"attempt"`
		AddressedBy         string  `json:"addressed_by"`
		Signals             Signals `json:"signals"`
		HeartbeatTimeoutMs  int64   `json:"heartbeat_timeout_ms"`
		LeaseLeftMs         *int64  `json:"lease_left_ms"`
		SinceAcknowledgedMs *int64  `json:"since_acknowledged_ms"`
		NextBeatMs          *int64  `json:"next_beat_ms"`
		Pending             bool    `json:"pending"`
		Records             int64   `json:"records"`
		Beats               int64   `json:"beats"`
		FailedTries         int64   `json:"failed_tries"`
		LeasesRegained      int64   `json:"leases_regained"`
		Status              string  `json:"status"`
		SinceProgressMs     int64   `json:"since_progress_ms"`
		LastError           *struct {
			Code    Status `json:"code"`
			Message string `json:"message"`
		} `json:"last_error"`
		Following                bool   `json:"following"`
		TimeoutsFrom             string `json:"timeouts_from"`
		StartToCloseTimeoutMs    int64  `json:"start_to_close_timeout_ms"`
		ScheduleToCloseTimeoutMs int64  `json:"schedule_to_close_timeout_ms"`
		CancelReason             string `json:"cancel_reason"`
		CancelIdentity           string `json:"cancel_identity"`
		PauseReason              string `json:"pause_reason"`
		PauseIdentity            string `json:"pause_identity"`
	}
	if err := json.Unmarshal(text, &fields); err != nil {
		return Info{}, localError(op, StatusInternal, "the library's JSON can't be read: "+err.Error(), err)
	}
	info := Info{
		State:            fields.State,
		Attempt:          fields.Attempt,
		AddressedBy:      fields.AddressedBy,
		Signals:          fields.Signals,
		HeartbeatTimeout: fromMilliseconds(fields.HeartbeatTimeoutMs),
		Pending:          fields.Pending,
		Records:          fields.Records,
		Beats:            fields.Beats,
		FailedTries:      fields.FailedTries,
		LeasesRegained:   fields.LeasesRegained,

		Following:              fields.Following,
		TimeoutsFrom:           fields.TimeoutsFrom,
		StartToCloseTimeout:    fromMilliseconds(fields.StartToCloseTimeoutMs),
		ScheduleToCloseTimeout: fromMilliseconds(fields.ScheduleToCloseTimeoutMs),
		CancelReason:           fields.CancelReason,
		CancelIdentity:         fields.CancelIdentity,
		PauseReason:            fields.PauseReason,
		PauseIdentity:          fields.PauseIdentity,
		Status:                 fields.Status,
		SinceProgress:          fromMilliseconds(fields.SinceProgressMs),
	}
	if ms := fields.LeaseLeftMs; ms != nil {
		info.LeaseEnd = now.Add(fromMilliseconds(*ms))
	}
	if ms := fields.SinceAcknowledgedMs; ms != nil {
		info.LastAcknowledged = now.Add(-fromMilliseconds(*ms))
	}
	if ms := fields.NextBeatMs; ms != nil {
		info.NextBeat = now.Add(fromMilliseconds(*ms))
	}
	if e := fields.LastError; e != nil {
		info.LastError = localError("heartbeat", e.Code, e.Message, nil)
	}
	return info, nil
}

func fromMilliseconds(ms int64) time.Duration {
	return time.Duration(ms) * time.Millisecond
}
