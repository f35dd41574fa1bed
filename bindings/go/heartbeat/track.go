package heartbeat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// TrackOptions are the options of [Track], [TrackN], [TrackSeq] and [TrackByKey].
type TrackOptions struct {
	// FlushEvery flushes the record of an item if the last flush is as long ago, and the record of the last item. It is for expensive
	// items, of which none may be repeated. To flush the record of each item, set [time.Nanosecond]. After a temporary error of a
	// flush the iteration continues. 0: the library decides when to send a record.
	FlushEvery time.Duration
}

// Track iterates over the items of an activity. It skips those that are done, and records each new one:
//
//	for file, err := range heartbeat.Track(ctx, act, files, heartbeat.TrackOptions{}) {
//		if err != nil {
//			return err
//		}
//		if err := compress(file); err != nil {
//			return err
//		}
//	}
//	return act.Complete(ctx, nil)
//
// An item is done when the body of the loop ends, also with continue. Then it is recorded, as by [Activity.RecordHeartbeat]. After a
// break, a return or a panic the item isn't recorded. The next attempt begins after the last recorded item. A record may be lost with the
// process, so the work on an item must be repeatable. If all items are done, the loop is empty.
//
// The items must be the same in each attempt, in the same order. The index of the last item that is done is recorded: an integer, from 0,
// as in the other languages.
//
// After each item and before the first one, the iteration waits while the activity is paused. When the [Activity.Context] ends, the
// iteration ends with the cause as the error: [ErrCancelRequested], for example. When ctx ends, it ends with the cause of ctx. After an
// error no item follows.
//
// An activity has one such iteration. Begin it before the first record.
//
// Errors, before the first item: [ErrInvalidArgument] if the recorded value isn't an index, or is one beyond the end;
// [ErrFailedPrecondition] if something was recorded before. Otherwise those of [Activity.Details], [Activity.RecordHeartbeat] and
// [Activity.Flush].
func Track[T any](ctx context.Context, act *Activity, items []T, options TrackOptions) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		t := tracking[T]{ctx: ctx, act: act, options: options, yield: yield}
		next, err := t.nextIndex()
		if err == nil && next > int64(len(items)) {
			err = refuseIndex(next-1, int64(len(items)))
		}
		if t.failed(err) {
			return
		}
		t.each(slices.Values(items[next:]), countingFrom[T](next), nil)
	}
}

// TrackN is [Track] for the integers from 0 to n-1.
func TrackN(ctx context.Context, act *Activity, n int, options TrackOptions) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		t := tracking[int]{ctx: ctx, act: act, options: options, yield: yield}
		next, err := t.nextIndex()
		if err == nil && next > int64(max(n, 0)) {
			err = refuseIndex(next-1, int64(max(n, 0)))
		}
		if t.failed(err) {
			return
		}
		t.each(func(yield func(int) bool) {
			for i := int(next); i < n && yield(i); i++ {
			}
		}, countingFrom[int](next), nil)
	}
}

// TrackSeq is [Track] for any sequence. It reads the items that are done, and drops them.
func TrackSeq[T any](ctx context.Context, act *Activity, items iter.Seq[T], options TrackOptions) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		t := tracking[T]{ctx: ctx, act: act, options: options, yield: yield}
		next, err := t.nextIndex()
		if t.failed(err) {
			return
		}
		var skip *skipping[T]
		if next > 0 {
			count := int64(0)
			skip = &skipping[T]{
				isLast:  func(T) bool { count++; return count == next },
				missing: func() error { return refuseIndex(next-1, count) },
			}
		}
		t.each(items, countingFrom[T](next), skip)
	}
}

// TrackByKey is [TrackSeq], but records the key of an item instead of its index. The key must be unique, the same in each attempt, and
// equal to itself after the conversion to JSON and back. For a slice pass [slices.Values].
//
// If no item has the recorded key, the error is [ErrInvalidArgument].
func TrackByKey[T any, K comparable](ctx context.Context, act *Activity, items iter.Seq[T], key func(T) K, options TrackOptions) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		t := tracking[T]{ctx: ctx, act: act, options: options, yield: yield}
		var last *K
		found, err := t.lastDone("key", &last)
		if err == nil && found && last == nil {
			err = t.refuseDetails("key", nil)
		}
		if t.failed(err) {
			return
		}
		var skip *skipping[T]
		if found {
			count := 0
			skip = &skipping[T]{
				isLast: func(item T) bool { count++; return key(item) == *last },
				missing: func() error {
					return refuseToResume(fmt.Sprintf("no item has the key %s, which the last item that was done had; there are %d items",
						shownAsJSON(*last), count), nil)
				},
			}
		}
		t.each(items, func(item T) any { return key(item) }, skip)
	}
}

const opTrack = "track"

// tracking is one iteration over the items of an activity.
type tracking[T any] struct {
	ctx     context.Context
	act     *Activity
	options TrackOptions
	yield   func(T, error) bool

	lastFlush time.Time
}

