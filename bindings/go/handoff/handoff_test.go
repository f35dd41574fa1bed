package handoff

import (
	"bytes"
	"encoding/base64"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"temporal-heartbeat.dev/go/internal/wire"
)

var token = []byte{0, 1, 254, 255}

const tokenText = "AAH+/w=="

// details are serialized Payloads of one value for each encoding.
func details(encodings ...string) []byte {
	payloads := []byte{}
	for _, encoding := range encodings {
		entry := wire.AppendBytes(wire.AppendBytes(nil, wire.Key, []byte("encoding")), wire.Value, []byte(encoding))
		payload := wire.AppendBytes(wire.AppendBytes(nil, wire.Metadata, entry), wire.Data, []byte("41"))
		payloads = wire.AppendBytes(payloads, wire.Payloads, payload)
	}
	return payloads
}

// variables returns an environment as a map, and checks that no name occurs twice.
func variables(t *testing.T, env []string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		if _, twice := found[name]; twice {
			t.Errorf("%s occurs twice", name)
		}
		found[name] = value
	}
	return found
}

func environ(t *testing.T, base []string, activity Activity) map[string]string {
	t.Helper()
	env, err := Environ(base, activity)
	if err != nil {
		t.Fatal(err)
	}
	return variables(t, env)
}

func TestAllFieldsAreHandedOver(t *testing.T) {
	got := environ(t, []string{"HOME=/h"}, Activity{
		TaskToken: token, Address: "temporal:7233", Namespace: "n", WorkflowID: "w", RunID: "r", ActivityID: "a", Attempt: 3,
		WorkflowType: "Model", ActivityType: "solve", TaskQueue: "solvers",
		HeartbeatTimeout: 1500 * time.Millisecond, StartToCloseTimeout: time.Hour, Age: time.Minute, HeartbeatDetails: details("json/plain"),
	})
	for _, c := range []struct {
		name, want string
	}{
		{"HOME", "/h"},
		{"TEMPORAL_ADDRESS", "temporal:7233"},
		{"TEMPORAL_NAMESPACE", "n"},
		{"TEMPORAL_ACTIVITY_TASK_TOKEN", tokenText},
		{"TEMPORAL_ACTIVITY_WORKFLOW_ID", "w"},
		{"TEMPORAL_ACTIVITY_RUN_ID", "r"},
		{"TEMPORAL_ACTIVITY_ID", "a"},
		{"TEMPORAL_ACTIVITY_WORKFLOW_TYPE", "Model"},
		{"TEMPORAL_ACTIVITY_TYPE", "solve"},
		{"TEMPORAL_ACTIVITY_TASK_QUEUE", "solvers"},
		{"TEMPORAL_ACTIVITY_ATTEMPT", "3"},
		{"TEMPORAL_ACTIVITY_HEARTBEAT_TIMEOUT_MS", "1500"},
		{"TEMPORAL_ACTIVITY_AGE_MS", "60000"},
		{"TEMPORAL_ACTIVITY_DEADLINE_MS", "3540000"},
		{"TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS", base64.StdEncoding.EncodeToString(details("json/plain"))},
	} {
		if got[c.name] != c.want {
			t.Errorf("%s is %q, want %q", c.name, got[c.name], c.want)
		}
		delete(got, c.name)
	}
	if len(got) > 0 {
		t.Errorf("unexpected variables: %v", got)
	}
}

func TestUnknownFieldsAreLeftOut(t *testing.T) {
	base := []string{"TEMPORAL_ADDRESS=a:1", "TEMPORAL_NAMESPACE=inherited"}
	got := environ(t, base, Activity{TaskToken: token})
	want := map[string]string{"TEMPORAL_ADDRESS": "a:1", "TEMPORAL_NAMESPACE": "inherited", "TEMPORAL_ACTIVITY_TASK_TOKEN": tokenText}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s is %q", name, got[name])
		}
	}
}

func TestVariablesOfAnotherActivityAreRemoved(t *testing.T) {
	base := []string{"TEMPORAL_ACTIVITY_TASK_TOKEN_FILE=/other", "TEMPORAL_ACTIVITY_ATTEMPT=9", "TEMPORAL_NAMESPACE=other"}
	got := environ(t, base, Activity{TaskToken: token, Namespace: "n"})
	if len(got) != 2 || got["TEMPORAL_NAMESPACE"] != "n" || got["TEMPORAL_ACTIVITY_TASK_TOKEN"] != tokenText {
		t.Errorf("got %v", got)
	}
}

