package heartbeat

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"temporal-heartbeat.dev/go/internal/abi"
)

// Activity is an open activity: the library heartbeats it in the background with the details recorded last. [Open] and [OpenFromEnv]
// return one, and Close closes it. Any goroutine may call any method.
type Activity struct {
	handle     abi.Handle
	conversion conversion // the handle ends with its connection, and so keeps its conversion
	ctx        context.Context
	cancel     context.CancelCauseFunc
	cancelOn   Signals // the signals that cancel ctx

	watcher *watcher
	watchID uint64 // identifies the activity in the watcher

	details     atomic.Pointer[Details] // the result of Details, once known
	lastSignals atomic.Uint32           // the result of Signals after Close
	closed      atomic.Bool

	stacks     *stackPipe // nil without OpenOptions.StallStacks
	wasStalled bool       // only for the watcher's goroutine

	mu             sync.Mutex
	signalsChanged chan struct{} // closed and replaced when the signals change
}

// Context returns a context for the work. It is cancelled when a signal says that the work should stop, and context.Cause then
// returns the signal and its reason as a *[StopError]. For errors.Is it is [ErrCancelRequested], [ErrNotFound] (the activity is over),
// [ErrLeaseLost] or [ErrReset]. After Disconnect the cause is [ErrNotConnected]. Close and the end of the context that was passed to Open
// also cancel it.
//
// To complete or fail the activity after that, use another context: the program's own, or context.WithoutCancel of this one.
func (a *Activity) Context() context.Context {
	return a.ctx
}

// RecordHeartbeat copies the details for the next heartbeat and returns the current signals. It never waits for the network. The first
// record is sent at once, later ones when a heartbeat is due. A record replaces an earlier record that isn't sent yet. [Activity.Flush],
// [Activity.Fail], [Activity.ReportCancelled] and [Activity.Close] send the newest record.
//
// If a returned signal cancels Context, the Context is already cancelled when the call returns. After the process was frozen for longer
// than the heartbeat timeout, the first call returns [SignalLeaseLost].
//
// At least one detail is required; it may be nil. A heartbeat without details would delete the progress on the server. Touch reports
// progress without details.
//
// Errors: [ErrNotFound] when the activity is over (stop the work), [ErrEnded] after this process ended it, [ErrTooLarge],
// [ErrInvalidArgument], [ErrInvalidHandle] after Close.
func (a *Activity) RecordHeartbeat(details ...any) (Signals, error) {
	if len(details) == 1 {
		if data, ok := details[0].([]byte); ok && a.conversion.isDefault() {
			return a.RecordBytes(data)
		}
	}
	return a.recordValues(details)
}

// RecordBytes is RecordHeartbeat for one []byte. It is the fastest: it doesn't allocate an interface value.
func (a *Activity) RecordBytes(details []byte) (Signals, error) {
	if !a.conversion.isDefault() {
		return a.recordValues([]any{details})
	}
	return a.record(encodedValues{abi.EncodingBinary, details})
}

const opRecord = "record heartbeat"

func (a *Activity) recordValues(details []any) (Signals, error) {
	if len(details) == 0 {
		return 0, localError(opRecord, StatusInvalidArgument,
			"no details: a heartbeat without details erases the progress that the server holds; pass details, or call Touch", nil)
	}
	buffer := bufferPool.Get().(*bytes.Buffer)
	defer putBuffer(buffer)
	values, err := encodeValues(buffer, a.conversion, opRecord, details)
	if err != nil {
		return 0, err
	}
	return a.record(values)
}

func (a *Activity) record(values encodedValues) (Signals, error) {
	known, err := a.handle.Record(values.encoding, values.data)
	if signals := Signals(known); err == nil && signals&a.cancelOn == 0 {
		return signals, nil // the fast path
	}
	return a.handleResult(opRecord, known, err)
}

// Touch reports progress without details: it restarts the stall timeout. Otherwise it is like RecordHeartbeat.
func (a *Activity) Touch() (Signals, error) {
	known, err := a.handle.Touch()
	return a.handleResult("touch", known, err)
}

// Signals returns the current signals, also after the activity was ended. After Close it returns the last ones. It never waits.
func (a *Activity) Signals() Signals {
	known, err := a.handle.Signals()
	if err != nil {
		return Signals(a.lastSignals.Load())
	}
	a.lastSignals.Store(known)
	signals, _ := a.handleResult("signals", known, nil)
	return signals
}

