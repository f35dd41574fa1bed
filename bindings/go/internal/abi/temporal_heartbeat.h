/* temporal-heartbeat: heartbeats of a Temporal Activity, from any process.
 *
 * THE MODEL
 * A worker of a Temporal SDK hands an Activity's work to a process that has no SDK, together with its task token. That
 * process tells the server that it is alive, and how far it is, by heartbeats; their details are the progress.
 * When it dies, the server notices after the heartbeat timeout and starts the next attempt. The worker launches the
 * next process with a new token, which reads the last details and goes on from there. The answer to a heartbeat tells
 * what the server asks: signals. The process that beats is the one that ends the activity:
 *
 *   thb_connect -> thb_get_details -> { work, thb_heartbeat } ... -> thb_complete | thb_fail | thb_report_cancelled
 *
 * Each of these calls is one request. Who records more often than the server need hear of, or works for long without a
 * word, opens the activity instead: beats then go out in the background, and thb_activity_heartbeat never waits.
 *
 *   thb_connect -> thb_activity_open -> { work, thb_activity_heartbeat } ... -> thb_activity_complete | ... -> _close
 *
 * The parent doesn't wait for its child: it returns activity.ErrResultPending (Go), calls
 * activity.raise_complete_async() (Python), or whatever its SDK has for an activity that is completed elsewhere.
 *
 * AN EXAMPLE: a thousand items, one heartbeat after each; a retry goes on after the last item that was recorded.
 *
 *     #include <stdio.h>
 *     #include <stdlib.h>
 *     #include "temporal_heartbeat.h"
 *
 *     static thb_status_t run(const char *token, size_t len, thb_error_t **error) {
 *         char json[16] = "-1"; // the last item that is done
 *         thb_details_t *details = NULL;
 *         thb_status_t status = thb_get_details(token, len, 10000, &details, error);
 *         if (status != THB_OK) return status;
 *         size_t size;
 *         const char *last = (const char *)thb_details_data(details, 0, &size);
 *         if (last) snprintf(json, sizeof json, "%.*s", (int)size, last);
 *         thb_details_free(details);
 *         for (int item = atoi(json) + 1; item < 1000; item++) {
 *             printf("working on item %d\n", item);
 *             int digits = snprintf(json, sizeof json, "%d", item);
 *             uint32_t signals = 0;
 *             status = thb_heartbeat(token, len, THB_ENCODING_JSON, json, (size_t)digits, 10000, &signals, NULL);
 *             if (status == THB_NOT_FOUND) return status; // over for us. On any other error: work on, and beat again
 *             if (signals & THB_SIGNAL_CANCEL_REQUESTED)
 *                 return thb_report_cancelled(token, len, THB_ENCODING_NONE, NULL, 0, 10000, error);
 *         }
 *         return thb_complete(token, len, THB_ENCODING_JSON, "1000", 4, 10000, error);
 *     }
 *
 *     int main(void) {
 *         thb_error_t *error = NULL;
 *         thb_text_t *token = NULL;
 *         thb_status_t status = thb_connect(NULL, 0, &error);
 *         if (status == THB_OK) status = thb_token_from_env(&token, &error);
 *         size_t len;
 *         const char *bytes = thb_text_data(token, &len);
 *         if (status == THB_OK) status = run(bytes, len, &error);
 *         if (status != THB_OK) fprintf(stderr, "%s: %s\n", thb_status_name(status), thb_error_message(error));
 *         thb_text_free(token);
 *         thb_error_free(error);
 *         return status != THB_OK;
 *     }
 *
 * THREADS. Any thread may call any function at any time, a thread of the caller's own event loop too. What isn't given
 * to others meanwhile is an object that is being changed (thb_details_add) or freed. There are no callbacks; a call may
 * work on the caller's own stack, of which it needs 64 KiB. The library has one thread from thb_connect to
 * thb_disconnect, with all signals blocked, and others while host names are looked up. Call nothing of this from a
 * signal handler. Cancelling a thread (pthread_cancel) takes effect after the call.
 *
 * BLOCKING. Functions with timeout_ms block for at most that long, retries included. thb_connect and
 * thb_token_from_env have limits of their own. All others return at once.
 *
 * TIMEOUTS. timeout_ms is in milliseconds. 0 never waits: arguments are checked, nothing is sent, THB_TIMEOUT (THB_OK
 * of what only looks, as thb_watch_next). THB_FOREVER waits without end; other values above INT32_MAX are
 * THB_INVALID_ARGUMENT. What is temporary is retried within the time; what isn't comes back at once. When time runs
 * out, the status is that of the last answer, or THB_TIMEOUT without one. Only thb_disconnect interrupts a call.
 *
 * OWNERSHIP. What you pass in is borrowed for the call alone. What comes out through T **x_out is yours: free it once,
 * with thb_x_free; NULL is fine there. A const pointer that a function returns belongs to the object that it was read
 * from. Bytes are a pointer and a length: (NULL, 0) is empty, (NULL, n) is THB_INVALID_ARGUMENT, and so is a length
 * over PTRDIFF_MAX. Every const char * that comes out ends with a NUL and is never NULL; it is valid UTF-8, but for
 * the bytes of a task token in a thb_text_t.
 *
 * ERRORS. Each function that can fail returns a status and has error_out last: NULL when you don't want the error, and
 * then none is made. Pointer outputs and *error_out are set to NULL on entry, then written on success (the error on
 * failure); scalars are written on success only. So "goto out; thb_details_free(d); thb_error_free(error);" is always
 * right; but free an error before its pointer goes into the next call. The status of the error is the one returned.
 * Nothing unwinds into your code, nothing exits, and nothing prints but what THB_LOG asks for. Any function that
 * returns a status may also return THB_INTERNAL, which is a mistake in the library or of who has closed its descriptors
 * (closefrom), and one that this page doesn't know: treat that as an error.
 *
 * COMMON STATUSES of the calls that take a task token: THB_INVALID_ARGUMENT, THB_NOT_CONNECTED (also when
 * thb_disconnect comes meanwhile), THB_TOKEN_UNREADABLE, THB_TIMEOUT, THB_UNAVAILABLE, THB_LOCAL_LIMIT, and as the
 * server answers THB_UNAUTHENTICATED, THB_PERMISSION_DENIED, THB_NAMESPACE_NOT_FOUND,
 * THB_NAMESPACE_NOT_ACTIVE, THB_RESOURCE_EXHAUSTED, THB_FAILED_PRECONDITION, THB_UNIMPLEMENTED, THB_SERVER_ERROR.
 * While a handle holds the token, all but thb_get_details return THB_ALREADY_OPEN.
 *
 * FORK. In a child the library connects anew by itself at the first call, with the options of its parent. Objects read
 * before the fork stay readable; the parent's handles are THB_FORKED there for ever, and its sockets are closed there.
 * Only one of the two may go on beating for a token, or they overwrite each other's progress.
 *
 * EXIT. A program may end at any time, also while other threads are in a call. At exit() and the return of main what
 * was recorded and not sent goes out, for which there are 2 s; not at _exit, abort, exec or a signal. Calls from static
 * destructors and atexit handlers work as any other. The library stays in the process after dlclose.
 *
 * JSON that goes in (options_json, failure_json) is one object in UTF-8, at most 1 MiB long and 16 levels deep. Unknown
 * and duplicate keys are errors that name their path, and never a value. null is the same as absent; integers may be
 * spelled in any way (30000, 3e4, 30000.0); (NULL, 0) is the same as {}.
 *
 * VERSIONS. Functions, statuses, bits and keys are added, never changed. Who opens the library at run time asks
 * thb_check_abi(THB_ABI_VERSION) first.
 */


