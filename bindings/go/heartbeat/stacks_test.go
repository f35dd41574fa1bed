package heartbeat

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"temporal-heartbeat.dev/go/internal/abi"
)

func TestCulpritIsTheFirstStackAndTheWriterHasNone(t *testing.T) {
	text := "goroutine 9 [running]:\nwriter\n\ngoroutine 1 [chan receive]:\nmain.main\n\ngoroutine 18 [select]:\nmain.hung\n"
	want := "goroutine 18 [select]:\nmain.hung\n\ngoroutine 1 [chan receive]:\nmain.main"
	if got := string(arrangeStacks([]byte(text), []byte("goroutine 18 "))); got != want {
		t.Error(got)
	}
	// The goroutine has ended.
	if got := string(arrangeStacks([]byte(text), []byte("goroutine 7 "))); !strings.HasPrefix(got, "goroutine 1 ") {
		t.Error(got)
	}
	if got := arrangeStacks([]byte("goroutine 9 [running]:\nwriter\n"), nil); len(got) != 0 {
		t.Errorf("%s", got)
	}
}

func TestStackPipeIsReusedEmpty(t *testing.T) {
	first, err := newStackPipe()
	if err != nil {
		t.Fatal(err)
	}
	write(first)
	first.free()
	second, err := newStackPipe()
	if err != nil || second != first {
		t.Fatal(second, err)
	}
	defer second.free()
	write(second)
	buffer := make([]byte, 1<<20)
	n, err := second.reader.Read(buffer)
	text := string(buffer[:n])
	if err != nil || strings.Count(text, "\x00") != 1 || !strings.HasSuffix(text, "\x00") {
		t.Error(err, text)
	}
	if !strings.Contains(text[:strings.Index(text, "\n\n")], "TestStackPipeIsReusedEmpty") {
		t.Error(text)
	}
}

func TestStallIsLoggedWithTheStatusAndTheStacks(t *testing.T) {
	connectLazily(t, silentServer(t))
	act := openActivity(t, OpenOptions{
		HeartbeatTimeout: time.Hour, StallTimeout: 50 * time.Millisecond, StallAction: "warn", StallStacks: true,
		InitialDetails: detailsOf(t),
	})
	if err := act.SetStatus("item 42"); err != nil {
		t.Fatal(err)
	}
	info, err := act.Info()
	if err != nil || info.Status != "item 42" || info.SinceProgress > time.Hour {
		t.Error(info, err)
	}
	for range 2 {
		record := nextStallReport(t)
		if record["status"] != "item 42" || !strings.Contains(record["stacks"].(string), "nextStallReport") {
			t.Error(record)
		}
		act.Touch()
	}
	if err := act.SetStatus(strings.Repeat("x", 4097)); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	if err := act.SetStatus("\xff"); !errors.Is(err, ErrInvalidArgument) {
		t.Error(err)
	}
}

func TestStallActionNeedsATimeout(t *testing.T) {
	connectLazily(t, silentServer(t))
	_, err := Open(context.Background(), testToken, OpenOptions{StallAction: "fail"})
	if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "stall_timeout_ms") {
		t.Error(err)
	}
}

// write writes the stacks from a goroutine of its own, as the watcher does.
func write(p *stackPipe) {
	written := make(chan struct{})
	go func() {
		p.write()
		close(written)
	}()
	<-written
}

// nextStallReport waits for the log record of a stall, and returns its fields.
func nextStallReport(t *testing.T) map[string]any {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		text, err := abi.NextLog(100)
		if err != nil {
			t.Fatal(err)
		}
		var record map[string]any
		if json.Unmarshal(text, &record) == nil && record["event"] == "stall_report" {
			return record
		}
	}
	t.Fatal("no stall was logged")
	return nil
}
