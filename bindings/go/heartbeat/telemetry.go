package heartbeat

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"temporal-heartbeat.dev/go/internal/abi"
)

// Metrics returns the metrics of the process in Prometheus's text format. Before the first [Connect] it has only names. It never waits.
// With MetricsAddress in [Options] Prometheus can fetch the metrics itself. docs/metrics.md lists them.
func Metrics() (string, error) {
	if err := loadLibrary(); err != nil {
		return "", err
	}
	text, err := abi.Metrics()
	return string(text), newError("metrics", err)
}

// logWait is the longest wait for a record, and so the longest time that stop takes.
const logWait = 200 * time.Millisecond

// ForwardLogs passes the library's log records to a handler, from one goroutine. stop passes the remaining records and ends it; a second
// call of stop does nothing. Use one ForwardLogs at a time: two of them share the records.
//
// The message of a record describes the event; control characters in it are escaped. The attributes are the name and the values of the event; docs/logs.md lists them. They
// never contain a task token, details, results or credentials.
func ForwardLogs(handler slog.Handler) (stop func(), err error) {
	if err := loadLibrary(); err != nil {
		return nil, err
	}
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			timeoutMs := toTimeoutMs(logWait)
			select {
			case <-stopping:
				timeoutMs = 0
			default:
			}
			record, err := abi.NextLog(timeoutMs)
			switch {
			case err != nil, record == nil && timeoutMs == 0:
				return
			case record != nil:
				forwardRecord(handler, record)
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(stopping)
		<-stopped
	}), nil
}

// forwardRecord passes one record to the handler.
func forwardRecord(handler slog.Handler, record []byte) {
	var fields map[string]any
	if json.Unmarshal(record, &fields) != nil {
		return // the library makes no such record
	}
	stringField := func(key string) string { value, _ := fields[key].(string); return value }
	unixMs, _ := fields["time_unix_ms"].(float64)
	level := slog.LevelInfo
	_ = level.UnmarshalText([]byte(stringField("level"))) // an unknown level stays info
	ctx := context.Background()
	if !handler.Enabled(ctx, level) {
		return
	}
	logged := slog.NewRecord(time.UnixMilli(int64(unixMs)), level, printable(stringField("message")), 0)
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		switch key {
		case "time_unix_ms", "level", "message":
		default:
			logged.AddAttrs(slog.Any(key, attribute(fields[key])))
		}
	}
	_ = handler.Handle(ctx, logged) // there is nowhere to report its error
}

// printable escapes the characters that control a terminal, end a line, or change the direction of a text, as the library does in the
// lines of THB_LOG. Some handlers, such as slog's default one, write a message unchanged.
func printable(text string) string {
	var out strings.Builder
	for _, r := range text {
		if short, ok := shortEscapes[r]; ok {
			out.WriteString(short)
		} else if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			fmt.Fprintf(&out, `\u{%x}`, r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.String()
}

var shortEscapes = map[rune]string{0: `\0`, '\t': `\t`, '\n': `\n`, '\r': `\r`}

// attribute converts whole numbers, such as handles and counts, to int64.
func attribute(value any) any {
	if number, ok := value.(float64); ok && number == float64(int64(number)) {
		return int64(number)
	}
	return value
}