#ifndef TEMPORAL_HEARTBEAT_H
#define TEMPORAL_HEARTBEAT_H

#include <stddef.h>
#include <stdint.h>

// The timeout_ms that never runs out.
#define THB_FOREVER UINT32_MAX

// The version of this header: major << 16 | minor. Within a major version things are only added.
#define THB_ABI_VERSION 1

// The statuses. "Retry" says whether the same call can succeed later; what is temporary was tried again within
// timeout_ms already. "Any call" is any that takes a task token.
//
//   status                    retry  from, meaning, what to do
//   THB_OK                           Done; acknowledged by the server where one was asked.
//   THB_INVALID_ARGUMENT      no     Any function. An argument is wrong; the message names it. Correct the caller.
//   THB_CONFIG                no     connect, token_from_env. An option, variable or file is wrong. Correct it.
//   THB_NOT_CONNECTED         no     connect, any call. There is no client, or it was disconnected meanwhile. Connect.
//   THB_ALREADY_CONNECTED     no     connect. There is a client. Use it, or disconnect first.
//   THB_UNAVAILABLE           yes    connect, any call. The server or the network is away, or a NOT_FOUND doesn't
//                                    prove that the attempt is over. Work on, and beat again.
//   THB_TIMEOUT               yes    connect, any call. timeout_ms ran out without any answer. Work on, and beat again.
//   THB_TLS                   no     connect, any call. No secure connection can be made. See the message.
//   THB_UNAUTHENTICATED       no     connect, any call. The server doesn't accept the credentials. Correct them.
//   THB_PERMISSION_DENIED     no     connect, any call. The credentials don't allow this. Have it allowed.
//   THB_NAMESPACE_NOT_FOUND   no     connect, any call. The server has no such namespace. Correct its name.
//   THB_NAMESPACE_NOT_ACTIVE  yes    connect, any call. Another cluster serves the namespace. Work on, beat again.
//   THB_NOT_FOUND             no     Any call. It is over for this token: ended, timed out, superseded. STOP THE WORK,
//                                    and end nothing.
//   THB_IN_DOUBT              no     complete, fail, report_cancelled. It may have been applied: an earlier try's
//                                    answer was lost. Take the activity as ended; don't undo the work.
//   THB_TOO_LARGE             no     heartbeat, complete, fail, report_cancelled. Over the server's limit (2 MiB
//                                    encoded, unless it tells another); nothing was sent. Keep large state elsewhere.
//   THB_RESOURCE_EXHAUSTED    maybe  connect, any call. A limit of the server, for good or not. Beat less often.
//   THB_LOCAL_LIMIT           yes    connect, any call. Out of threads or descriptors in this process. Raise the limit.
//   THB_TOKEN_UNREADABLE      no     Any call. Not a task token. Was its base64 decoded?
//   THB_FAILED_PRECONDITION   no     connect, any call. The server can't do this in the state that it is in.
//   THB_UNIMPLEMENTED         no     connect, any call. The server, or this version of the library, doesn't have it.
//   THB_SERVER_ERROR          maybe  connect, any call. The server failed, or its answer makes no sense. Beat again.
//   THB_INVALID_HANDLE        no     thb_activity functions. The handle was closed or never was one.
//   THB_FORKED                no     thb_activity functions. The handle is the parent process's. Open one here.
//   THB_ALREADY_OPEN          no     activity_open, any call. A handle holds this token. Use that, or close it first.
//   THB_ENDED                 no     thb_activity functions. The activity was ended through this handle. Close it.
//   THB_ABI_MISMATCH          no     check_abi. The library isn't one that you were compiled for. Install that.
//   THB_INTERNAL              no     Any function. A mistake in the library. Please report it.
typedef enum thb_status {
    THB_OK = 0,
    THB_INVALID_ARGUMENT = 1,
    THB_CONFIG = 2,
    THB_NOT_CONNECTED = 3,
    THB_ALREADY_CONNECTED = 4,
    THB_UNAVAILABLE = 5,
    THB_TIMEOUT = 6,
    THB_TLS = 7,
    THB_UNAUTHENTICATED = 8,
    THB_PERMISSION_DENIED = 9,
    THB_NAMESPACE_NOT_FOUND = 10,
    THB_NAMESPACE_NOT_ACTIVE = 11,
    THB_NOT_FOUND = 12,
    THB_IN_DOUBT = 13,
    THB_TOO_LARGE = 14,
    THB_RESOURCE_EXHAUSTED = 15,
    THB_LOCAL_LIMIT = 16,
    THB_TOKEN_UNREADABLE = 17,
    THB_FAILED_PRECONDITION = 18,
    THB_UNIMPLEMENTED = 19,
    THB_SERVER_ERROR = 20,
    THB_INVALID_HANDLE = 21,
    THB_FORKED = 22,
    THB_ALREADY_OPEN = 23,
    THB_ENDED = 24,
    THB_ABI_MISMATCH = 25,
    THB_INTERNAL = 26,
} thb_status;

