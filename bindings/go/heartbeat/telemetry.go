package heartbeat

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"temporal-heartbeat.dev/go/internal/abi"
)

// Metrics gives the process's metrics in Prometheus's text form; before the first [Connect] there are only names. It never waits.
// With [Options.MetricsAddress] Prometheus fetches them by itself. docs/metrics.md lists them.
func Metrics() (string, error) {
	if err := load(); err != nil {
		return "", err
	}
	text, err := abi.Metrics()
	return string(text), failed("metrics", err)
}

// logSlice is how long one wait for a record is, and so how long the end of forwarding may take.
const logSlice = 200 * time.Millisecond

// ForwardLogs hands the library's log records to a handler, from one goroutine, until stop is called, which waits until those that
// there are have been handed over; then it does nothing. One at a time: of two, each gets some of the records.
//
// A record's message is what happened, in words. Its attributes are the event's name and its particulars; docs/logs.md lists them.
// Never is a task token among them, nor what an activity records, nor a credential.
func ForwardLogs(handler slog.Handler) (stop func(), err error) {
	if err := load(); err != nil {
		return nil, err
	}
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			slice := milliseconds(logSlice)
			select {
			case <-stopping:
				slice = 0
			default:
			}
			record, err := abi.NextLog(slice)
			switch {
			case err != nil, record == nil && slice == 0:
				return
			case record != nil:
				forward(handler, record)
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(stopping)
		<-stopped
	}), nil
}

// forward hands one record over.
func forward(handler slog.Handler, record []byte) {
	var fields map[string]any
	if json.Unmarshal(record, &fields) != nil {
		return // none that this library makes
	}
	text := func(key string) string { value, _ := fields[key].(string); return value }
	unixMs, _ := fields["time_unix_ms"].(float64)
	level := slog.LevelInfo
	_ = level.UnmarshalText([]byte(text("level"))) // a level that isn't known here stays info
	ctx := context.Background()
	if !handler.Enabled(ctx, level) {
		return
	}
	made := slog.NewRecord(time.UnixMilli(int64(unixMs)), level, text("message"), 0)
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		switch key {
		case "time_unix_ms", "level", "message":
		default:
			made.AddAttrs(slog.Any(key, attribute(fields[key])))
		}
	}
	_ = handler.Handle(ctx, made) // whom could it be told?
}

// attribute gives a number that is whole as one: handles are, and counts.
func attribute(value any) any {
	if number, ok := value.(float64); ok && number == float64(int64(number)) {
		return int64(number)
	}
	return value
}
