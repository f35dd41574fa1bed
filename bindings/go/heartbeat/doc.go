// Package heartbeat heartbeats a Temporal Activity from a process that isn't its worker.
//
// A worker hands an activity over by leaving its task token to another process, and returns without a result (in the Go SDK:
// activity.ErrResultPending). That process then does what the worker would: it tells the server "alive, at item 41", hears that
// the activity was cancelled, starts where the previous attempt was killed, and completes the activity. This package is how a Go
// program does that without an SDK and without a worker.
//
// # An activity held open
//
// The usual way. The library heartbeats in the background, whatever the program does, with the details that were recorded last;
// to record some takes well under a microsecond and never waits; and a context tells the work when to stop:
//
//	if err := heartbeat.Connect(ctx, heartbeat.Options{}); err != nil { // TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE
//		return err
//	}
//	defer heartbeat.Disconnect(ctx)
//	act, err := heartbeat.OpenFromEnv(ctx, heartbeat.OpenOptions{}) // what the parent process left there
//	if err != nil {
//		return err
//	}
//	defer act.Close(ctx)
//
//	next := 0
//	if act.HasHeartbeatDetails() { // an earlier attempt got this far
//		if err := act.GetHeartbeatDetails(&next); err != nil {
//			return err
//		}
//		next++
//	}
//	for ; next < len(items) && act.Context().Err() == nil; next++ {
//		process(items[next]) // may take as long as it likes
//		if _, err := act.RecordHeartbeat(next); err != nil {
//			return err
//		}
//	}
//	switch cause := context.Cause(act.Context()); {
//	case next == len(items):
//		return act.Complete(ctx, "done")
//	case errors.Is(cause, heartbeat.ErrCancelRequested):
//		return act.ReportCancelled(ctx)
//	default:
//		return cause // ErrNotFound, ErrLeaseLost: another attempt has taken over, or soon will
//	}
//
// The heartbeats keep the attempt alive also while no progress is recorded; to have hung work retried there is the StallTimeout of
// [OpenOptions]. They start with the details that the attempt before left, and so never erase them. With heartbeat timeout T one is
// due max(T/2, T - 10 s), at most 0.8 T and 60 s, after the last; what is recorded in between waits for it, and the newest wins.
// Flush, Complete, Fail, ReportCancelled and Close send first what was recorded last.
//
// # One call, one request
//
// For programs that would rather decide on every request themselves, or that start and end often: calls that name the activity by its
// task token, and wait for the server's answer.
//
//	token, err := heartbeat.TokenFromEnv()
//	if err != nil {
//		return err
//	}
//	details, err := heartbeat.GetDetails(ctx, token)
//	if err != nil {
//		return err
//	}
//	next := 0
//	if details.Has() {
//		if err := details.Get(&next); err != nil {
//			return err
//		}
//		next++
//	}
//	for ; next < len(items); next++ {
//		process(items[next])
//		signals, err := heartbeat.RecordHeartbeat(ctx, token, next)
//		if errors.Is(err, heartbeat.ErrNotFound) {
//			return nil // another attempt has taken over, or nobody waits any more: stop
//		}
//		if err != nil {
//			return err
//		}
//		if signals.CancelRequested() {
//			return heartbeat.ReportCancelled(ctx, token, next)
//		}
//	}
//	return heartbeat.Complete(ctx, token, "done")
//
// # The parent's side
//
// Package temporal-heartbeat.dev/go/handoff makes the environment of the process that is to do the work.
//
// # Heartbeats
//
// The server fails an attempt that it hears nothing of for the activity's heartbeat timeout, and starts the next one. It keeps
// the details of the last heartbeat through all attempts. So each heartbeat must carry what a retry needs to resume: one without
// details erases what the server holds, and is therefore only sent by [ClearHeartbeat].
//
// Each answer brings [Signals]. A cancellation is heard of in no other way, nor is a pause, during which the heartbeats go on. An
// activity held open has more of them, and may wait for them.
//
// One process heartbeats an activity at a time; two would overwrite each other's details.
//
// # Contexts and time
//
// Each call waits for the server's answer and is tried again while the trouble is temporary, until the deadline of its context, or
// for [DefaultTimeout] when that has none. A context that is done already is an error before anything is sent. A context that ends
// during the call makes it return at once with an error that is context.Canceled or context.DeadlineExceeded; the call below runs
// out by itself, on copies of its arguments, and may still take effect.
//
// When the library knows what kept a call from succeeding until the context's deadline, the error is that one as well:
// ErrUnavailable and context.DeadlineExceeded, for example. An [ErrTimeout] is always context.DeadlineExceeded too.
//
// # Errors
//
// Each error of the server's and of the library's is an *[Error], for errors.As; its Code is a [Status], and errors.Is compares
// with the error of that name. What to do:
//
//	ErrNotFound            the activity is over for this token: stop the work
//	ErrInDoubt             an ending that may have been applied: don't undo the work
//	ErrTimeout             call again; the server may have got it
//	ErrUnavailable         call again
//	ErrResourceExhausted   call again, less often
//	ErrNamespaceNotActive  call again
//	ErrServerError         call again if Retryable is set
//	ErrTooLarge            keep details small: store the data elsewhere, and a reference to it in the details
//	ErrInvalidArgument     mend the call
//	ErrConfig              mend the options, the environment or a file
//	ErrAlreadyOpen         the token is held: call the Activity's methods, or close it first
//	others                 see Message
//
// The causes of an activity's Context, [ErrCancelRequested] and the like, are no *Error.
//
// Besides there are *[LibraryError], *[ConversionError] (below an *Error when writing), [ErrNoDetails], and the errors of
// contexts.
//
// # Values
//
// Details and results are converted as by the default data converter of Temporal's Go SDK, so that a worker reads what this package
// wrote and the other way round. In this order:
//
//	Payload               as it is
//	nil, a nil pointer    binary/null
//	exactly []byte        binary/plain
//	a protobuf message    json/protobuf
//	any other             json/plain, by encoding/json
//
// [Details.Get] reads these, and binary/protobuf. Three things differ from the SDK: messages of the old Go protobuf APIs
// (gogo/protobuf) are refused, bytes that were read are the caller's own, and a heartbeat with nothing but nil records nil, where the
// SDK's records nothing and so erases what the server holds.
//
// The PayloadCodec of [Options] encodes and decodes all values, for a namespace whose data are encrypted.
//
// # Looking on
//
// [Metrics] gives figures in Prometheus's text form, and [ForwardLogs] hands log records to log/slog. With THB_LOG=info in the
// environment the records are lines on stderr. Neither ever shows a task token, details, results, or credentials.
//
// # Threads
//
// Any goroutine may call anything at any time. A call that waits for the server holds a thread of the system's; there may be 1024 at a
// time, and a further one waits until one of them ends. What waits for signals (a Context, Wait) holds none, however many activities
// are open.
//
// # The native library
//
// Importing this package takes cgo, but no flags: the library is opened with the first call that needs it. It is looked for
// at the path in TEMPORAL_HEARTBEAT_LIBRARY and nowhere else while that is set; otherwise beside the executable and then where the
// system's loader looks, each time as libtemporal_heartbeat.so.0 and libtemporal_heartbeat.so. A *[LibraryError] lists what was
// tried and why it failed.
//
// With the build tag temporal_heartbeat_static the library becomes part of the program instead, and the variable has no meaning.
// pkg-config says where it is installed (temporal_heartbeat-static).
package heartbeat