// How the bytes of details and results are to be taken.
//
//   NONE      No value at all; takes no data. On a heartbeat it ERASES the details that the server holds. Normal for
//             thb_complete.
//   JSON      One JSON text in UTF-8: checked, then sent byte for byte ("json/plain").
//   BINARY    Bytes ("binary/plain").
//   NULL      The null value; takes no data ("binary/null").
//   PAYLOADS  A serialized temporal.api.common.v1.Payloads, sent as it is: several values, protobuf messages, encrypted
//             ones.
typedef enum thb_encoding {
    THB_ENCODING_NONE = 0,
    THB_ENCODING_JSON = 1,
    THB_ENCODING_BINARY = 2,
    THB_ENCODING_NULL = 3,
    THB_ENCODING_PAYLOADS = 4,
} thb_encoding;

// What the server asks of a running activity; a set of bits. Ignore those that you don't know.
//
//   CANCEL_REQUESTED  Somebody asked for cancellation. Clean up and call thb_report_cancelled; or finish, which wins.
//   PAUSED            The activity is paused. Stop working, go on beating: timeouts still run.
//   RESET             The activity was reset. End this attempt (thb_fail); another follows.
//
// Only from a handle, where CANCEL_REQUESTED and RESET stick:
//   GONE              The activity is over for this token; nothing is ever sent again. Stop the work.
//   LEASE_LOST        No beat was acknowledged for a whole heartbeat timeout. Another attempt may be running: stop, or
//                     make sure that nothing is done twice. Goes with the next acknowledged beat, or with GONE.
//   STALLED           No record or touch for stall_timeout_ms: the pulse has stopped. Goes with the next one.
//   REFUSED           The server refuses the beats for good; thb_activity_get_info says why. Correct it.
//   DEADLINE          attempt_remaining_ms has passed: a hint. A pulse asks the server; GONE follows if it is over.
//   UNSEEDED          It can't be learned what progress the server holds, so that no pulse goes out. Record something.
typedef enum thb_signal {
    THB_SIGNAL_CANCEL_REQUESTED = 1,
    THB_SIGNAL_PAUSED = 2,
    THB_SIGNAL_RESET = 4,
    THB_SIGNAL_GONE = 8,
    THB_SIGNAL_LEASE_LOST = 16,
    THB_SIGNAL_STALLED = 32,
    THB_SIGNAL_REFUSED = 64,
    THB_SIGNAL_DEADLINE = 128,
    THB_SIGNAL_UNSEEDED = 256,
} thb_signal;

// Zero or more values. Freed by thb_details_free. Any thread may read it while none adds to it.
typedef struct thb_details_t thb_details_t;

// Why a call failed. Freed by thb_error_free. Immutable: any thread may read it.
typedef struct thb_error_t thb_error_t;

// Bytes with a NUL behind them. Freed by thb_text_free. Immutable: any thread may read it.
typedef struct thb_text_t thb_text_t;

// What became of a call: one of enum thb_status, never below 0. Treat a value that you don't know as an error.
typedef int32_t thb_status_t;

// How bytes are to be taken: one of enum thb_encoding.
typedef int32_t thb_encoding_t;

// An activity that is held open: 0 < handle < 2^53, never used again after thb_activity_close. 0 is none.
typedef uint64_t thb_activity_t;

