//go:build go1.24

package heartbeat

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"
)

// wantOnlyOther checks that otherReversingCodec encoded all values that the server received.
func wantOnlyOther(t *testing.T, server *recorder) {
	t.Helper()
	server.waitFor(t, encodingOther)
	for _, text := range []string{encodingReversed, secret} {
		if bytes.Contains(server.received(), []byte(text)) {
			t.Errorf("%q was sent", text)
		}
	}
}

func TestCallUsesTheCodecOfItsContext(t *testing.T) {
	ctx := WithPayloadCodec(background, otherReversingCodec{})
	for name, call := range map[string]func() error{
		"RecordHeartbeat": func() error { _, err := RecordHeartbeat(ctx, testToken, secret); return err },
		"Complete":        func() error { return Complete(ctx, testToken, secret) },
		"Fail": func() error {
			return Fail(ctx, testToken, Failure{Message: "m", Details: []any{secret}, HeartbeatDetails: []any{secret}})
		},
		"ReportCancelled": func() error { return ReportCancelled(ctx, testToken, secret) },
	} {
		for _, ofConnection := range []PayloadCodec{nil, reversingCodec{}} {
			t.Run(name, func(t *testing.T) {
				server := newRecorder(t)
				connectWithOptions(t, server.options(ofConnection))
				if err := call(); err != nil {
					t.Fatal(err)
				}
				wantOnlyOther(t, server)
			})
		}
	}
}

func TestActivityUsesItsOwnCodec(t *testing.T) {
	initial, err := NewDetails(secret)
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func(OpenOptions) (*Activity, error){
		"by the option": func(options OpenOptions) (*Activity, error) {
			options.PayloadCodec = otherReversingCodec{}
			return Open(WithPayloadCodec(background, reversingCodec{}), testToken, options)
		},
		"by the context": func(options OpenOptions) (*Activity, error) {
			return Open(WithPayloadCodec(background, otherReversingCodec{}), testToken, options)
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := newRecorder(t)
			connectWithOptions(t, server.options(reversingCodec{}))
			act, err := open(OpenOptions{InitialDetails: &initial, HeartbeatTimeout: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			defer act.Close(background)
			wantOnlyOther(t, server)
			for _, value := range []any{7, []byte(secret), secret} {
				if _, err := act.RecordHeartbeat(value); err != nil {
					t.Fatal(err)
				}
			}
			var text string
			if err := act.GetHeartbeatDetails(&text); err != nil || text != secret {
				t.Errorf("the details are %q, %v", text, err)
			}
			if err := act.Flush(background); err != nil {
				t.Fatal(err)
			}
			wantOnlyOther(t, server)
			if _, err := RecordHeartbeat(background, []byte("another token"), "x"); err != nil {
				t.Fatal(err)
			}
			server.waitFor(t, encodingReversed)
		})
	}
}

func TestCallAndActivityUseTheirOwnConverter(t *testing.T) {
	const envelope = "binary/envelope"
	ctx := WithDataConverter(background, envelopeConverter{})
	recordIn := func(ctx context.Context, options OpenOptions) error {
		options.HeartbeatTimeout, options.InitialDetails = time.Minute, detailsOf(t)
		act, err := Open(ctx, testToken, options)
		if err != nil {
			return err
		}
		_, err = act.RecordBytes([]byte("x"))
		return errors.Join(err, act.Close(background))
	}
	for name, record := range map[string]func() error{
		"call":                     func() error { _, err := RecordHeartbeat(ctx, testToken, 7); return err },
		"activity, by the context": func() error { return recordIn(ctx, OpenOptions{}) },
		"activity, by the option":  func() error { return recordIn(background, OpenOptions{DataConverter: envelopeConverter{}}) },
	} {
		t.Run(name, func(t *testing.T) {
			server := newRecorder(t)
			connectWithOptions(t, server.options(reversingCodec{}))
			if err := record(); err != nil {
				t.Fatal(err)
			}
			server.waitFor(t, envelope)
			if bytes.Contains(server.received(), []byte(encodingReversed)) {
				t.Error("the codec of the connection was used too")
			}
		})
	}
}

func TestNoTextOfAFailureIsSentReadable(t *testing.T) {
	failure := Failure{Message: secret, StackTrace: secret, Details: []any{secret}, Cause: &Failure{Message: secret, StackTrace: secret}}
	for name, fail := range map[string]func() error{
		"call": func() error { return Fail(background, testToken, failure) },
		"activity": func() error {
			act, err := Open(background, testToken, OpenOptions{HeartbeatTimeout: time.Minute, InitialDetails: detailsOf(t)})
			return errors.Join(err, act.Fail(background, failure), act.Close(background))
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := newRecorder(t)
			options := server.options(reversingCodec{})
			options.EncodeCommonAttributes = true
			connectWithOptions(t, options)
			if err := fail(); err != nil {
				t.Fatal(err)
			}
			server.waitFor(t, "Encoded failure")
			if bytes.Contains(server.received(), []byte(secret)) {
				t.Error("a text of the failure was sent readable")
			}
		})
	}
}