// handleResult cancels the context if the result of a call requires it.
func (a *Activity) handleResult(op string, known uint32, err *abi.Error) (Signals, error) {
	signals := Signals(known)
	switch {
	case err == nil:
		a.cancelOnSignals(signals)
	case Status(err.Status) == StatusNotFound:
		a.cancelOnSignals(SignalGone)
	}
	return signals, newError(op, err)
}

// cancelOnSignals cancels the context if the signals require it.
func (a *Activity) cancelOnSignals(signals Signals) {
	if signals&a.cancelOn == 0 || a.ctx.Err() != nil {
		return
	}
	if cause := cancelCause(signals&a.cancelOn, a.Info); cause != nil {
		a.cancel(cause)
	}
}

// Wait waits until one of the given signals is set, and returns all signals. It doesn't block an OS thread.
//
// Errors: that of ctx, [ErrInvalidHandle] after Close.
func (a *Activity) Wait(ctx context.Context, mask Signals) (Signals, error) {
	return a.waitUntil(ctx, func(signals Signals) bool { return signals&mask != 0 })
}

// WaitCleared waits until all of the given signals are cleared, for example [SignalPaused]. Some signals are never cleared. Otherwise it
// is like Wait.
func (a *Activity) WaitCleared(ctx context.Context, mask Signals) (Signals, error) {
	return a.waitUntil(ctx, func(signals Signals) bool { return signals&mask == 0 })
}

// WaitWhilePaused waits until the activity isn't paused any more, or one of [StopSignals] is set, and returns all signals. It returns at
// once if the activity isn't paused. The heartbeats continue, and the stall timeout doesn't run. With DisablePulse nothing is sent, so the
// end of the pause isn't noticed. Otherwise it is like Wait.
func (a *Activity) WaitWhilePaused(ctx context.Context) (Signals, error) {
	return a.waitUntil(ctx, func(signals Signals) bool { return signals&(SignalPaused|StopSignals) != SignalPaused })
}

func (a *Activity) waitUntil(ctx context.Context, done func(Signals) bool) (Signals, error) {
	const op = "wait"
	for {
		a.mu.Lock()
		changed := a.signalsChanged
		a.mu.Unlock()
		// Read the signals after the channel: a change between the two then closes the channel.
		known, nativeErr := a.handle.Signals()
		signals, err := a.handleResult(op, known, nativeErr)
		if err != nil || done(signals) {
			return signals, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return signals, contextError(ctx, op, waitStopped)
		}
	}
}

// wakeWaiters makes all calls of waitUntil read the signals again.
func (a *Activity) wakeWaiters() {
	a.mu.Lock()
	defer a.mu.Unlock()
	close(a.signalsChanged)
	a.signalsChanged = make(chan struct{})
}

// Details returns the details that the activity had when it was opened: those of the previous attempt. It isn't an error if there are
// none. Records don't change them. If the parent didn't hand them over, the library asks the server, until ctx ends. So call it before
// the first record, which replaces them on the server.
//
// Errors: [ErrNotFound] when the activity is over, [ErrFailedPrecondition] when a record replaced them before the server was asked,
// [ErrEnded], [ErrUnavailable], [ErrTimeout], [ErrInvalidHandle] after Close.
func (a *Activity) Details(ctx context.Context) (Details, error) {
	const op = "details"
	if known := a.details.Load(); known != nil {
		return *known, nil
	}
	native, nativeErr := a.handle.Details() // known details need no server, and no context
	if nativeErr != nil {
		answer, err := a.call(ctx, op, abi.Request{Call: abi.ActivityGetDetails})
		if err != nil {
			return Details{}, err
		}
		native = answer.Details
	}
	details, err := newDetails(a.conversion, op, native)
	if err == nil {
		a.details.Store(&details)
	}
	return details, err
}

// HasHeartbeatDetails reports whether a previous attempt left details to resume from, like the function of that name in the SDK. It
// may have to ask the server. If that fails it returns true, so that the work doesn't start from the beginning by mistake;
// GetHeartbeatDetails returns the error.
func (a *Activity) HasHeartbeatDetails() bool {
	details, err := a.Details(a.ctx)
	return err != nil || details.Has()
}

