//go:build go1.24

package heartbeat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// trackedActivity is an activity of a server that sets the signals of each heartbeat.
type trackedActivity struct {
	*Activity
	server  *recorder
	signals atomic.Int32 // the fields of the response that are set: 1 cancelled, 2 paused
}

// openTracked opens an activity whose previous attempt recorded these details.
func openTracked(t *testing.T, details ...any) *trackedActivity {
	t.Helper()
	a := &trackedActivity{server: newRecorder(t)}
	a.server.answers.Lock()
	a.server.answer = func(message []byte) (response []byte, refusal string) {
		if field := byte(a.signals.Load()); field != 0 && bytes.Contains(message, []byte("workflow-id")) {
			return []byte{field << 3, 1}, ""
		}
		return nil, ""
	}
	a.server.answers.Unlock()
	if err := Connect(context.Background(), a.server.options(nil)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Disconnect(context.Background()) })
	a.Activity = openActivity(t, OpenOptions{
		HeartbeatTimeout: 30 * time.Second, CancelPoll: 100 * time.Millisecond, InitialDetails: detailsOf(t, details...),
	})
	return a
}

func (a *trackedActivity) records(t *testing.T) int64 {
	t.Helper()
	info, err := a.Info()
	if err != nil {
		t.Fatal(err)
	}
	return info.Records
}

// collect returns the items of an iteration, and its error.
func collect[T any](items iter.Seq2[T, error]) (all []T, _ error) {
	for item, err := range items {
		if err != nil {
			return all, err
		}
		all = append(all, item)
	}
	return all, nil
}

// variants are the functions that record an index.
var variants = map[string]func(context.Context, *Activity, []int) iter.Seq2[int, error]{
	"Track": func(ctx context.Context, act *Activity, items []int) iter.Seq2[int, error] {
		return Track(ctx, act, items, TrackOptions{})
	},
	"TrackN": func(ctx context.Context, act *Activity, items []int) iter.Seq2[int, error] {
		return TrackN(ctx, act, len(items), TrackOptions{})
	},
	"TrackSeq": func(ctx context.Context, act *Activity, items []int) iter.Seq2[int, error] {
		return TrackSeq(ctx, act, slices.Values(items), TrackOptions{})
	},
}

func forEachVariant(t *testing.T, test func(t *testing.T, track func(*Activity) iter.Seq2[int, error])) {
	for name, variant := range variants {
		t.Run(name, func(t *testing.T) {
			test(t, func(act *Activity) iter.Seq2[int, error] {
				return variant(context.Background(), act, []int{0, 1, 2, 3, 4})
			})
		})
	}
}

func TestTrackRecordsAnItemAfterItsBody(t *testing.T) {
	forEachVariant(t, func(t *testing.T, track func(*Activity) iter.Seq2[int, error]) {
		a := openTracked(t)
		for item, err := range track(a.Activity) {
			if err != nil || a.records(t) != int64(item) {
				t.Errorf("item %d: %d records, %v", item, a.records(t), err)
			}
		}
		if a.records(t) != 5 {
			t.Error(a.records(t))
		}
		a.Flush(context.Background())
		a.server.waitFor(t, "4")
	})
}

func TestTrackSkipsItemsThatAreDone(t *testing.T) {
	forEachVariant(t, func(t *testing.T, track func(*Activity) iter.Seq2[int, error]) {
		for last, want := range map[int][]int{2: {3, 4}, 4: nil} {
			a := openTracked(t, last)
			if items, err := collect(track(a.Activity)); err != nil || !reflect.DeepEqual(items, want) {
				t.Error(items, err)
			}
			if a.records(t) != int64(len(want)) {
				t.Error(a.records(t))
			}
			a.Close(context.Background())
			Disconnect(context.Background())
		}
	})
}

func TestTrackDoesNotReadTheNumbersThatAreDone(t *testing.T) {
	const many = 1 << 50
	a := openTracked(t, many-3)
	if items, err := collect(TrackN(context.Background(), a.Activity, many, TrackOptions{})); err != nil || len(items) != 2 {
		t.Error(items, err)
	}
}

func TestTrackDoesNotRecordAnItemThatIsNotDone(t *testing.T) {
	forEachVariant(t, func(t *testing.T, track func(*Activity) iter.Seq2[int, error]) {
		a := openTracked(t)
		for item := range track(a.Activity) {
			if item == 2 {
				break
			}
		}
		if a.records(t) != 2 {
			t.Error(a.records(t))
		}
	})
	t.Run("panic", func(t *testing.T) {
		a := openTracked(t)
		defer func() {
			if recover() == nil || a.records(t) != 0 {
				t.Error(a.records(t))
			}
		}()
		for range TrackN(context.Background(), a.Activity, 3, TrackOptions{}) {
			panic("of the body")
		}
	})
}