// One waiter for many activities: a handle as thb_activity_t. 0 is none.
typedef uint64_t thb_watch_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Connect this process to a Temporal server. There is one client per process.
//
// options_json is one JSON object; NULL with 0, or {}, takes everything from elsewhere. An option wins over its
// TEMPORAL_* variable, that over a profile of temporal.toml, that over the default. docs/options.md describes the keys:
//   address namespace api_key api_key_path tls{} grpc_meta{} authority identity config_file profile connect_timeout_ms
//   lazy proxy{} keepalive{} retry{} compression max_message_bytes require_encoded metrics_address
// An API key, or any option of tls, makes the connection secure; "tls": false makes it plain. Files with an API key or
// certificates are read again when they change.
//
// Thread-safe. Blocks for at most connect_timeout_ms, until the server has answered and has the namespace; what is
// temporary (nothing listens yet) is tried again within that time. Borrows its input for the call only. A failed
// connect leaves "not connected".
// Returns
//   THB_OK
//   THB_INVALID_ARGUMENT     options_json is NULL, but options_len isn't 0; or options_len is over PTRDIFF_MAX
//   THB_CONFIG               an option, a variable or a file is wrong: unknown, of the wrong type, missing, no PEM
//   THB_ALREADY_CONNECTED    there is a client, or another thread is connecting
//   THB_NOT_CONNECTED        thb_disconnect came meanwhile
//   THB_TLS                  no secure connection: unknown CA, wrong name, expired, a client certificate refused, ...
//   THB_UNAVAILABLE, THB_TIMEOUT, THB_UNAUTHENTICATED, THB_NAMESPACE_NOT_FOUND, THB_LOCAL_LIMIT, and whatever else the
//   server answers. With lazy these come from the first call instead, but for a THB_LOCAL_LIMIT of threads.
thb_status_t thb_connect(const char *options_json, size_t options_len, struct thb_error_t **error_out);

// Change credentials while connected: api_key, api_key_path, grpc_meta and tls, as for thb_connect. What is given
// replaces what there was (of tls and grpc_meta key by key); what isn't stays. Handles stay open and no beat is lost: a
// new connection, where one is needed, takes the place of the old one once it is there.
//
// Thread-safe. Never waits for the server; reads the files that options name. Borrows its input for the call only.
// Returns THB_OK, THB_INVALID_ARGUMENT as thb_connect, THB_NOT_CONNECTED; THB_CONFIG: as for thb_connect, or another
// option than these. On failure everything is as before.
thb_status_t thb_reconfigure(const char *options_json, size_t options_len, struct thb_error_t **error_out);

// Disconnect. First sends what was recorded last on each open activity, for at most timeout_ms; a timeout of 0 sends
// nothing. Then closes all handles. Calls that are blocked in other threads return THB_NOT_CONNECTED. The process
// always ends up not connected, and thb_connect may be called again. Errors, details and texts stay valid. Without a
// connection this does nothing.
//
// Thread-safe. Blocks for at most timeout_ms.
// Returns THB_OK; THB_INVALID_ARGUMENT: timeout_ms is out of range, and nothing was done.
thb_status_t thb_disconnect(uint32_t timeout_ms, struct thb_error_t **error_out);

// Record one heartbeat and wait for the server's answer. The details replace those that the server holds, and are what
// the next attempt gets; THB_ENCODING_NONE erases them.
//
// Calls of one activity are sent one after the other. A heartbeat that failed isn't repeated while a newer call of the
// same activity waits; it then returns the last error.
//
// Thread-safe. Blocks for at most timeout_ms. Borrows its inputs for the call only. On THB_OK *signals_out (may be
// NULL) is a set of THB_SIGNAL_*: what the server asks of the activity now.
// Returns
//   THB_OK
//   THB_NOT_FOUND            the activity is over for this token: stop the work
//   THB_INVALID_ARGUMENT     also: details that aren't what the encoding says; the token is of another namespace
//   THB_TOO_LARGE            the details are over the server's limit; nothing was sent
//   and the common statuses (see the top).
thb_status_t thb_heartbeat(const void *token,
                           size_t token_len,
                           thb_encoding_t encoding,
                           const void *details,
                           size_t details_len,
                           uint32_t timeout_ms,
                           uint32_t *signals_out,
                           struct thb_error_t **error_out);

// Read the heartbeat details that the server holds now: in a retry those of the attempt before, until this one records
// its own. None are no error: thb_details_count is 0. thb_details_attempt tells which attempt the server has now.
//
// Thread-safe. Blocks for at most timeout_ms. Borrows its inputs for the call only. On THB_OK *details_out is the
// caller's, to be freed by thb_details_free.
// Returns
//   THB_OK
//   THB_NOT_FOUND            the activity (not merely this attempt) is over. But a standalone activity's details stay
//                            readable after its end
//   THB_INVALID_ARGUMENT     also: details_out is NULL; the token is of another namespace
//   THB_UNIMPLEMENTED        the token is of a standalone activity, and the server doesn't have those
//   and the common statuses.
thb_status_t thb_get_details(const void *token,
                             size_t token_len,
                             uint32_t timeout_ms,
                             struct thb_details_t **details_out,
                             struct thb_error_t **error_out);

// End the activity with a result. THB_ENCODING_NONE: without one.
// A result is one value: several (THB_ENCODING_PAYLOADS) are THB_INVALID_ARGUMENT, for workflows can't take them.
//
// Thread-safe. Blocks for at most timeout_ms. Borrows its inputs for the call only. After THB_TIMEOUT, THB_UNAVAILABLE
// or THB_SERVER_ERROR it may be called again.
// Returns
//   THB_OK
//   THB_NOT_FOUND            the activity was over for this token already: somebody else ended it, or goes on with it
//   THB_IN_DOUBT             it is over, and an earlier try of ours, whose answer was lost, may have ended it
//   THB_INVALID_ARGUMENT     also: a result that isn't what the encoding says; the token is of another namespace
//   THB_TOO_LARGE            the result is over the server's limit; nothing was sent
//   and the common statuses.
thb_status_t thb_complete(const void *token,
                          size_t token_len,
                          thb_encoding_t encoding,
                          const void *result,
                          size_t result_len,
                          uint32_t timeout_ms,
                          struct thb_error_t **error_out);