func TestNoDetailsDifferFromUnknownAndTooLongDetails(t *testing.T) {
	const name = "TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS"
	if value, there := environ(t, nil, Activity{TaskToken: token, HeartbeatDetails: []byte{}})[name]; !there || value != "" {
		t.Errorf("none: %q, %t", value, there)
	}
	long := slices.Repeat(details("json/plain"), maxDetails/len(details("json/plain")))
	for _, unknown := range [][]byte{nil, long} {
		if value, there := environ(t, nil, Activity{TaskToken: token, HeartbeatDetails: unknown})[name]; there {
			t.Errorf("unknown: %d bytes", len(value))
		}
	}
}

// The times of the server can differ from the parent's clock, and an attempt may have waited for a worker.
func TestOnlyTheParentsClockCounts(t *testing.T) {
	type info struct {
		TaskToken                            []byte
		StartToCloseTimeout                  time.Duration
		ScheduledTime, StartedTime, Deadline time.Time
	}
	now := time.Now()
	for _, c := range []struct {
		name string
		info info
	}{
		{"same clock", info{ScheduledTime: now, StartedTime: now}},
		{"parent an hour ahead", info{ScheduledTime: now.Add(-time.Hour), StartedTime: now.Add(-time.Hour), Deadline: now.Add(-time.Minute)}},
		{"parent an hour behind", info{ScheduledTime: now.Add(time.Hour), StartedTime: now.Add(time.Hour), Deadline: now.Add(time.Hour)}},
		{"waited for a worker", info{ScheduledTime: now.Add(-time.Hour), StartedTime: now, Deadline: now.Add(time.Second)}},
	} {
		c.info.TaskToken, c.info.StartToCloseTimeout = token, 10*time.Hour
		got := environ(t, nil, From(c.info))
		if age, there := got["TEMPORAL_ACTIVITY_AGE_MS"]; there || got["TEMPORAL_ACTIVITY_DEADLINE_MS"] != "36000000" {
			t.Errorf("%s: age %q, deadline %q", c.name, age, got["TEMPORAL_ACTIVITY_DEADLINE_MS"])
		}
	}
}

func TestTimesOutOfRange(t *testing.T) {
	const name = "TEMPORAL_ACTIVITY_DEADLINE_MS"
	past := environ(t, nil, Activity{TaskToken: token, StartToCloseTimeout: time.Second, Age: time.Minute})
	if past[name] != "0" {
		t.Errorf("%q", past[name])
	}
	if value, there := environ(t, nil, Activity{TaskToken: token, StartToCloseTimeout: 50 * 24 * time.Hour})[name]; there {
		t.Error(value)
	}
	for _, negative := range []Activity{{Age: -1}, {StartToCloseTimeout: -1}} {
		negative.TaskToken = token
		if _, err := Environ(nil, negative); err == nil {
			t.Errorf("accepted: %+v", negative)
		}
	}
}

func TestRequireEncodedIsHandedOver(t *testing.T) {
	const name = "TEMPORAL_ACTIVITY_REQUIRE_ENCODED"
	if value := environ(t, nil, Activity{TaskToken: token, RequireEncoded: true})[name]; value != "true" {
		t.Errorf("%q", value)
	}
	if value, there := environ(t, nil, Activity{TaskToken: token})[name]; there {
		t.Errorf("%q", value)
	}
}

func TestReadableDetailsAreRefusedIfEncodedOnesAreRequired(t *testing.T) {
	for _, encodings := range [][]string{
		{"json/plain"}, {"binary/plain"}, {"json/protobuf"}, {"binary/protobuf"}, {"binary/encrypted", "json/plain"},
	} {
		_, err := Environ(nil, Activity{TaskToken: token, HeartbeatDetails: details(encodings...), RequireEncoded: true})
		if !errors.Is(err, ErrReadable) || !strings.Contains(err.Error(), encodings[0]) {
			t.Errorf("%v: %v", encodings, err)
		}
	}
	for _, encoded := range [][]byte{nil, {}, details("binary/encrypted", "binary/null")} {
		if _, err := Environ(nil, Activity{TaskToken: token, HeartbeatDetails: encoded, RequireEncoded: true}); err != nil {
			t.Error(err)
		}
	}
}

