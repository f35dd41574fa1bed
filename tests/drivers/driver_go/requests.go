package main

import (
	"encoding/json"
	"fmt"

	"temporal-heartbeat.dev/go/heartbeat"
)

func connect(words []string) ([]string, error) {
	var options struct {
		Address          string `json:"address"`
		Namespace        string `json:"namespace"`
		Identity         string `json:"identity"`
		ConnectTimeoutMs int64  `json:"connect_timeout_ms"`
		Lazy             bool   `json:"lazy"`
		heartbeat.Credentials
		ConfigFile string           `json:"config_file"`
		Profile    string           `json:"profile"`
		Authority  string           `json:"authority"`
		Proxy      *heartbeat.Proxy `json:"proxy"`

		Compression            string `json:"compression"`
		RequireEncoded         bool   `json:"require_encoded"`
		EncodeCommonAttributes bool   `json:"encode_common_attributes"`
	}
	mustUnmarshal(fromHex(words[0]), &options)
	ctx, cancel := within("forever")
	defer cancel()
	return nil, heartbeat.Connect(ctx, heartbeat.Options{
		HostPort:       options.Address,
		Namespace:      options.Namespace,
		Identity:       options.Identity,
		ConnectTimeout: milliseconds(options.ConnectTimeoutMs),
		Lazy:           options.Lazy,
		APIKey:         options.APIKey,
		APIKeyPath:     options.APIKeyPath,
		TLS:            options.TLS,
		GRPCMeta:       options.GRPCMeta,
		CodecAuth:      options.CodecAuth,
		CodecHeaders:   options.CodecHeaders,
		CodecTLS:       options.CodecTLS,
		Compression:    options.Compression,
		RequireEncoded: options.RequireEncoded,

		EncodeCommonAttributes: options.EncodeCommonAttributes,
		ConfigFile:             options.ConfigFile,
		Profile:                options.Profile,
		Authority:              options.Authority,
		Proxy:                  options.Proxy,
	})
}

func reconfigure(words []string) ([]string, error) {
	var credentials heartbeat.Credentials
	mustUnmarshal(fromHex(words[0]), &credentials)
	return nil, heartbeat.Reconfigure(credentials)
}

func disconnect(words []string) ([]string, error) {
	ctx, cancel := within(words[0])
	defer cancel()
	return nil, heartbeat.Disconnect(ctx)
}

func recordHeartbeat(words []string) ([]string, error) {
	ctx, cancel := within(words[1])
	defer cancel()
	var signals heartbeat.Signals
	var err error
	if details := fromValues(words[2:]); len(details) > 0 {
		signals, err = heartbeat.RecordHeartbeat(ctx, fromHex(words[0]), details...)
	} else {
		signals, err = heartbeat.ClearHeartbeat(ctx, fromHex(words[0]))
	}
	return []string{fmt.Sprint(uint32(signals))}, err
}

func getDetails(words []string) ([]string, error) {
	ctx, cancel := within(words[1])
	defer cancel()
	details, err := heartbeat.GetDetails(ctx, fromHex(words[0]))
	if err != nil {
		return nil, err
	}
	return toDetails(details)
}

func tokenFromIDs(words []string) ([]string, error) {
	ctx, cancel := within(words[1])
	defer cancel()
	var ids heartbeat.IDs
	mustUnmarshal(fromHex(words[0]), &ids)
	token, err := heartbeat.TokenFromIDs(ctx, ids)
	return []string{toHex(token)}, err
}

// toDetails formats details as the answer to a request.
func toDetails(details heartbeat.Details) ([]string, error) {
	recordedAt := int64(0)
	if !details.RecordedAt().IsZero() {
		recordedAt = details.RecordedAt().UnixMilli()
	}
	timeoutMs := int64(-1)
	if timeout, known := details.HeartbeatTimeout(); known {
		timeoutMs = timeout.Milliseconds()
	}
	answer := []string{fmt.Sprint(details.Attempt()), fmt.Sprint(recordedAt), fmt.Sprint(timeoutMs)}
	if !details.Has() {
		return answer, nil
	}
	payloads := make([]heartbeat.Payload, details.Len())
	pointers := make([]any, details.Len())
	for i := range payloads {
		pointers[i] = &payloads[i]
	}
	if err := details.Get(pointers...); err != nil {
		return nil, err
	}
	for _, payload := range payloads {
		answer = append(answer, toValue(payload))
	}
	return answer, nil
}

func complete(words []string) ([]string, error) {
	ctx, cancel := within(words[1])
	defer cancel()
	return nil, heartbeat.Complete(ctx, fromHex(words[0]), toResult(words[2:]))
}

// toResult returns the value of a completion, or nil when there is none.
func toResult(words []string) any {
	if len(words) == 0 {
		return nil
	}
	return fromValue(words[0])
}

// failure is the protocol's JSON form of a failure.
type failure struct {
	Message          string   `json:"message"`
	Type             string   `json:"type"`
	NonRetryable     bool     `json:"non_retryable"`
	Details          []any    `json:"details"`
	NextRetryDelayMs int64    `json:"next_retry_delay_ms"`
	Category         string   `json:"category"`
	StackTrace       string   `json:"stack_trace"`
	Source           string   `json:"source"`
	Cause            *failure `json:"cause"`
	HeartbeatDetails []any    `json:"heartbeat_details"`
}

func toFailure(word string) heartbeat.Failure {
	var f failure
	mustUnmarshal(fromHex(word), &f)
	return f.convert()
}

func (f failure) convert() heartbeat.Failure {
	converted := heartbeat.Failure{
		Message:          f.Message,
		Type:             f.Type,
		NonRetryable:     f.NonRetryable,
		Details:          f.Details,
		NextRetryDelay:   milliseconds(f.NextRetryDelayMs),
		Category:         heartbeat.FailureCategory(f.Category),
		StackTrace:       f.StackTrace,
		Source:           f.Source,
		HeartbeatDetails: f.HeartbeatDetails,
	}
	if f.Cause != nil {
		cause := f.Cause.convert()
		converted.Cause = &cause
	}
	return converted
}

func fail(words []string) ([]string, error) {
	ctx, cancel := within(words[1])
	defer cancel()
	return nil, heartbeat.Fail(ctx, fromHex(words[0]), toFailure(words[2]))
}

func reportCancelled(words []string) ([]string, error) {
	ctx, cancel := within(words[1])
	defer cancel()
	return nil, heartbeat.ReportCancelled(ctx, fromHex(words[0]), fromValues(words[2:])...)
}

func tokenFromEnv([]string) ([]string, error) {
	token, err := heartbeat.TokenFromEnv()
	return []string{toHex(token)}, err
}

func mustUnmarshal(data []byte, target any) {
	if len(data) == 0 {
		return
	}
	if err := json.Unmarshal(data, target); err != nil {
		panic(err)
	}
}