// End this attempt with a failure. The server retries the activity as its retry policy says.
//
// failure_json is one JSON object; every key may be absent, and NULL with 0 is {}:
//   message              what happened
//   type                 a name that retry policies and workflows can match
//   non_retryable        true: the activity fails for good (false)
//   details              [values] for the workflow; or details_payloads: base64 of an encoded Payloads
//   next_retry_delay_ms  instead of the retry policy's delay
//   stack_trace, source  where it happened ("source": "temporal-heartbeat")
//   cause                {} of the same keys
//   heartbeat_details    [values] stored in the same step as the last progress, for the next attempt; or
//                        heartbeat_details_payloads: base64 of an encoded Payloads. Not of a cause
//
// For a standalone activity heartbeat_details are sent as a heartbeat first, one request more, because Server 1.31
// ignores those in the failure. If the heartbeat fails, nothing was ended.
//
// Thread-safe, blocks and borrows as thb_complete, and may be called again as that.
// Returns THB_OK; THB_NOT_FOUND, THB_IN_DOUBT and THB_TOO_LARGE as thb_complete (the failure and heartbeat_details have
// the limit each); THB_INVALID_ARGUMENT also for any mistake in failure_json; and the common statuses.
thb_status_t thb_fail(const void *token,
                      size_t token_len,
                      const char *failure_json,
                      size_t failure_len,
                      uint32_t timeout_ms,
                      struct thb_error_t **error_out);

// End the activity as cancelled, after THB_SIGNAL_CANCEL_REQUESTED. The details are the workflow's, not a heartbeat's.
//
// Thread-safe, blocks and borrows as thb_complete, and may be called again as that.
// Returns as thb_complete; THB_INVALID_ARGUMENT also when nobody asked for cancellation: the activity goes on then, and
// the token stays good.
thb_status_t thb_report_cancelled(const void *token,
                                  size_t token_len,
                                  thb_encoding_t encoding,
                                  const void *details,
                                  size_t details_len,
                                  uint32_t timeout_ms,
                                  struct thb_error_t **error_out);

// Hold an activity open: from now on beats go out for it in the background, whatever the caller does, and recording
// progress takes nanoseconds. One handle a token; one-call functions other than thb_get_details return
// THB_ALREADY_OPEN for that token.
//
// options_json is one JSON object; every key may be absent, and NULL with 0 is {}:
//   heartbeat_timeout_ms  of the activity, as its parent knows it (0: the server is asked, where it tells)
//   pulse                 false: beat only for what is recorded, not to keep the activity alive (true)
//   stall_timeout_ms      no record or touch for so long stops the pulse, so that hung work is retried (0: never)
//   cancel_poll_ms        beat at least so often, for the sake of the answers (0: as the timeout needs it)
//   initial_details       base64 of the encoded Payloads that the attempt began with, as its parent was told; "":
//                         there are none; absent: the server is asked before the first beat
//   age_ms                how long ago the attempt started, by one clock: the first lease counts from there (0)
//   attempt_remaining_ms  how long it may still take, a hint; then THB_SIGNAL_DEADLINE
//   workflow_id, run_id, activity_id, attempt   instead of the token (pass NULL, 0): docs/by-ids.md. A standalone
//                         activity has no workflow_id. Beside a token they are for asking what the server holds
//   require_encoded       true: refuse values that no codec has encoded, so that nothing is sent that all can read
//   verify                true: an ending that would be THB_IN_DOUBT is looked up first, and is THB_OK if it was ours
//   from_env              true: take what isn't given from TEMPORAL_ACTIVITY_...: docs/hand-off.md
//
// With heartbeat timeout T a beat is due this long after the last one was sent: T/2 up to T = 20 s, then T - 10 s, at
// most 0.8 T and 60 s (30 s when T is unknown). A server that answers late gets its beats earlier. A beat always
// carries the newest details. Until the library knows that the server holds none, it sends no beat without details. A
// failed beat is repeated after a pause that grows. A beat that got no answer in time is repeated at once, behind the
// first one on the same connection. A connection that answers nothing, not even a PING, is aborted, and the beat is
// sent on a new one. NOT_FOUND ends the beats (THB_SIGNAL_GONE).
//
// Thread-safe. Never waits for the server. Borrows its inputs for the call only. On THB_OK *activity_out is the
// caller's, to be closed by thb_activity_close; 0 < handle < 2^53.
// Returns THB_OK, THB_NOT_CONNECTED, THB_ALREADY_OPEN, THB_CONFIG (options, variables), THB_INVALID_ARGUMENT,
// THB_TOKEN_UNREADABLE (and no initial_details to go without asking), THB_LOCAL_LIMIT.
thb_status_t thb_activity_open(const void *token,
                               size_t token_len,
                               const char *options_json,
                               size_t options_len,
                               thb_activity_t *activity_out,
                               struct thb_error_t **error_out);