// GetHeartbeatDetails converts the details of the previous attempt into the variables that the pointers point to, like the function
// of that name in the SDK and [Details.Get]. Without details it returns [ErrNoDetails]. It waits for the server for at most
// [DefaultTimeout], and until Context ends. Use Details to wait with another context.
func (a *Activity) GetHeartbeatDetails(valuePtrs ...any) error {
	details, err := a.Details(a.ctx)
	if err != nil {
		return err
	}
	return details.Get(valuePtrs...)
}

// Flush sends the newest record at once, and waits for the server's acknowledgement.
//
// Errors: [ErrNotFound], [ErrEnded], [ErrUnavailable], [ErrTimeout], [ErrInvalidHandle] after Close, and the errors of the server.
func (a *Activity) Flush(ctx context.Context) error {
	_, err := a.call(ctx, "flush", abi.Request{Call: abi.ActivityFlush})
	return err
}

// Complete completes the activity with a result; nil: without a result. During the call no heartbeats are sent. After success and after
// [ErrInDoubt] the activity is ended: all methods return [ErrEnded], except Close and the methods that only read. After [ErrNotFound] it
// is over. After any other error the heartbeats continue, and Complete may be called again. The documentation of the function
// [Complete] applies too.
func (a *Activity) Complete(ctx context.Context, result any) error {
	return a.end(ctx, "complete", abi.ActivityComplete, resultValues(result))
}

// ReportCancelled ends the activity as cancelled, with or without details, if its cancellation was requested. The newest record is sent
// before. Otherwise it is like Complete.
func (a *Activity) ReportCancelled(ctx context.Context, details ...any) error {
	return a.end(ctx, "report cancelled", abi.ActivityReportCancelled, details)
}

// Fail ends the attempt with an error, which [FailureFrom] converts. Pass a [Failure] to prevent further attempts, or to set the delay
// before the next one.
//
// A record that isn't acknowledged yet is sent in the same request, so that the next attempt can't miss it; for a standalone activity it
// is sent as a heartbeat before the failure. So a Failure must not have HeartbeatDetails. Otherwise it is like Complete.
func (a *Activity) Fail(ctx context.Context, err error) error {
	const op = "fail"
	failure, err := failureToSend(err, op)
	if err != nil {
		return err
	}
	if len(failure.HeartbeatDetails) > 0 {
		return localError(op, StatusInvalidArgument, "HeartbeatDetails aren't allowed for an open activity: record the details instead", nil)
	}
	failureJSON, err := failure.marshal(a.conversion, op)
	if err != nil {
		return err
	}
	_, err = a.call(ctx, op, abi.Request{Call: abi.ActivityFail, Data: failureJSON})
	return err
}

func (a *Activity) end(ctx context.Context, op string, call int32, values []any) error {
	buffer := bufferPool.Get().(*bytes.Buffer)
	defer putBuffer(buffer)
	encoded, err := encodeValues(buffer, a.conversion, op, values)
	if err == nil {
		_, err = a.call(ctx, op, abi.Request{Call: call, Encoding: encoded.encoding, Data: encoded.data})
	}
	return err
}

func (a *Activity) call(ctx context.Context, op string, r abi.Request) (abi.Answer, error) {
	r.Activity = a.handle
	answer, _, err := call(ctx, op, nil, &r)
	return answer, err
}

// Close sends the newest record, until ctx ends, and stops the heartbeats. If ctx has already ended it sends nothing. Close doesn't end
// the activity on the server: an activity that wasn't completed or failed times out there, and is retried.
//
// Close always closes. An error means that the newest record couldn't be sent. A second call does nothing.
func (a *Activity) Close(ctx context.Context) error {
	const op = "close"
	if !a.closed.CompareAndSwap(false, true) {
		return nil
	}
	a.Signals() // stores the last signals
	a.cancel(nil)
	defer a.wakeWaiters()
	if a.stacks != nil {
		defer a.stacks.free()
	}
	defer stopWatching(a)
	_, err := a.call(ctx, op, abi.Request{Call: abi.ActivityClose})
	switch closed := a.handle.Close(); { // in case that the call didn't begin
	case closed == nil || Status(closed.Status) != StatusInvalidHandle:
		return newError(op, closed)
	case errors.Is(err, ErrInvalidHandle):
		return nil // Disconnect closed it
	}
	return err
}
