package heartbeat

import (
	"bytes"
	"context"
	"errors"
	"log"
	"log/slog"
	"strings"
	"testing"
)

func TestMetricsNeedNoConnection(t *testing.T) {
	needLibrary(t)
	text, err := Metrics()
	if err != nil || !strings.Contains(text, "# TYPE temporal_request counter\n") {
		t.Error(err, text)
	}
}

func TestRecordsReachSlog(t *testing.T) {
	needLibrary(t)
	var written bytes.Buffer // one goroutine writes, and stop waits for it
	stop, err := ForwardLogs(slog.NewTextHandler(&written, nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), promptly)
	defer cancel()
	if err := Connect(ctx, Options{HostPort: "127.0.0.1:1"}); !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	stop()
	stop()
	for _, part := range []string{"level=WARN", "event=connect_failed", "peer=127.0.0.1:1", "connection=0", "nothing listens there"} {
		if !strings.Contains(written.String(), part) {
			t.Errorf("no %s in %s", part, written.String())
		}
	}
}

func TestMessageDoesNotControlTheTerminal(t *testing.T) {
	var written bytes.Buffer
	previous := log.Writer()
	log.SetOutput(&written)
	defer log.SetOutput(previous)
	forwardRecord(slog.Default().Handler(), []byte(`{"level":"warn","event":"e","message":"\u001b[31m\n\u009b\u202e\u2028 é"}`))
	if want := `\u{1b}[31m\n\u{9b}\u{202e}\u{2028} é`; !strings.Contains(written.String(), want) {
		t.Errorf("%q", written.String())
	}
}

func TestHandlerGetsOnlyItsLevels(t *testing.T) {
	var written bytes.Buffer
	handler := slog.NewTextHandler(&written, &slog.HandlerOptions{Level: slog.LevelWarn})
	forwardRecord(handler, []byte(`{"time_unix_ms":1,"level":"info","event":"connected","message":"m"}`))
	if written.Len() > 0 {
		t.Error(written.String())
	}
	forwardRecord(handler, []byte(`{"time_unix_ms":1500,"level":"error","event":"e","message":"m","activity":9007199254740991}`))
	if !strings.Contains(written.String(), "level=ERROR msg=m activity=9007199254740991 event=e") {
		t.Error(written.String())
	}
}
