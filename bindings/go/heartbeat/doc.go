// Package heartbeat heartbeats a Temporal Activity from a process that isn't its worker.
//
// A worker hands an activity over by passing its task token to another process and returning without a result (in the Go SDK:
// activity.ErrResultPending). That process reports its progress to the server, learns of a cancellation, resumes where the previous
// attempt was killed, and completes the activity. With this package a Go program can do that without an SDK and without a worker.
//
// # Open activities
//
// Most programs open the activity. The library then heartbeats in the background with the details recorded last. A record takes well
// under a microsecond and never waits. A context is cancelled when the work should stop:
//
//	if err := heartbeat.Connect(ctx, heartbeat.Options{}); err != nil { // TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE
//		return err
//	}
//	defer heartbeat.Disconnect(ctx)
//	act, err := heartbeat.OpenFromEnv(ctx, heartbeat.OpenOptions{}) // what the parent process handed over
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
//		process(items[next]) // may take any time
//		if _, err := act.RecordHeartbeat(next); err != nil {
//			return err
//		}
//		if _, err := act.WaitWhilePaused(ctx); err != nil { // returns at once if the activity isn't paused
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
// The heartbeats keep the attempt alive even if the program records nothing. StallTimeout in [OpenOptions] lets the server retry work that
// hangs. The first heartbeats have the details of the previous attempt, so they never delete them.
//
// The time between two heartbeats depends on the heartbeat timeout T. It is max(T/2, T - 10 s), but at most 0.8 T and at most 60 s: 5 s for
// T = 10 s, 20 s for 30 s, 48 s for 60 s. A record replaces an earlier record that isn't sent yet, and is sent with the next heartbeat.
// Flush, Complete, Fail, ReportCancelled and Close send the newest record first.
//
// # One request per call
//
// Programs that decide about each request themselves, or that start and exit often, use the functions that take the task token. Each
// sends one request and waits for the server's answer.
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
//			return nil // the activity is over for this attempt: stop
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
// # The parent process
//
// The parent uses package temporal-heartbeat.dev/go/handoff, which makes the environment of the process that does the work.
//
// # Heartbeats
//
// If the server receives no heartbeat for the heartbeat timeout of the activity, it fails the attempt and starts the next one. It keeps
// the details of the last heartbeat through all attempts. So the details of each heartbeat must contain all data that a retry needs to
// resume. A heartbeat without details deletes them; only [ClearHeartbeat] sends one.
//
// Each answer to a heartbeat has [Signals]. They are the only way to learn of a cancellation or a pause. During a pause continue the
// heartbeats. An open activity has more signals, and can wait for them. With FollowServer in [OpenOptions] a long poll at the server reports
// that there is news, so that they are set at once. Then the cause of its Context usually has the reason of a cancellation ([StopError]).
//
// Only one process should heartbeat an activity. Two processes would overwrite each other's details.
//
// # Contexts and timeouts
//
// Each call waits for the server's answer. It retries temporary errors until the deadline of its context, or for [DefaultTimeout] if
// there is no deadline. A context that has ended before the call is an error, and nothing is sent. When the context ends during the
// call, the call returns at once with context.Canceled or context.DeadlineExceeded. The request isn't retried any more, but the server
// may have received it.
//
// If the call was retried until the deadline, errors.Is matches its error with the error of the last try and with
// context.DeadlineExceeded. It also matches an [ErrTimeout] with context.DeadlineExceeded.
//
// # Errors
//
// Each error of the server and of the library is an *[Error] for errors.As. Its Code is a [Status], and errors.Is compares it with the
// error of that name. What to do:
//
//	ErrNotFound            the activity is over for this token: stop the work
//	ErrInDoubt             the call may have taken effect: don't undo the work
//	ErrTimeout             call again; the server may have received the request
//	ErrUnavailable         call again
//	ErrResourceExhausted   call again, less often
//	ErrNamespaceNotActive  call again
//	ErrServerError         call again if Retryable is set
//	ErrTooLarge            keep details small: store the data elsewhere, and a reference to it in the details
//	ErrInvalidArgument     correct the call
//	ErrConfig              correct the options, the environment or a file
//	ErrAlreadyOpen         an Activity with this token is open: call its methods, or close it first
//	others                 see Message
//
// The causes of an activity's Context, such as [ErrCancelRequested], aren't an *Error.
//
// Other errors are *[LibraryError], *[ConversionError] (wrapped by an *Error when writing), [ErrNoDetails], and the errors of contexts.
//
// # Values
//
// Details and results are converted like in the default data converter of Temporal's Go SDK, so that workers and this package can read
// each other's values. In this order:
//
//	Payload               not converted
//	nil, a nil pointer    binary/null
//	exactly []byte        binary/plain
//	a protobuf message    json/protobuf
//	any other             json/plain, by encoding/json
//
// [Details.Get] reads these, and binary/protobuf. There are three differences from the SDK. Messages of the old Go protobuf APIs
// (gogo/protobuf) are refused. The caller owns the bytes that it reads. A heartbeat with a single nil records nil. In the SDK such a
// heartbeat records nothing, which deletes the details on the server.
//
// The PayloadCodec of [Options] encodes and decodes all values, for a namespace whose data are encrypted. Its DataConverter replaces all
// of these rules. An activity can have another codec or converter ([OpenOptions]), and so can a single call ([WithPayloadCodec],
// [WithDataConverter]). Both can depend on the activity: see [SerializationContext].
//
// A worker with an external storage stores large values there, and the server has a reference. Reading one into anything but a *[Payload] is
// an error, unless the codec or the converter retrieves the value. A Payload with a reference is sent unchanged.
//
// # Metrics and logs
//
// [Metrics] returns metrics in Prometheus's text format, and [ForwardLogs] passes log records to log/slog. With THB_LOG=info in the
// environment the library writes the records to stderr. Neither contains a task token, details, results, or credentials.
//
// # Goroutines and threads
//
// Any goroutine may call any function. A call that waits for the server blocks its goroutine, and no OS thread: all calls share one thread
// that waits for their answers. So a goroutine for each call is cheap, also for thousands of them. The library accepts 65,536 calls with
// 64 MiB of tokens and values at a time; a further call waits until one of them ends. The calls of one token, or of one Activity, run one
// after another. Only [TokenFromIDs] and [Disconnect] block a thread. Waiting for signals (a Context, Wait) blocks no thread, however many
// activities are open.
//
// # The native library
//
// This package needs cgo, but no flags. A released module contains the library for Linux on amd64 and arm64, which is linked into the
// program. If the system's C library is musl, as on Alpine, build with the tag musl.
//
// If TEMPORAL_HEARTBEAT_LIBRARY is set, the first call opens the library at this path instead. A program that was built from a clone of
// the repository has no linked library. It searches next to the executable, and then where the system's loader searches, for
// libtemporal_heartbeat.so.0 and libtemporal_heartbeat.so. A *[LibraryError] lists the paths that were tried and their errors.
//
// The build tag temporal_heartbeat_static links an installed library, which pkg-config finds (temporal_heartbeat-static). The variable is
// then ignored.
package heartbeat