// skipping finds the last item that is done.
type skipping[T any] struct {
	isLast  func(T) bool
	missing func() error // the error if there is no such item
}

// countingFrom returns a function that returns what is recorded for each item: its index.
func countingFrom[T any](index int64) func(T) any {
	return func(T) any {
		index++
		return index - 1
	}
}

// failed yields an error, and reports whether there is one.
func (t *tracking[T]) failed(err error) bool {
	if err != nil {
		var none T
		t.yield(none, err)
	}
	return err != nil
}

// nextIndex returns the index of the first item that isn't done.
func (t *tracking[T]) nextIndex() (int64, error) {
	var last *int64 // JSON's null leaves an int64 as it is
	found, err := t.lastDone("index", &last)
	switch {
	case err != nil || !found:
		return 0, err
	case last == nil || *last < 0 || *last+1 < 0:
		return 0, t.refuseDetails("index", nil)
	}
	return *last + 1, nil
}

// lastDone reads the recorded value, if there is one.
func (t *tracking[T]) lastDone(what string, valuePtr any) (found bool, _ error) {
	info, err := t.act.Info()
	if err != nil {
		return false, err
	}
	if info.Records > 0 {
		return false, localError(opTrack, StatusFailedPrecondition,
			"something was recorded for the activity before the iteration of Track: an activity has one such iteration, which records "+
				"alone; for several, join the items, or call RecordHeartbeat", nil)
	}
	details, err := t.act.Details(t.ctx)
	if err != nil || !details.Has() {
		return false, err
	}
	if err := details.Get(valuePtr); err != nil || details.Len() > 1 {
		return false, t.refuseDetails(what, err)
	}
	return true, nil
}

// refuseDetails returns the error for details that no iteration of this kind recorded.
func (t *tracking[T]) refuseDetails(what string, cause error) error {
	details, err := t.act.Details(t.ctx) // known
	if err != nil {
		return err
	}
	var values []string
	for _, payload := range details.Payloads() {
		values = append(values, shown(payload.Data))
	}
	return refuseToResume(fmt.Sprintf("the heartbeat details aren't the %s of an item, but %s", what, strings.Join(values, ", ")), cause)
}

func refuseIndex(last, count int64) error {
	return refuseToResume(fmt.Sprintf("item %d was the last one that was done, but there are only %d items", last, count), nil)
}

func refuseToResume(reason string, cause error) error {
	return localError(opTrack, StatusInvalidArgument, "can't resume: "+reason+"; pass the same items and the same kind of key as the earlier "+
		"attempt. To start with the first item again, delete the details: temporal activity reset --reset-heartbeats", cause)
}

// shown returns bytes as text that isn't too long for a message.
func shown(data []byte) string {
	const limit = 200
	text := strings.ToValidUTF8(string(data[:min(len(data), limit)]), "?")
	if len(data) > limit {
		text += "..."
	}
	return text
}

func shownAsJSON(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return shown(data)
}

// each yields the items after those to skip, and records each that is done. skip may be nil.
func (t *tracking[T]) each(items iter.Seq[T], recordOf func(T) any, skip *skipping[T]) {
	t.lastFlush = time.Now()
	if t.failed(t.mayContinue(t.act.Signals())) {
		return
	}
	for item := range items {
		if skip != nil {
			if skip.isLast(item) {
				skip = nil
			}
			continue
		}
		record := recordOf(item) // before the body, which may change the item
		if !t.yield(item, nil) || t.failed(t.itemIsDone(record)) {
			return
		}
	}
	switch {
	case skip != nil:
		t.failed(skip.missing())
	case t.options.FlushEvery > 0:
		t.failed(t.flush())
	}
}

// itemIsDone records an item. Its error ends the iteration.
func (t *tracking[T]) itemIsDone(record any) error {
	signals, err := t.act.RecordHeartbeat(record)
	if err != nil && !errors.Is(err, ErrNotFound) { // then the context has ended
		return err
	}
	if err := t.mayContinue(signals); err != nil {
		return err
	}
	if t.options.FlushEvery > 0 && time.Since(t.lastFlush) >= t.options.FlushEvery {
		return t.flush()
	}
	return nil
}

// mayContinue waits while the activity is paused, and returns why the work should stop.
func (t *tracking[T]) mayContinue(signals Signals) error {
	var err error
	if signals.Paused() {
		_, err = t.act.WaitWhilePaused(t.ctx)
	}
	switch {
	case t.act.Context().Err() != nil:
		return context.Cause(t.act.Context())
	case t.ctx.Err() != nil:
		return context.Cause(t.ctx)
	}
	return err
}

func (t *tracking[T]) flush() error {
	err := t.act.Flush(t.ctx)
	t.lastFlush = time.Now()
	var failure *Error
	switch {
	case errors.Is(err, ErrNotFound):
		t.act.cancelOnSignals(SignalGone)
		return ErrGone
	case errors.As(err, &failure) && failure.Retryable && t.ctx.Err() == nil:
		err = nil // the library continues to send the record
	}
	return errors.Join(err, t.mayContinue(t.act.Signals()))
}