func TestExternalReferenceIsHandedOverIfEncodedDetailsAreRequired(t *testing.T) {
	var payload []byte
	for key, value := range map[string]string{"encoding": "json/protobuf", "messageType": "temporal.api.sdk.v1.ExternalStorageReference"} {
		entry := wire.AppendBytes(wire.AppendBytes(nil, wire.Key, []byte(key)), wire.Value, []byte(value))
		payload = wire.AppendBytes(payload, wire.Metadata, entry)
	}
	reference := wire.AppendBytes(nil, wire.Payloads, payload)
	if _, err := Environ(nil, Activity{TaskToken: token, HeartbeatDetails: reference, RequireEncoded: true}); err != nil {
		t.Error(err)
	}
}

func TestErrorNamesTheWrongField(t *testing.T) {
	for _, c := range []struct {
		cause    string
		activity Activity
	}{
		{"task token", Activity{}},
		{"Payloads", Activity{TaskToken: token, HeartbeatDetails: []byte{0xff}}},
		{"negative", Activity{TaskToken: token, HeartbeatTimeout: -1}},
	} {
		if _, err := Environ(nil, c.activity); err == nil || !strings.Contains(err.Error(), c.cause) {
			t.Errorf("%s: %v", c.cause, err)
		}
		if _, err := Prepare(exec.Command("true"), c.activity); err == nil {
			t.Errorf("%s: prepared", c.cause)
		}
	}
}

func TestOnlyTheOwnerCanReadTheTokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("an older one"), 0o644); err != nil {
		t.Fatal(err)
	}
	env, err := EnvironWithFile(nil, Activity{TaskToken: token}, path)
	if err != nil {
		t.Fatal(err)
	}
	if got := variables(t, env); len(got) != 1 || got["TEMPORAL_ACTIVITY_TASK_TOKEN_FILE"] != path {
		t.Error(got)
	}
	text, err := os.ReadFile(path)
	if err != nil || string(text) != tokenText {
		t.Errorf("%q, %v", text, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Error(files, err)
	}
	if _, err := EnvironWithFile(nil, Activity{TaskToken: token}, "/nowhere/token"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestChildReadsTheTokenFromItsDescriptor(t *testing.T) {
	other, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	child := exec.Command("sh", "-c", `cat <&"$TEMPORAL_ACTIVITY_TASK_TOKEN_FD"; echo "$MORE$TEMPORAL_ACTIVITY_TASK_TOKEN"`)
	child.ExtraFiles = []*os.File{other}
	child.Env = []string{"PATH=" + os.Getenv("PATH"), "MORE=!"}
	release, err := Prepare(child, Activity{TaskToken: token})
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	out, err := child.CombinedOutput()
	if want := []byte(tokenText + "!\n"); err != nil || !bytes.Equal(out, want) {
		t.Errorf("%q, %v; want %q", out, err, want)
	}
}

func TestFromReadsOnlyFieldsOfTheRightNameAndType(t *testing.T) {
	for _, info := range []any{nil, 1, struct{ TaskToken string }{"text"}, struct{ attempt int32 }{1}, (*Activity)(nil)} {
		if got := From(info); got.TaskToken != nil || got.Attempt != 0 {
			t.Errorf("%v: %+v", info, got)
		}
	}
}

func TestParentNeedsNoCgo(t *testing.T) {
	list := exec.Command("go", "list", "-deps", ".")
	list.Env = append(os.Environ(), "CGO_ENABLED=1") // without it a dependency on cgo wouldn't show
	packages, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(string(packages)) {
		if name == "runtime/cgo" || strings.HasSuffix(name, "/internal/abi") {
			t.Errorf("depends on %s", name)
		}
	}
}

func TestMissingHeartbeatTimeoutIsReportedOnce(t *testing.T) {
	type info struct {
		ActivityID       string
		HeartbeatTimeout time.Duration
	}
	var printed strings.Builder
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(slog.New(slog.NewTextHandler(&printed, nil)))
	warnOnce = sync.Once{}
	From(info{"a", time.Second})
	if printed.Len() > 0 {
		t.Fatalf("printed %q for an activity with a heartbeat timeout", printed.String())
	}
	From(info{"b", 0})
	From(info{"c", 0})
	if text := printed.String(); strings.Count(text, "no heartbeat timeout") != 1 || !strings.Contains(text, "activity=b") {
		t.Fatalf("printed %q", text)
	}
}