// Record progress. The details replace those recorded before; the newest go out with the next beat: at once for the
// first record, later ones when a beat is due. What is recorded last is always sent. THB_ENCODING_NONE is refused, for
// it would erase the progress.
//
// Thread-safe. Never waits for the network. Borrows its inputs for the call only. On THB_OK *signals_out (may be NULL)
// is the signals known by now; THB_SIGNAL_LEASE_LOST is told in time also by the first call after the process was
// frozen.
// Returns THB_OK, THB_NOT_FOUND (the activity is over: stop the work), THB_ENDED, THB_TOO_LARGE, THB_INVALID_ARGUMENT,
// THB_INVALID_HANDLE, THB_FORKED.
thb_status_t thb_activity_heartbeat(thb_activity_t activity,
                                    thb_encoding_t encoding,
                                    const void *details,
                                    size_t details_len,
                                    uint32_t *signals_out,
                                    struct thb_error_t **error_out);

// Tell progress without details: the stall timeout begins anew. Otherwise as thb_activity_heartbeat.
thb_status_t thb_activity_touch(thb_activity_t activity, uint32_t *signals_out, struct thb_error_t **error_out);

// Read the signals known by now. Works also after the activity has ended. Thread-safe. Never waits.
// Returns THB_OK, THB_INVALID_HANDLE, THB_FORKED.
thb_status_t thb_activity_get_signals(thb_activity_t activity, uint32_t *signals_out, struct thb_error_t **error_out);

// Wait until a signal of mask differs from known_signals, or timeout_ms is over; both are THB_OK, and *signals_out
// (may be NULL) is the signals then. A timeout of 0 polls.
//
// Thread-safe; any number of threads may wait. Blocks at most timeout_ms.
// Returns THB_OK, THB_INVALID_HANDLE (also when it is closed meanwhile), THB_FORKED, THB_NOT_CONNECTED (disconnected
// meanwhile), THB_INVALID_ARGUMENT.
thb_status_t thb_activity_wait(thb_activity_t activity,
                               uint32_t mask,
                               uint32_t known_signals,
                               uint32_t timeout_ms,
                               uint32_t *signals_out,
                               struct thb_error_t **error_out);

// Read the details that there were when the activity was opened: those of the attempt before. None are no error:
// thb_details_count is 0. They stay the same whatever is recorded. Without initial_details the server is asked, so
// call it before the first record.
//
// Thread-safe. Blocks at most timeout_ms; a timeout of 0 returns what is known already. On THB_OK *details_out is the
// caller's, to be freed by thb_details_free.
// Returns THB_OK, THB_TIMEOUT, THB_UNAVAILABLE, THB_NOT_FOUND, THB_ENDED, THB_FAILED_PRECONDITION (replaced by a
// record before anybody asked), THB_INVALID_HANDLE, THB_FORKED, THB_NOT_CONNECTED, THB_INVALID_ARGUMENT, and what the
// server answers.
thb_status_t thb_activity_get_details(thb_activity_t activity,
                                      uint32_t timeout_ms,
                                      struct thb_details_t **details_out,
                                      struct thb_error_t **error_out);

// Read how it stands, as a JSON object: state ("open", "ending", "ended", "gone"), attempt, addressed_by ("token",
// "derived_token", "ids"), signals, heartbeat_timeout_ms, lease_left_ms, since_acknowledged_ms, pending, next_beat_ms,
// records, beats (acknowledged), failed_tries, leases_regained, last_error {code, name, message}. Keys may be added.
//
// Thread-safe. Never waits. On THB_OK *info_out is the caller's, to be freed by thb_text_free.
// Returns THB_OK, THB_INVALID_HANDLE, THB_FORKED, THB_INVALID_ARGUMENT.
thb_status_t thb_activity_get_info(thb_activity_t activity,
                                   struct thb_text_t **info_out,
                                   struct thb_error_t **error_out);

// Send what was recorded without waiting for its time, and wait until the server has acknowledged it.
//
// Thread-safe. Blocks at most timeout_ms.
// Returns THB_OK, THB_NOT_FOUND, THB_ENDED, THB_TIMEOUT, THB_UNAVAILABLE, THB_INVALID_HANDLE, THB_FORKED,
// THB_NOT_CONNECTED, THB_INVALID_ARGUMENT, and what the server answers to the beat.
thb_status_t thb_activity_flush(thb_activity_t activity, uint32_t timeout_ms, struct thb_error_t **error_out);

// End the activity with a result; as thb_complete, and returns as that does, also THB_ENDED, THB_INVALID_HANDLE,
// THB_FORKED.
//
// Beats are suspended meanwhile. After THB_OK and THB_IN_DOUBT the handle is ended: it can be read and closed, all
// else is THB_ENDED. After THB_NOT_FOUND it is gone. After anything else the beats go on, and it may be called again.
thb_status_t thb_activity_complete(thb_activity_t activity,
                                   thb_encoding_t encoding,
                                   const void *result,
                                   size_t result_len,
                                   uint32_t timeout_ms,
                                   struct thb_error_t **error_out);

// End this attempt with a failure; failure_json as in thb_fail, without heartbeat_details: what was recorded and not
// acknowledged goes with it in the same request, so that the next attempt surely sees it. For a standalone activity,
// and by ids, a beat with it is sent first, because Servers 1.31 and 1.29 lose it there. Otherwise as
// thb_activity_complete.
thb_status_t thb_activity_fail(thb_activity_t activity,
                               const char *failure_json,
                               size_t failure_len,
                               uint32_t timeout_ms,
                               struct thb_error_t **error_out);

