package heartbeat

import (
	"encoding/json"
	"time"
)

// Info tells how it stands with an activity that is held open, for people and logs. Times are this machine's.
type Info struct {
	// State is "open", "ending", "ended" or "gone".
	State string
	// Attempt counts from 1; 0 when unknown.
	Attempt int
	// AddressedBy is what tells the server which activity it is: "token", "derived_token" or "ids"; empty: not known yet.
	AddressedBy string
	Signals     Signals
	// HeartbeatTimeout is 0 when it is unknown, and when there is none.
	HeartbeatTimeout time.Duration
	// LeaseEnd is when the heartbeat timeout runs out, if no heartbeat is acknowledged before. Zero: never.
	LeaseEnd time.Time
	// LastAcknowledged is when the last heartbeat that the server acknowledged was sent. Zero: none was.
	LastAcknowledged time.Time
	// NextBeat is when the next one is due. Zero: none is.
	NextBeat time.Time
	// Pending: something was recorded that the server hasn't acknowledged yet.
	Pending bool
	// Records counts what was recorded, Beats the heartbeats acknowledged, FailedTries those that failed, and LeasesRegained how
	// often one was acknowledged after [SignalLeaseLost].
	Records, Beats, FailedTries, LeasesRegained int64
	// LastError is what went wrong last; nil when the last heartbeat went well.
	LastError error
}

// Info tells how it stands with the activity. After Close it is [ErrInvalidHandle].
func (a *Activity) Info() (Info, error) {
	const op = "info"
	text, err := a.handle.Info()
	if err != nil {
		return Info{}, failed(op, err)
	}
	return readInfo(op, text, time.Now())
}

func readInfo(op string, text []byte, now time.Time) (Info, error) {
	var read struct {
		State               string  `json:"state"`
		Attempt             int     `json:"attempt"`
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
		LastError           *struct {
			Code    Status `json:"code"`
			Message string `json:"message"`
		} `json:"last_error"`
	}
	if err := json.Unmarshal(text, &read); err != nil {
		return Info{}, refused(op, StatusInternal, "the library's JSON can't be read: "+err.Error(), err)
	}
	info := Info{
		State:            read.State,
		Attempt:          read.Attempt,
		AddressedBy:      read.AddressedBy,
		Signals:          read.Signals,
		HeartbeatTimeout: fromMs(read.HeartbeatTimeoutMs),
		Pending:          read.Pending,
		Records:          read.Records,
		Beats:            read.Beats,
		FailedTries:      read.FailedTries,
		LeasesRegained:   read.LeasesRegained,
	}
	if ms := read.LeaseLeftMs; ms != nil {
		info.LeaseEnd = now.Add(fromMs(*ms))
	}
	if ms := read.SinceAcknowledgedMs; ms != nil {
		info.LastAcknowledged = now.Add(-fromMs(*ms))
	}
	if ms := read.NextBeatMs; ms != nil {
		info.NextBeat = now.Add(fromMs(*ms))
	}
	if e := read.LastError; e != nil {
		info.LastError = refused("heartbeat", e.Code, e.Message, nil)
	}
	return info, nil
}

func fromMs(ms int64) time.Duration {
	return time.Duration(ms) * time.Millisecond
}