func TestTrackRefusesDetailsOfAnotherForm(t *testing.T) {
	for _, details := range [][]any{
		{5}, {int64(1<<63 - 1)}, {-1}, {1.5}, {"1"}, {true}, {nil}, {[]byte("1")}, {map[string]int{"item": 1}}, {1, 2}, {strings.Repeat("x", 1000)},
	} {
		forEachVariant(t, func(t *testing.T, track func(*Activity) iter.Seq2[int, error]) {
			a := openTracked(t, details...)
			items, err := collect(track(a.Activity))
			wantIs(t, err, ErrInvalidArgument)
			if items != nil || a.records(t) != 0 {
				t.Error("an item was handed out")
			}
			if message := fmt.Sprint(err); !strings.Contains(message, "can't resume: ") || len(message) > 600 {
				t.Error(message)
			}
		})
	}
}

type file struct {
	name string
	size int
}

func nameOf(f *file) string { return f.name }

func TestTrackByKeyFindsTheKeyAgain(t *testing.T) {
	files := []*file{{"a", 1}, {"é", 2}, {"c", 3}}
	a := openTracked(t, "é")
	for f, err := range TrackByKey(context.Background(), a.Activity, slices.Values(files), nameOf, TrackOptions{}) {
		if err != nil || f.name != "c" {
			t.Error(f, err)
		}
		f.name = "changed by the body"
	}
	if err := a.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	a.server.waitFor(t, `"c"`)
}

func TestTrackByKeyRefusesAKeyThatNoItemHas(t *testing.T) {
	files := []*file{{"a", 1}, {"b", 2}}
	for _, details := range [][]any{{"x"}, {7}, {nil}, {"a", "b"}} {
		a := openTracked(t, details...)
		items, err := collect(TrackByKey(context.Background(), a.Activity, slices.Values(files), nameOf, TrackOptions{}))
		wantIs(t, err, ErrInvalidArgument)
		if items != nil {
			t.Error("an item was handed out")
		}
		if details[0] == "x" && !strings.Contains(err.Error(), `no item has the key "x", which the last item that was done had; there are 2 items`) {
			t.Error(err)
		}
		a.Close(context.Background())
		Disconnect(context.Background())
	}
}

func TestTrackRefusesASecondIteration(t *testing.T) {
	forEachVariant(t, func(t *testing.T, track func(*Activity) iter.Seq2[int, error]) {
		a := openTracked(t)
		if _, err := collect(track(a.Activity)); err != nil {
			t.Fatal(err)
		}
		_, err := collect(track(a.Activity))
		wantIs(t, err, ErrFailedPrecondition)
	})
}

func TestTrackEndsWithTheCauseOfTheContext(t *testing.T) {
	a := openTracked(t)
	a.signals.Store(1)
	items, err := collect(TrackN(context.Background(), a.Activity, 1<<50, TrackOptions{}))
	wantIs(t, err, ErrCancelRequested)
	if a.records(t) != int64(len(items)) {
		t.Errorf("%d records of %d items", a.records(t), len(items))
	}
}

func TestTrackEndsWithItsContext(t *testing.T) {
	a := openTracked(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	mine := errors.New("mine")
	for item, err := range TrackN(ctx, a.Activity, 5, TrackOptions{}) {
		if item == 2 {
			cancel(mine)
		}
		if err != nil {
			wantIs(t, err, mine)
			return
		}
	}
	t.Error("no error")
}

func TestTrackWaitsWhileTheActivityIsPaused(t *testing.T) {
	a := openTracked(t)
	a.signals.Store(2)
	var handedOut atomic.Int64
	done := make(chan error)
	go func() {
		for _, err := range TrackN(context.Background(), a.Activity, 1<<50, TrackOptions{}) {
			if err != nil || a.signals.Load() == 0 {
				done <- err
				return
			}
			handedOut.Add(1)
		}
	}()
	if _, err := a.Wait(context.Background(), SignalPaused); err != nil {
		t.Fatal(err)
	}
	// Two more heartbeats, during which the loop without a pause would do thousands of items.
	info, err := a.Info()
	if err != nil {
		t.Fatal(err)
	}
	beats, before := info.Beats, handedOut.Load()
	for info.Beats < beats+2 {
		time.Sleep(time.Millisecond)
		info, _ = a.Info()
	}
	if now := handedOut.Load(); now > before+1 {
		t.Errorf("%d items during the pause", now-before)
	}
	a.signals.Store(0)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTrackFlushesAsOftenAsRequested(t *testing.T) {
	for _, every := range []time.Duration{time.Nanosecond, time.Hour} {
		a := openTracked(t)
		for item, err := range TrackN(context.Background(), a.Activity, 3, TrackOptions{FlushEvery: every}) {
			info, _ := a.Info()
			if err != nil || (every == time.Nanosecond && info.Beats != int64(item)) {
				t.Error(item, info.Beats, err)
			}
		}
		if info, err := a.Info(); err != nil || info.Pending {
			t.Error("the last record is not flushed", err)
		}
		a.Close(context.Background())
		Disconnect(context.Background())
	}
}

func TestTrackReturnsErrorsOfTheActivity(t *testing.T) {
	a := openTracked(t)
	for item, err := range TrackN(context.Background(), a.Activity, 3, TrackOptions{}) {
		if err != nil {
			wantIs(t, err, ErrInvalidHandle)
			return
		}
		if item == 1 {
			a.Close(context.Background())
		}
	}
	t.Error("no error")
}