// End the activity as cancelled; as thb_report_cancelled. What was recorded is sent before, within the same
// timeout_ms. Otherwise as thb_activity_complete.
thb_status_t thb_activity_report_cancelled(thb_activity_t activity,
                                           thb_encoding_t encoding,
                                           const void *details,
                                           size_t details_len,
                                           uint32_t timeout_ms,
                                           struct thb_error_t **error_out);

// Close the handle. What was recorded last is sent first, for which there is timeout_ms (0: it is abandoned). Ends
// nothing on the server: an activity that wasn't ended times out there, and is retried. The handle is closed whatever
// this returns.
//
// Thread-safe; calls of other threads that are blocked on the handle return THB_INVALID_HANDLE. Blocks at most
// timeout_ms.
// Returns THB_OK; THB_INVALID_HANDLE, THB_FORKED, THB_INVALID_ARGUMENT; and when the last record couldn't be sent,
// why.
thb_status_t thb_activity_close(thb_activity_t activity, uint32_t timeout_ms, struct thb_error_t **error_out);

// Open a watch: one waiter for the signals of any number of activities, for event loops.
//
// Thread-safe. Never blocks. *watch_out is the caller's, to be closed by thb_watch_close; thb_disconnect closes it too.
// Returns THB_OK; THB_NOT_CONNECTED; THB_LOCAL_LIMIT: no descriptor, or too many watches; THB_INVALID_ARGUMENT:
// watch_out is NULL.
thb_status_t thb_watch_open(thb_watch_t *watch_out, struct thb_error_t **error_out);

// Have the watch tell of an activity whenever a signal of mask differs from what was told last (at first: nothing).
// user_data comes back with it. Adding it again changes both; closing the activity takes it out.
//
// Thread-safe. Never blocks. Returns THB_OK; THB_INVALID_HANDLE and THB_FORKED of either.
thb_status_t thb_watch_add(thb_watch_t watch,
                           thb_activity_t activity,
                           uint32_t mask,
                           uint64_t user_data,
                           struct thb_error_t **error_out);

// Wait for the next activity with news. THB_OK with *activity_out 0: timeout_ms is over; a timeout of 0 polls. Outputs
// may be NULL; the last two are written only with an activity.
//
// Thread-safe; of several who wait one gets it. Blocks for at most timeout_ms.
// Returns THB_OK; THB_INVALID_HANDLE, also when the watch is closed meanwhile; THB_NOT_CONNECTED: disconnected
// meanwhile; THB_FORKED; THB_INVALID_ARGUMENT: timeout_ms is out of range.
thb_status_t thb_watch_next(thb_watch_t watch,
                            uint32_t timeout_ms,
                            thb_activity_t *activity_out,
                            uint64_t *user_data_out,
                            uint32_t *signals_out,
                            struct thb_error_t **error_out);

// A new descriptor that is readable while thb_watch_next has something (or was closed). Poll it only, and close it
// yourself. It is CLOEXEC.
//
// Thread-safe. Never blocks. Returns THB_OK; THB_INVALID_HANDLE; THB_FORKED; THB_LOCAL_LIMIT: no descriptor;
// THB_INVALID_ARGUMENT: fd_out is NULL.
thb_status_t thb_watch_open_fd(thb_watch_t watch, int32_t *fd_out, struct thb_error_t **error_out);

// Close a watch; its activities stay open. Thread-safe. Never blocks. Returns THB_OK; THB_INVALID_HANDLE; THB_FORKED.
thb_status_t thb_watch_close(thb_watch_t watch, struct thb_error_t **error_out);

// Make empty details, to be filled by thb_details_add and passed on by thb_details_payloads.
//
// Thread-safe. Never blocks. *details_out is the caller's, to be freed by thb_details_free.
// Returns THB_OK; THB_INVALID_ARGUMENT: details_out is NULL.
thb_status_t thb_details_new(struct thb_details_t **details_out, struct thb_error_t **error_out);

// Add a value, or with THB_ENCODING_PAYLOADS each of several. Also to details that came from the server.
//
// One thread at a time for the same details. Never blocks. Copies the data, which may be the details' own. Pointers
// into the details that were handed out before are invalid after it.
// Returns THB_OK; THB_INVALID_ARGUMENT: details is NULL, encoding is THB_ENCODING_NONE or none at all, or the data
// isn't what it says; nothing was added.
thb_status_t thb_details_add(struct thb_details_t *details,
                             thb_encoding_t encoding,
                             const void *data,
                             size_t data_len,
                             struct thb_error_t **error_out);

// How many values there are. NULL: 0. Thread-safe, as all that only reads. Never blocks.
size_t thb_details_count(const struct thb_details_t *details);

// The bytes of one value, and their number in *len_out (may be NULL). Not NUL-terminated. An index that there isn't, or
// NULL details: NULL, 0. An empty value: not NULL, 0.
//
// Thread-safe. Never blocks. The pointer is the details' own, and lives until they are freed or added to.
const void *thb_details_data(const struct thb_details_t *details, size_t index, size_t *len_out);

// The name of one value's encoding: "json/plain", "binary/plain", "binary/null", "json/protobuf", ... "" when it has
// none, for an index that there isn't, and for NULL details.
//
// Thread-safe. Never blocks. The pointer is the details' own, and lives until they are freed or added to.
const char *thb_details_encoding(const struct thb_details_t *details, size_t index);

// All values as one serialized temporal.api.common.v1.Payloads, for THB_ENCODING_PAYLOADS; as it came, if it came from
// the server. Its length in *len_out (may be NULL). NULL details: NULL, 0.
//
// Thread-safe. Never blocks. The pointer is the details' own, and lives until they are freed or added to.
const void *thb_details_payloads(const struct thb_details_t *details, size_t *len_out);

// The attempt that the server has now, from 1; 0 when unknown, as in details of thb_details_new and for NULL. If it
// isn't the caller's own attempt, another has taken over. Thread-safe. Never blocks.
int32_t thb_details_attempt(const struct thb_details_t *details);

// When the last heartbeat was recorded, in milliseconds since 1970 by the server's clock; 0 when never, and for NULL.
// Thread-safe. Never blocks.
int64_t thb_details_recorded_at_unix_ms(const struct thb_details_t *details);

// The activity's heartbeat timeout, where the server tells it (0: it has none); else, and for NULL, -1.
// Thread-safe. Never blocks.
int64_t thb_details_heartbeat_timeout_ms(const struct thb_details_t *details);

// Frees details, and all that was read from them. NULL is fine. Must not be called twice for the same ones, nor while
// another thread uses them. Never blocks.
void thb_details_free(struct thb_details_t *details);

// The status that came with the error. NULL: THB_OK. Thread-safe, as all that only reads. Never blocks.
thb_status_t thb_error_code(const struct thb_error_t *error);

// The gRPC code that the server answered, e.g. 5 for NOT_FOUND; -1 when none did, and for NULL.
// Thread-safe. Never blocks.
int32_t thb_error_grpc_code(const struct thb_error_t *error);

// What happened and what to do, for people: valid UTF-8, never NULL, no secret in it. Its wording may change. NULL: "".
// Thread-safe. Never blocks. The pointer is the error's own, and lives as long as that.
const char *thb_error_message(const struct thb_error_t *error);

// 1 when the same call may succeed later, else 0. NULL: 0. Thread-safe. Never blocks.
int32_t thb_error_is_retryable(const struct thb_error_t *error);

// How many milliseconds to wait before that, where something is known of it; else, and for NULL, -1.
// Thread-safe. Never blocks.
int64_t thb_error_retry_after_ms(const struct thb_error_t *error);

// Frees an error, and its message. NULL is fine. Must not be called twice for the same one, nor while another thread
// uses it. Never blocks.
void thb_error_free(struct thb_error_t *error);

// Read the process's metrics in Prometheus's text form (docs/metrics.md lists them); before the first thb_connect there
// are names only. Thread-safe. Never waits. *metrics_out is the caller's, to be freed by thb_text_free.
// Returns THB_OK; THB_INVALID_ARGUMENT: metrics_out is NULL.
thb_status_t thb_get_metrics(struct thb_text_t **metrics_out, struct thb_error_t **error_out);

// Take the oldest log record, as a JSON object: time_unix_ms, level ("error", "warn", "info", "debug"), event, message,
// and more (docs/logs.md). The newest 1024 are kept. Waits for one; *record_out is NULL when timeout_ms is over. Needs
// no client. The variable THB_LOG=info, or another level, has lines written to stderr as well.
//
// Thread-safe. Blocks at most timeout_ms; 0 polls. *record_out is the caller's, to be freed by thb_text_free.
// Returns THB_OK; THB_INVALID_ARGUMENT.
thb_status_t thb_log_next(uint32_t timeout_ms, struct thb_text_t **record_out, struct thb_error_t **error_out);

// The library's version, e.g. "0.1.0". Static: never freed. Thread-safe. Never blocks.
const char *thb_version(void);

// The ABI that the library has, to be compared with the THB_ABI_VERSION that the caller was compiled with.
// Thread-safe. Never blocks.
uint32_t thb_abi_version(void);

// Whether the library serves a caller that was compiled with THB_ABI_VERSION == abi. Thread-safe. Never blocks.
// Returns THB_OK: the major version is the same, and the minor one not newer than the library's; THB_ABI_MISMATCH.
thb_status_t thb_check_abi(uint32_t abi);

// A status's name, e.g. "THB_NOT_FOUND"; "THB_UNKNOWN" for a number that is none.
// Static: never freed. Thread-safe. Never blocks.
const char *thb_status_name(thb_status_t status);

// The task token that this process was handed, decoded: from the variable TEMPORAL_ACTIVITY_TASK_TOKEN (standard
// base64), or the file that TEMPORAL_ACTIVITY_TASK_TOKEN_FILE names, or the inherited descriptor
// TEMPORAL_ACTIVITY_TASK_TOKEN_FD, which hold the same base64 text. Needs no client.
//
// Thread-safe as far as nobody changes the environment meanwhile. Blocks only for a pipe, whose writer has 10 s to
// write and close. The descriptor stays open. *token_out is the caller's, to be freed by thb_text_free; its bytes are
// no text.
// Returns THB_OK; THB_CONFIG: none of the variables is set, or more than one, or nothing readable is behind it;
// THB_INVALID_ARGUMENT: token_out is NULL.
thb_status_t thb_token_from_env(struct thb_text_t **token_out, struct thb_error_t **error_out);

// The bytes of a text, with a NUL behind them, and their number without it in *len_out (may be NULL). NULL text: "", 0.
// Thread-safe. Never blocks. The pointer is the text's own, and lives as long as that.
const char *thb_text_data(const struct thb_text_t *text, size_t *len_out);

// Frees a text, and its bytes. NULL is fine. Must not be called twice for the same one, nor while another thread uses
// it. Never blocks.
void thb_text_free(struct thb_text_t *text);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TEMPORAL_HEARTBEAT_H */
