/* temporal-heartbeat: heartbeats of a Temporal Activity, from any process.
 *
 * THE MODEL
 * A worker of a Temporal SDK (the parent) hands an Activity's work to a process without an SDK (the child). It passes
 * the task token, which identifies one attempt of the activity. The child sends heartbeats. They prove to the server
 * that the child is alive, and their details are its progress. If the server receives none for the activity's
 * heartbeat timeout, it starts the next attempt. The worker then launches a child with a new token, which reads the
 * last details and continues from there. The server's answer to a heartbeat carries signals, for example a
 * cancellation request. The process that sends heartbeats must also end the activity:
 *
 *   thb_connect -> thb_get_details -> { work, thb_heartbeat } ... -> thb_complete | thb_fail | thb_report_cancelled
 *
 * Each of these calls is one request. Send heartbeats more often than the heartbeat timeout. If you record often, or
 * compute for long without recording, open the activity instead: the library then sends the heartbeats in the
 * background, and thb_activity_heartbeat never waits. In this file a beat is one heartbeat request. A record is the
 * details that the program passes to the open activity. A touch (thb_activity_touch) reports progress without details.
 * The pulse is the beats that the library sends without a new record, to keep the attempt alive.
 *
 *   thb_connect -> thb_activity_open -> { work, thb_activity_heartbeat } ... -> thb_activity_complete | ... -> _close
 *
 * The parent doesn't wait for its child: it returns activity.ErrResultPending (Go), calls
 * activity.raise_complete_async() (Python), or does what its SDK offers for an activity that is completed elsewhere.
 *
 * AN EXAMPLE: a thousand items, one heartbeat after each. A retry continues after the last recorded item.
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
 *             printf("working on item %d\n", item); // the work
 *             int digits = snprintf(json, sizeof json, "%d", item);
 *             uint32_t signals = 0;
 *             status = thb_heartbeat(token, len, THB_ENCODING_JSON, json, (size_t)digits, 10000, &signals, NULL);
 *             if (status == THB_NOT_FOUND) return status; // over for this token. On other errors continue
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
 * THREADS. Any thread may call any function at any time, including a thread of the caller's own event loop. Don't use
 * an object while another thread modifies it (thb_details_add) or frees it. There are no callbacks. A call may run on
 * the caller's own stack and needs 64 KiB of it. The library has one thread from thb_connect to thb_disconnect, with
 * all signals blocked, and further threads during name resolution. No function may be called from a signal handler.
 * Cancelling a thread (pthread_cancel) takes effect after the call.
 *
 * BLOCKING. Functions with timeout_ms block for at most that long, retries included. thb_connect and
 * thb_token_from_env have limits of their own. All other functions return at once. To have many calls in flight
 * without a thread for each, submit them to a queue: see thb_queue_open.
 *
 * TIMEOUTS. timeout_ms is in milliseconds. 0 never waits: arguments are checked, nothing is sent, and the status is
 * THB_TIMEOUT, or THB_OK for functions that only poll, such as thb_watch_next. THB_FOREVER waits without end; other
 * values above INT32_MAX are THB_INVALID_ARGUMENT. Temporary failures are retried within the time; other failures
 * return at once. A call returns early if the pause before the next try would be longer than the time that is left. On
 * expiry the status is that of the last answer, or THB_TIMEOUT without one. A blocked call ends early only if another
 * thread calls thb_disconnect, or closes the handle of the call. thb_queue_cancel ends an asynchronous call.
 *
 * OWNERSHIP. Inputs are borrowed for the duration of the call. An object returned through T **x_out belongs to the
 * caller: free it once, with thb_x_free, which accepts NULL. A const pointer that a function returns belongs to the
 * object that it was read from. Bytes are a pointer and a length: (NULL, 0) is empty; (NULL, n) is
 * THB_INVALID_ARGUMENT, and so is a length over PTRDIFF_MAX. Every returned const char * ends with a NUL and is never
 * NULL. It is valid UTF-8, except for the bytes of a task token in a thb_text_t.
 *
 * ERRORS. Each function that can fail returns a status and has error_out as its last parameter. Pass NULL to get no
 * error object. Pointer outputs and *error_out are set to NULL on entry, and written on success (the error on
 * failure). Scalars are written on success only. So "goto out; thb_details_free(d); thb_error_free(error);" is always
 * right. But free an error before you pass its pointer to the next call. The error's status is the returned one. No
 * call unwinds into your code, ends the process, or prints, except the log lines that THB_LOG requests. Any function
 * that returns a status may also return THB_INTERNAL: a bug in the library, or the caller has closed the library's
 * descriptors (closefrom). It may also return a status that this header doesn't list: treat that as an error.
 *
 * COMMON STATUSES of the calls that take a task token: THB_INVALID_ARGUMENT, THB_NOT_CONNECTED (also when
 * thb_disconnect is called during the call), THB_TOKEN_UNREADABLE, THB_TIMEOUT, THB_UNAVAILABLE, THB_LOCAL_LIMIT,
 * THB_TLS, and from the server's answer THB_UNAUTHENTICATED, THB_PERMISSION_DENIED, THB_NAMESPACE_NOT_FOUND,
 * THB_NAMESPACE_NOT_ACTIVE, THB_RESOURCE_EXHAUSTED, THB_FAILED_PRECONDITION, THB_UNIMPLEMENTED, THB_SERVER_ERROR.
 * While a handle holds the token, all of these calls except thb_get_details return THB_ALREADY_OPEN.
 *
 * FORK. In a child process the first call connects again, with the parent's options. Objects read before the fork
 * stay readable. The parent's handles are permanently THB_FORKED in the child, and its sockets are closed there. Only
 * one of the two processes may send heartbeats for a token; otherwise they overwrite each other's progress.
 *
 * EXIT. A program may end at any time, even while other threads are in a call. exit() and the return of main send
 * records that weren't sent yet, for at most 2 s; _exit, abort, exec and a signal don't. Calls from static
 * destructors and atexit handlers work like any other. The library stays in the process after dlclose.
 *
 * JSON inputs (options_json, failure_json) are one object in UTF-8, at most 1 MiB long and 16 levels deep. Unknown
 * and duplicate keys are errors. The error names the key's path, never its value. null means that the key is absent.
 * Integers may have any JSON spelling (30000, 3e4, 30000.0). (NULL, 0) means {}.
 *
 * VERSIONS. Functions, statuses, bits and keys are added, never changed. If you load the library at run time, call
 * thb_check_abi(THB_ABI_VERSION) first.
 */


#ifndef TEMPORAL_HEARTBEAT_H
#define TEMPORAL_HEARTBEAT_H

#include <stddef.h>
#include <stdint.h>

// A timeout_ms without end.
#define THB_FOREVER UINT32_MAX

// The version of this header: major << 16 | minor. Within a major version things are only added.
#define THB_ABI_VERSION 1

// The statuses. "retry" says whether the same call may succeed later; temporary failures were already retried within
// timeout_ms. "Any call" means each function that takes a task token, or waits for the server with a handle.
//
//   status                    retry  from, meaning, what to do
//   THB_OK                           Success. If the call sent a request, the server has acknowledged it.
//   THB_INVALID_ARGUMENT      no     Any function. An argument is wrong; the message names it. Correct the caller.
//   THB_CONFIG                no     connect, reconfigure, activity_open, token_from_env, token_from_ids. An option,
//                                    variable or file is wrong. Correct it.
//   THB_NOT_CONNECTED         no     connect, any call. There is no client, or it was disconnected. Connect.
//   THB_ALREADY_CONNECTED     no     connect. There is a client. Use it, or disconnect first.
//   THB_UNAVAILABLE           yes    connect, any call. The server or the network is unavailable, or a NOT_FOUND
//                                    doesn't prove that the attempt is over. Continue the work, and beat again.
//   THB_TIMEOUT               yes    connect, any call. timeout_ms passed without any answer. Continue the work,
//                                    and beat again.
//   THB_TLS                   no     connect, any call. No secure connection is possible. See the message.
//   THB_UNAUTHENTICATED       no     connect, any call. The server rejected the credentials. Correct them.
//   THB_PERMISSION_DENIED     no     connect, any call. The credentials don't allow this call. Grant the permission.
//   THB_NAMESPACE_NOT_FOUND   no     connect, any call. The server has no such namespace. Correct its name.
//   THB_NAMESPACE_NOT_ACTIVE  yes    connect, any call. Another cluster serves the namespace. Continue, and beat again.
//   THB_NOT_FOUND             no     Any call. The activity is over for this token: ended, timed out, or superseded.
//                                    STOP THE WORK, and don't end the activity.
//   THB_IN_DOUBT              no     complete, fail, report_cancelled. The call may have been applied: the answer to an
//                                    earlier try was lost. Treat the activity as ended; don't undo the work.
//   THB_TOO_LARGE             no     heartbeat, complete, fail, report_cancelled. Over the server's limit (2 MiB
//                                    encoded, unless it reports another); nothing was sent. Keep large state elsewhere.
//   THB_RESOURCE_EXHAUSTED    maybe  connect, any call. A limit of the server, temporary or permanent. Beat less often.
//   THB_LOCAL_LIMIT           yes    connect, any call, open, submit. Too few threads or descriptors, too little
//                                    memory, or too many handles or asynchronous calls. Raise the limit.
//   THB_TOKEN_UNREADABLE      no     Any call. The bytes aren't a task token. Was the base64 text decoded?
//   THB_FAILED_PRECONDITION   no     connect, any call. The server can't do this in its current state. token_from_ids:
//                                    the attempt isn't started. activity_get_details: a record came first.
//   THB_UNIMPLEMENTED         no     connect, any call. The server, or this version of the library, doesn't support it.
//   THB_SERVER_ERROR          maybe  connect, any call. The server failed, or its answer is invalid. Beat again.
//   THB_INVALID_HANDLE        no     Functions with a handle. The handle is closed or was never valid.
//   THB_FORKED                no     Functions with a handle. It belongs to the parent process. Let the parent record.
//   THB_ALREADY_OPEN          no     activity_open, any call. A handle holds this token. Use it, or close it first.
//   THB_ENDED                 no     thb_activity functions. This handle has ended the activity. Close it.
//   THB_ABI_MISMATCH          no     check_abi. The library isn't compatible with the header. Install one that is.
//   THB_INTERNAL              no     Any function. A bug in the library. Please report it.
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

// The encodings of details and results.
//
//   NONE      No value; takes no data. On a heartbeat it ERASES the details that the server holds. The usual encoding
//             for thb_complete without a result.
//   JSON      One JSON text in UTF-8: checked, then sent byte for byte ("json/plain").
//   BINARY    Bytes ("binary/plain").
//   NULL      The null value; takes no data ("binary/null").
//   PAYLOADS  A serialized temporal.api.common.v1.Payloads: for several values, protobuf messages, or encrypted
//             values.
//
// These are the values as they are sent without a codec server. With one (codec_endpoint), the codec server encodes
// them first, but not those of PAYLOADS that a codec has already encoded.
typedef enum thb_encoding {
    THB_ENCODING_NONE = 0,
    THB_ENCODING_JSON = 1,
    THB_ENCODING_BINARY = 2,
    THB_ENCODING_NULL = 3,
    THB_ENCODING_PAYLOADS = 4,
} thb_encoding;

// The signals of an activity: the server's requests, and states that the library detects. A set of bits; ignore bits
// that you don't know.
//
//   CANCEL_REQUESTED  Cancellation was requested. Clean up and call thb_report_cancelled. Or finish the work: the
//                     server still accepts thb_complete.
//   PAUSED            The activity is paused. Stop working but continue the heartbeats: timeouts still run. An open
//                     activity continues them, and its stall timeout doesn't run. See thb_activity_wait.
//   RESET             The activity was reset. End this attempt (thb_fail); another follows.
//
// In a handle CANCEL_REQUESTED and RESET stay set. Only a handle has these signals:
//   GONE              The activity is over for this token; the library sends nothing more. Stop the work.
//   LEASE_LOST        No beat was acknowledged for a whole heartbeat timeout. Another attempt may be running: stop, or
//                     make sure that nothing is done twice. Cleared by the next acknowledged beat, or by GONE.
//   STALLED           No record or touch for stall_timeout_ms, so the pulse has stopped, or as stall_action says. The
//                     next record or touch clears the signal. If the library has failed the attempt, GONE is set too.
//   REFUSED           The server refuses the beats permanently. thb_activity_get_info has the reason; correct it.
//   DEADLINE          The time of the attempt has passed (attempt_remaining_ms, or the timeouts that the server
//                     describes). The library has asked the server, and no operator has moved the deadline. It is a
//                     hint: GONE follows if the attempt is over.
//   UNSEEDED          The previous attempt's details couldn't be read when the pulse was due. So the pulse is off, and
//                     the attempt may time out. Record something: the library then sends a beat.
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

// The results of asynchronous calls. Freed with thb_completions_free. Any thread may read it while no thread takes
// details from it.
typedef struct thb_completions_t thb_completions_t;

// Zero or more values. Freed with thb_details_free. Any thread may read it while no thread adds to it.
typedef struct thb_details_t thb_details_t;

// Why a call failed. Freed with thb_error_free. Immutable: any thread may read it.
typedef struct thb_error_t thb_error_t;

// A task of a worker. Freed with thb_task_free. Immutable: any thread may read it.
typedef struct thb_task_t thb_task_t;

// Bytes that end with a NUL. Freed with thb_text_free. Immutable: any thread may read it.
typedef struct thb_text_t thb_text_t;

// The outcome of a call: one of enum thb_status, never below 0. Treat a value that you don't know as an error.
typedef int32_t thb_status_t;

// The encoding of bytes that are passed in: one of enum thb_encoding.
typedef int32_t thb_encoding_t;

// The handle of an open activity: 0 < handle < 2^53. A number isn't used again after thb_activity_close. 0 is no
// handle.
typedef uint64_t thb_activity_t;

// The handle of a watch, which waits for many activities; as thb_activity_t. 0 is no handle.
typedef uint64_t thb_watch_t;

// The handle of a queue, which receives the completions of asynchronous calls; as thb_activity_t. 0 is no handle.
typedef uint64_t thb_queue_t;

// The handle of a worker, which takes tasks from a task queue; as thb_activity_t. 0 is no handle.
typedef uint64_t thb_worker_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Connects this process to a Temporal server. There is one client per process.
//
// options_json is one JSON object; (NULL, 0) is {}. Each option is taken from the first of these sources that has
// it: options_json, its TEMPORAL_* environment variable, a profile of temporal.toml, the default. The defaults of
// address and namespace are 127.0.0.1:7233 and "default". docs/options.md describes the keys:
//   address namespace api_key api_key_path tls{} grpc_meta{} authority identity config_file profile connect_timeout_ms
//   lazy proxy{} keepalive{} retry{} compression max_message_bytes require_encoded metrics_address
//   codec_endpoint codec_auth codec_headers{} codec_http_host codec_tls{} encode_common_attributes when_absent
// codec_endpoint is the URL of a codec server. It encodes all values that are sent, and decodes those that are read
// (docs/codecs.md). An API key, or any option of tls, makes the connection secure; "tls": false makes it plain. The
// library rereads files with an API key or certificates when they change.
//
// With "when_absent": "inactive", and no activity in the environment (see thb_activity_open), connect returns THB_OK at
// once: it dials nothing, and reads neither files nor other variables. Inactive handles and watches of them can be
// opened then. Functions that need the server return THB_NOT_CONNECTED.
//
// Thread-safe. Blocks at most connect_timeout_ms (10000), until the server has answered and has the namespace.
// Temporary failures, for example a refused connection, are retried within that time. Inputs are borrowed for the
// call. After a failure other than THB_ALREADY_CONNECTED the process is not connected.
// Returns
//   THB_OK
//   THB_INVALID_ARGUMENT     options_json is NULL, but options_len isn't 0; or options_len is over PTRDIFF_MAX
//   THB_CONFIG               an option, a variable or a file is wrong: unknown, of the wrong type, missing, not PEM
//   THB_ALREADY_CONNECTED    the process has a client, or another thread is connecting
//   THB_NOT_CONNECTED        thb_disconnect was called during the call
//   THB_TLS                  no secure connection: unknown CA, wrong name, expired, a client certificate refused, ...
//   THB_UNAVAILABLE, THB_TIMEOUT, THB_UNAUTHENTICATED, THB_NAMESPACE_NOT_FOUND, THB_LOCAL_LIMIT, and any other status
//   for a server answer. With lazy the first call returns these instead, except THB_LOCAL_LIMIT for lack of threads.
thb_status_t thb_connect(const char *options_json, size_t options_len, struct thb_error_t **error_out);

// Changes credentials while connected: api_key, api_key_path, grpc_meta and tls, as for thb_connect. Keys that are
// given replace the current values, in tls and grpc_meta key by key; the other keys keep theirs. Handles stay open
// and no beat is lost: when a new connection is needed, it replaces the old one once it is established.
//
// Thread-safe. Never waits for the server, but reads the files that the options name. Inputs are borrowed for the
// call.
// Returns THB_OK; THB_INVALID_ARGUMENT as thb_connect; THB_NOT_CONNECTED; THB_CONFIG: as for thb_connect, or an
// option that can't be changed. After a failure the old credentials stay in force. An inactive process only checks the
// options.
thb_status_t thb_reconfigure(const char *options_json, size_t options_len, struct thb_error_t **error_out);

// Disconnects. Sends the last record of each open activity, for at most timeout_ms; a timeout of 0 sends nothing.
// Then closes all handles. Calls that are blocked in other threads return THB_NOT_CONNECTED. The process always ends
// up not connected, and thb_connect may be called again. Errors, details and texts stay valid. Without a client this
// only closes inactive handles, and returns THB_OK.
//
// Thread-safe. Blocks at most timeout_ms.
// Returns THB_OK; THB_INVALID_ARGUMENT: timeout_ms is out of range, and nothing was done.
thb_status_t thb_disconnect(uint32_t timeout_ms, struct thb_error_t **error_out);

// Makes a task token for the attempt that runs, from the ids of a workflow's activity: {"workflow_id", "run_id",
// "activity_id", "attempt"}. Every function takes the token, and the server rejects it after that attempt.
//
// Without run_id the workflow's current run is used. With attempt, the attempt that runs must have that number. While
// the attempt hasn't started, the function waits. Servers 1.29 to 1.32 accept such tokens; docs/by-ids.md says how
// they are made.
//
// Thread-safe. Blocks at most timeout_ms. Inputs are borrowed for the call. The caller frees *token_out with
// thb_text_free; its bytes are not text.
// Returns
//   THB_OK
//   THB_NOT_FOUND            the activity is over, or another attempt has taken over
//   THB_FAILED_PRECONDITION  the attempt hasn't started in time
//   THB_CONFIG               options_json can't be read, or has no activity_id
//   THB_INVALID_ARGUMENT     token_out is NULL
//   THB_UNIMPLEMENTED        there is no such token, e.g. for a standalone activity. thb_activity_open takes its ids
//   and the common statuses.
thb_status_t thb_token_from_ids(const char *options_json,
                                size_t options_len,
                                uint32_t timeout_ms,
                                struct thb_text_t **token_out,
                                struct thb_error_t **error_out);

// Records one heartbeat and waits for the server's answer. The details replace the server's details, and the
// next attempt gets them. THB_ENCODING_NONE erases them.
//
// Calls for one activity are sent one at a time. When a newer call for the same activity waits, a heartbeat that got
// no answer in time, or failed twice, isn't retried but returns its last error.
//
// Between two calls nothing is noticed: a cancellation is a signal of the next call. To learn of it at once, open the
// activity with follow_server, and wait with thb_activity_wait or a watch.
//
// Thread-safe. Blocks at most timeout_ms. Inputs are borrowed for the call. On THB_OK *signals_out (may be NULL) is
// a set of THB_SIGNAL_*: the server's current requests.
// Returns
//   THB_OK
//   THB_NOT_FOUND            the activity is over for this token: stop the work
//   THB_INVALID_ARGUMENT     also: the details don't match the encoding; the token is from another namespace
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

// Reads the heartbeat details that the server holds now. In a retry these are the previous attempt's, until this
// attempt records its own. No details is not an error: thb_details_count is 0. thb_details_attempt returns which
// attempt the server has now.
//
// Thread-safe. Blocks at most timeout_ms. Inputs are borrowed for the call. The caller frees *details_out with
// thb_details_free.
// Returns
//   THB_OK
//   THB_NOT_FOUND            the activity is over, not only this attempt. The details of a standalone activity stay
//                            readable after its end
//   THB_INVALID_ARGUMENT     also: details_out is NULL; the token is from another namespace
//   THB_UNIMPLEMENTED        the token is of a standalone activity, and the server doesn't support those
//   and the common statuses.
thb_status_t thb_get_details(const void *token,
                             size_t token_len,
                             uint32_t timeout_ms,
                             struct thb_details_t **details_out,
                             struct thb_error_t **error_out);

// Completes the activity with a result; THB_ENCODING_NONE: without one. A result is one value. Several values
// (THB_ENCODING_PAYLOADS) are THB_INVALID_ARGUMENT, because workflows can't receive them.
//
// Thread-safe. Blocks at most timeout_ms. Inputs are borrowed for the call. After THB_TIMEOUT, THB_UNAVAILABLE or
// THB_SERVER_ERROR it may be called again.
// Returns
//   THB_OK
//   THB_NOT_FOUND            the activity was already over for this token: ended elsewhere, or in another attempt
//   THB_IN_DOUBT             it is over; an earlier try, without an answer, may have ended it
//   THB_INVALID_ARGUMENT     also: the result doesn't match the encoding; the token is from another namespace
//   THB_TOO_LARGE            the result is over the server's limit; nothing was sent
//   and the common statuses.
thb_status_t thb_complete(const void *token,
                          size_t token_len,
                          thb_encoding_t encoding,
                          const void *result,
                          size_t result_len,
                          uint32_t timeout_ms,
                          struct thb_error_t **error_out);

// Ends this attempt with a failure. The server then retries the activity as its retry policy says.
//
// failure_json is one JSON object; every key may be absent, and (NULL, 0) is {}:
//   message              what happened
//   type                 a name that retry policies and workflows can match
//   non_retryable        true: the activity isn't retried (false)
//   details              [values] for the workflow; or details_payloads: base64 of an encoded Payloads
//   next_retry_delay_ms  replaces the retry policy's delay
//   category             "benign": expected, so that workers and clients neither log nor count it as an error
//   stack_trace, source  where it happened ("source": "temporal-heartbeat")
//   encoded_attributes   the message and the stack trace as a codec has encoded them: base64 of an encoded Payload
//   cause                an object with the same keys
//   heartbeat_details    [values] that are stored with the failure as the last progress, for the next attempt; or
//                        heartbeat_details_payloads: base64 of an encoded Payloads. Not allowed in a cause
//
// For a standalone activity heartbeat_details are sent first, in a separate heartbeat, because Server 1.31
// ignores them in the failure. If that heartbeat fails, the attempt isn't ended.
//
// Thread-safe, blocks and borrows as thb_complete, and may be called again after the same statuses.
// Returns THB_OK; THB_NOT_FOUND, THB_IN_DOUBT and THB_TOO_LARGE as thb_complete (the limit applies to the failure
// and to heartbeat_details separately); THB_INVALID_ARGUMENT also for any mistake in failure_json; and the common
// statuses.
thb_status_t thb_fail(const void *token,
                      size_t token_len,
                      const char *failure_json,
                      size_t failure_len,
                      uint32_t timeout_ms,
                      struct thb_error_t **error_out);

// Ends the activity as cancelled, after THB_SIGNAL_CANCEL_REQUESTED. The details go to the workflow; they are not
// heartbeat details.
//
// Thread-safe, blocks and borrows as thb_complete, and may be called again after the same statuses.
// Returns as thb_complete. THB_INVALID_ARGUMENT also when cancellation wasn't requested: the activity then
// continues, and the token stays valid.
thb_status_t thb_report_cancelled(const void *token,
                                  size_t token_len,
                                  thb_encoding_t encoding,
                                  const void *details,
                                  size_t details_len,
                                  uint32_t timeout_ms,
                                  struct thb_error_t **error_out);

// Opens an activity. From then on the library sends its beats in the background, and recording progress takes
// nanoseconds. One token has at most one handle. For that token the one-call functions, except thb_get_details,
// return THB_ALREADY_OPEN. Without a token, pass (NULL, 0) and an option that replaces it: from_env or the ids.
//
// options_json is one JSON object; every key may be absent, and (NULL, 0) is {}. Defaults are in parentheses:
//   heartbeat_timeout_ms  the activity's heartbeat timeout (0: the library asks the server). An operator can change it.
//                         The library takes the timeouts in force from each description of the activity
//   pulse                 false: send beats only for records, not to keep the activity alive (true)
//   stall_timeout_ms      after this time without a record or touch the activity is stalled (0: never). Time in which
//                         the activity is paused doesn't count. Nor does time of more than a second in which the
//                         process is frozen, or the machine suspended
//   stall_action          what happens then. "stop": the pulse stops, so that the server times the attempt out. "warn":
//                         only the signal, the log and the metrics show it. "fail": the library ends the attempt
//                         with a retryable failure of the type Stalled, which carries the newest record, the time
//                         without progress, the status (thb_activity_set_status) and the stacks. Progress before
//                         that call prevents it ("stop"). With "warn" a watchdog thread of the program can wait for
//                         THB_SIGNAL_STALLED, and fail the attempt with the stack of the hung thread:
//                         bindings/c/examples/stalled.c and bindings/cpp/examples/stalled.cpp
//   stall_signal          in a stall, send this signal to the thread that opened the activity, or set the status last.
//                         Its handler writes the stacks to a pipe (none). The library installs no handler
//   stall_stack_fd        the read end of that pipe. The library reads for at most 2 s, until a NUL or until nothing
//                         follows for 0.3 s. A block that begins with "Current thread" is moved to the front, and
//                         32 KiB are kept. Make the write end non-blocking. Without stall_signal the program writes
//                         when it sees THB_SIGNAL_STALLED. Keep both ends open until the handle is closed (none)
//   stall_report          "brief": the failure has neither status nor stacks ("full"). In an encrypted namespace they
//                         are never readable. A codec server encodes them: with encode_common_attributes as
//                         usual, otherwise as the details of the failure. With require_encoded and without a codec
//                         server they are left out
//   cancel_poll_ms        send a beat at least this often, to receive signals sooner (0: the timeout decides)
//   follow_server         true: a long poll at the server shows a cancellation at once, not with the next beat (false)
//   initial_details       base64 of the encoded Payloads that the attempt started with; "": it has none; absent: the
//                         server is asked before the first beat
//   age_ms                time since the attempt started; the first lease counts from that start (0)
//   attempt_remaining_ms  time that the attempt has left, a hint; when it has passed, the library asks the server
//                         whether the timeouts were changed, and sets THB_SIGNAL_DEADLINE if they weren't
//   workflow_id, run_id, activity_id, attempt   identify the activity instead of a token:
//                         docs/by-ids.md. A standalone activity has no workflow_id. With a token they only serve
//                         to ask the server for the activity's timeout and details
//   require_encoded       true: refuse values that no codec has encoded, because they are readable (false)
//   verify                true: before an ending call returns THB_IN_DOUBT, check the outcome, and return THB_OK if
//                         this call ended the activity (false)
//   from_env              true: take the token and missing options from the variables TEMPORAL_ACTIVITY_..., which the
//                         parent sets (false): docs/hand-off.md
//   when_absent           "inactive": if from_env finds no activity, because none of the variables of the token and the
//                         ids is set, the handle is inactive. Has no effect without from_env or with a token ("error")
//
// With an inactive handle a program also runs by hand, without Temporal. The handle needs no thb_connect. Nothing is
// sent, the details are empty, and the signals stay 0. Its calls return THB_OK, also when they are repeated, after the
// usual checks of their arguments. Waits last until their timeouts. thb_activity_close and thb_disconnect make it
// invalid. A variable that is set but empty, or wrong, is THB_CONFIG as ever.
//
// The time from one beat to the next depends on the heartbeat timeout T: T/2 up to T = 20 s, T - 10 s above, but at
// most 0.8 T and 60 s. For example, it is 5 s for T = 10 s, 20 s for 30 s, 48 s for 60 s; 30 s if T is unknown or
// there is none. If the server answers slowly, beats are due earlier. A beat always carries the newest details. The
// library sends no beat without details until it knows that the server holds none. A failed beat is retried after a
// growing pause. A beat without an answer in time is retried at once, behind the first one on the same connection. If
// the connection doesn't even answer a PING of HTTP/2, the library aborts it and retries the beat on a new one.
// NOT_FOUND stops the beats (THB_SIGNAL_GONE).
//
// With follow_server a standalone activity also shows a pause, a reset and changed timeouts at once. The activity of a
// workflow shows a pause with the next beat, and changed timeouts within a minute, because the server pushes neither.
// One long poll serves all activities of a workflow's run in this process. It needs the permission to read the
// workflow. At most 100 are open at once. Where there is none, the log says why (event not_followed), and the signals
// arrive with the beats. docs/guide/follow.md has the costs.
//
// Thread-safe. Never waits for the server. Inputs are borrowed for the call. The caller closes *activity_out with
// thb_activity_close; 0 < handle < 2^53.
// Returns THB_OK, THB_NOT_CONNECTED, THB_ALREADY_OPEN, THB_CONFIG (options, variables), THB_INVALID_ARGUMENT,
// THB_TOKEN_UNREADABLE (the library can't read the activity's ids from the token, which it needs to read the
// progress: pass initial_details, the ids, or pulse false), THB_LOCAL_LIMIT.
thb_status_t thb_activity_open(const void *token,
                               size_t token_len,
                               const char *options_json,
                               size_t options_len,
                               thb_activity_t *activity_out,
                               struct thb_error_t **error_out);

// Records progress. The details replace those recorded before. The first record is sent at once; later ones with the
// next beat that is due. A newer record replaces one that isn't sent. thb_activity_flush, _fail, _report_cancelled and
// _close, thb_disconnect and exit() send the last record; thb_activity_complete doesn't. THB_ENCODING_NONE is refused,
// because it would erase the progress.
//
// Thread-safe. Never waits for the network. Inputs are borrowed for the call. On THB_OK *signals_out (may be NULL)
// is the current set of signals. THB_SIGNAL_LEASE_LOST is exact: the first call after the process was frozen reports
// it.
// Returns THB_OK, THB_NOT_FOUND (the activity is over: stop the work), THB_ENDED, THB_TOO_LARGE,
// THB_INVALID_ARGUMENT, THB_INVALID_HANDLE, THB_FORKED.
thb_status_t thb_activity_heartbeat(thb_activity_t activity,
                                    thb_encoding_t encoding,
                                    const void *details,
                                    size_t details_len,
                                    uint32_t *signals_out,
                                    struct thb_error_t **error_out);

// Reports progress without details, which restarts the stall timeout. Otherwise as thb_activity_heartbeat.
thb_status_t thb_activity_touch(thb_activity_t activity, uint32_t *signals_out, struct thb_error_t **error_out);

// Sets what the work is doing now, as UTF-8 of at most 4 KiB, for example "loading shard 7". It replaces the previous
// text; (NULL, 0) removes it. thb_activity_get_info shows it, and so does the failure of a stall (stall_action). It is
// no progress: it doesn't restart the stall timeout. Don't put secrets into it.
//
// Thread-safe. Never waits. The text is borrowed for the call. Allowed after the end of the activity.
// Returns THB_OK, THB_TOO_LARGE, THB_INVALID_ARGUMENT (no UTF-8), THB_INVALID_HANDLE, THB_FORKED.
thb_status_t thb_activity_set_status(thb_activity_t activity,
                                     const char *text,
                                     size_t text_len,
                                     struct thb_error_t **error_out);

// Returns the current signals, also after the activity has ended. Thread-safe. Never waits.
// Returns THB_OK, THB_INVALID_HANDLE, THB_FORKED.
thb_status_t thb_activity_get_signals(thb_activity_t activity, uint32_t *signals_out, struct thb_error_t **error_out);

// Waits until a signal of mask differs from known_signals, or timeout_ms has passed. Both are THB_OK; *signals_out
// (may be NULL) is then the current set of signals. A timeout of 0 polls.
//
// To wait while the activity is paused, pass THB_SIGNAL_PAUSED as known_signals, and as mask that signal and those
// after which the work stops: CANCEL_REQUESTED, RESET, GONE, LEASE_LOST. It returns at once if it isn't paused.
//
// Thread-safe; any number of threads may wait. Blocks at most timeout_ms.
// Returns THB_OK, THB_INVALID_HANDLE (also when it is closed during the call), THB_FORKED, THB_NOT_CONNECTED
// (disconnected during the call), THB_INVALID_ARGUMENT.
thb_status_t thb_activity_wait(thb_activity_t activity,
                               uint32_t mask,
                               uint32_t known_signals,
                               uint32_t timeout_ms,
                               uint32_t *signals_out,
                               struct thb_error_t **error_out);

// Returns the details that the server held when the activity was opened: those of the previous attempt. No details
// is not an error: thb_details_count is 0. Records don't change them. Without initial_details the server is asked,
// so call this before the first record.
//
// Thread-safe. Blocks at most timeout_ms; a timeout of 0 returns what is already known. The caller frees
// *details_out with thb_details_free.
// Returns THB_OK, THB_TIMEOUT, THB_UNAVAILABLE, THB_NOT_FOUND, THB_ENDED, THB_FAILED_PRECONDITION (a record replaced
// them before the first call), THB_INVALID_HANDLE, THB_FORKED, THB_NOT_CONNECTED, THB_INVALID_ARGUMENT, and the
// status of the server's answer.
thb_status_t thb_activity_get_details(thb_activity_t activity,
                                      uint32_t timeout_ms,
                                      struct thb_details_t **details_out,
                                      struct thb_error_t **error_out);

// Returns a report on the activity, a JSON object. Values that aren't known are null. Later versions may add keys:
//   state                  "open", "ending", "ended", "gone" or "inactive"
//   attempt                its number; 0 if unknown
//   addressed_by           how requests name the activity: "token", "derived_token" or "ids" (docs/by-ids.md)
//   signals                the set of THB_SIGNAL_*, as a number
//   heartbeat_timeout_ms   0 if unknown, or there is none
//   start_to_close_timeout_ms, schedule_to_close_timeout_ms   0 if there is none
//   timeouts_from          "server": all three are those in force when the server described the activity; "options":
//                          the server hasn't described it
//   following              true: a long poll follows the activity (follow_server)
//   cancel_reason, cancel_identity   the reason of the cancellation, and the client that requested it, if the server
//                          shows them. For the activity of a workflow: those of the workflow's cancellation, which only
//                          follow_server reads
//   pause_reason, pause_identity     the same for the pause of a workflow's activity
//   lease_left_ms          the time until THB_SIGNAL_LEASE_LOST
//   since_acknowledged_ms  the time since the server acknowledged a beat
//   pending                true: the newest record isn't acknowledged
//   unencoded_ms           how long the newest record has waited for the codec server, if it does
//   next_beat_ms           the time until the next beat
//   records, beats         how many were recorded, and how many beats were acknowledged
//   failed_tries           how many tries of beats failed
//   leases_regained        how often a beat was acknowledged after THB_SIGNAL_LEASE_LOST
//   last_error             of the codec server while a record waits for it, otherwise of a beat: {code, name, message}
//   status                 what thb_activity_set_status has set
//   since_progress_ms      the time since the last record or touch, without the time that doesn't count for a stall
//
// Thread-safe. Never waits. The caller frees *info_out with thb_text_free.
// Returns THB_OK, THB_INVALID_HANDLE, THB_FORKED, THB_INVALID_ARGUMENT.
thb_status_t thb_activity_get_info(thb_activity_t activity,
                                   struct thb_text_t **info_out,
                                   struct thb_error_t **error_out);

// Sends the newest record at once, and waits until the server has acknowledged it. After a touch it sends a beat too,
// unless one was acknowledged since the touch.
//
// Thread-safe. Blocks at most timeout_ms.
// Returns THB_OK, THB_NOT_FOUND, THB_ENDED, THB_TIMEOUT, THB_UNAVAILABLE, THB_INVALID_HANDLE, THB_FORKED,
// THB_NOT_CONNECTED, THB_INVALID_ARGUMENT, and the status of the server's answer to the beat.
thb_status_t thb_activity_flush(thb_activity_t activity, uint32_t timeout_ms, struct thb_error_t **error_out);

// Completes the activity with a result, as thb_complete. A record that isn't sent yet is dropped: no attempt follows
// that could read it. Returns the same statuses, and also THB_ENDED, THB_INVALID_HANDLE, THB_FORKED.
//
// Beats are suspended during the call. After THB_OK and THB_IN_DOUBT the handle is ended: it can be read and closed,
// and all other calls return THB_ENDED. After THB_NOT_FOUND the activity is over. After any other status the beats
// resume, and the call may be repeated. If a beat has since found that the activity is over, the repeated call returns
// THB_IN_DOUBT.
thb_status_t thb_activity_complete(thb_activity_t activity,
                                   thb_encoding_t encoding,
                                   const void *result,
                                   size_t result_len,
                                   uint32_t timeout_ms,
                                   struct thb_error_t **error_out);

// Ends this attempt with a failure; failure_json is as in thb_fail, but without heartbeat_details. Instead the same
// request carries the newest record, if it isn't acknowledged, so that the next attempt gets it. For a standalone
// activity, and by ids, the record is sent first in a separate beat, because Servers 1.31 and 1.29 lose it in the
// failure. Otherwise as thb_activity_complete.
thb_status_t thb_activity_fail(thb_activity_t activity,
                               const char *failure_json,
                               size_t failure_len,
                               uint32_t timeout_ms,
                               struct thb_error_t **error_out);

// Ends the activity as cancelled, as thb_report_cancelled. Sends the newest record first, within the same
// timeout_ms. Otherwise as thb_activity_complete.
thb_status_t thb_activity_report_cancelled(thb_activity_t activity,
                                           thb_encoding_t encoding,
                                           const void *details,
                                           size_t details_len,
                                           uint32_t timeout_ms,
                                           struct thb_error_t **error_out);

// Closes the handle. Sends the newest record first, for at most timeout_ms (0: drops it). Ends nothing on the
// server: an activity that wasn't ended times out there and is retried. The handle is closed even if the record
// couldn't be sent.
//
// Thread-safe; calls of other threads that wait with the handle return THB_INVALID_HANDLE. Blocks at most timeout_ms.
// Returns THB_OK; THB_INVALID_HANDLE, THB_FORKED; THB_INVALID_ARGUMENT: timeout_ms is out of range, and nothing was
// done; and, if the last record couldn't be sent or was dropped, the status of that failure, for example THB_TIMEOUT.
// THB_ENDED: the record was made after the library had failed the stalled attempt (stall_action).
thb_status_t thb_activity_close(thb_activity_t activity, uint32_t timeout_ms, struct thb_error_t **error_out);

// Opens a watch: one waiter for the signals of any number of activities, for event loops.
//
// Thread-safe. Never blocks. The caller closes *watch_out with thb_watch_close; thb_disconnect closes it too.
// Returns THB_OK; THB_NOT_CONNECTED: there is no client, and no inactive handle is open; THB_LOCAL_LIMIT: no
// descriptor, or too many watches; THB_INVALID_ARGUMENT: watch_out is NULL.
thb_status_t thb_watch_open(thb_watch_t *watch_out, struct thb_error_t **error_out);

// Adds an activity to the watch. thb_watch_next then returns the activity whenever a signal of mask differs from
// what it returned last (initially: no signal), together with user_data. To change mask and user_data, add the
// activity again. Closing the activity removes it.
//
// Thread-safe. Never blocks. Returns THB_OK; THB_INVALID_HANDLE and THB_FORKED for either handle.
thb_status_t thb_watch_add(thb_watch_t watch,
                           thb_activity_t activity,
                           uint32_t mask,
                           uint64_t user_data,
                           struct thb_error_t **error_out);

// Waits for the next activity with changed signals. THB_OK with *activity_out 0 means that timeout_ms has
// passed; a timeout of 0 polls. Outputs may be NULL. user_data_out and signals_out are written only with an
// activity.
//
// Thread-safe; each change is returned to one of the waiting threads. Blocks at most timeout_ms.
// Returns THB_OK; THB_INVALID_HANDLE, also when the watch is closed during the call; THB_NOT_CONNECTED: disconnected
// during the call; THB_FORKED; THB_INVALID_ARGUMENT: timeout_ms is out of range.
thb_status_t thb_watch_next(thb_watch_t watch,
                            uint32_t timeout_ms,
                            thb_activity_t *activity_out,
                            uint64_t *user_data_out,
                            uint32_t *signals_out,
                            struct thb_error_t **error_out);

// Opens a new descriptor that is readable while thb_watch_next has something to return, or when the watch was
// closed. Only poll it. The caller closes it with close(). It is CLOEXEC.
//
// Thread-safe. Never blocks.
// Returns THB_OK; THB_INVALID_HANDLE; THB_FORKED; THB_LOCAL_LIMIT: no descriptor; THB_INVALID_ARGUMENT: fd_out is
// NULL.
thb_status_t thb_watch_open_fd(thb_watch_t watch, int32_t *fd_out, struct thb_error_t **error_out);

// Closes a watch; its activities stay open. Thread-safe. Never blocks.
// Returns THB_OK; THB_INVALID_HANDLE; THB_FORKED.
thb_status_t thb_watch_close(thb_watch_t watch, struct thb_error_t **error_out);

// Opens a queue for asynchronous calls: thb_queue_submit_... begins a call, and thb_queue_next takes the results of
// many calls. One thread can have thousands of calls in flight.
//
// thb_queue_submit_X takes the queue, a user_data, and then the arguments of thb_X without its outputs. It never waits
// for the server, and copies its inputs. The completion has the user_data, any number, by which the caller finds out
// which call has ended. timeout_ms counts from the submission.
// - What thb_X refuses without asking the server is returned at once (wrong arguments and handles, THB_NOT_CONNECTED,
//   THB_ALREADY_OPEN, THB_TOO_LARGE, THB_ENDED, a timeout_ms of 0). Then no completion follows.
// - Otherwise the submission returns THB_OK, and exactly one completion follows, with the status that thb_X would
//   return. Another thread may take it before the submission returns. The completions have the order in which the
//   calls end.
// - The calls of one task token run in the order of their submission, one at a time; so do the calls of one handle.
//   Calls of different tokens have no order.
// - At most 65536 calls with 64 MiB of inputs may be outstanding in the process; the next submission returns
//   THB_LOCAL_LIMIT. A call is outstanding until its completion is taken; after the queue was closed, until it ends.
// - thb_disconnect first completes the calls that haven't ended, with THB_NOT_CONNECTED. exit() waits until they have
//   ended and the records are sent, for at most 2 s. A forked child has neither the parent's queues (THB_FORKED) nor
//   its calls.
//
// thb_queue_open needs no client, and thb_disconnect doesn't close the queue.
//
// Thread-safe. Never blocks. The caller closes *queue_out with thb_queue_close.
// Returns THB_OK; THB_LOCAL_LIMIT: no descriptor, or too many queues; THB_INVALID_ARGUMENT: queue_out is NULL.
thb_status_t thb_queue_open(thb_queue_t *queue_out, struct thb_error_t **error_out);

// Closes a queue. Threads that wait in thb_queue_next return THB_INVALID_HANDLE. Calls that haven't ended continue,
// and their results are dropped. To end them at once, cancel them before.
//
// Thread-safe. Never blocks. Returns THB_OK; THB_INVALID_HANDLE; THB_FORKED.
thb_status_t thb_queue_close(thb_queue_t queue, struct thb_error_t **error_out);

// Opens a new descriptor that is readable while completions are ready, or when the queue was closed. Only poll it. The
// caller closes it with close(). It is CLOEXEC. With EPOLLET, call thb_queue_next until it returns no completions. If
// several threads poll, another one may have taken them.
//
// Thread-safe. Never blocks.
// Returns THB_OK; THB_INVALID_HANDLE; THB_FORKED; THB_LOCAL_LIMIT: no descriptor; THB_INVALID_ARGUMENT: fd_out is
// NULL.
thb_status_t thb_queue_open_fd(thb_queue_t queue, int32_t *fd_out, struct thb_error_t **error_out);

// Submits thb_connect. Thread-safe. Never blocks. Returns as thb_queue_open says.
thb_status_t thb_queue_submit_connect(thb_queue_t queue,
                                      uint64_t user_data,
                                      const char *options_json,
                                      size_t options_len,
                                      struct thb_error_t **error_out);

// Submits thb_disconnect. Its completion follows those of the calls that it ends.
// Thread-safe. Never blocks. Returns as thb_queue_open says.
thb_status_t thb_queue_submit_disconnect(thb_queue_t queue,
                                         uint64_t user_data,
                                         uint32_t timeout_ms,
                                         struct thb_error_t **error_out);

// Submits thb_heartbeat. The completion has the signals. Thread-safe. Never blocks. Returns as thb_queue_open says.
thb_status_t thb_queue_submit_heartbeat(thb_queue_t queue,
                                        uint64_t user_data,
                                        const void *token,
                                        size_t token_len,
                                        thb_encoding_t encoding,
                                        const void *details,
                                        size_t details_len,
                                        uint32_t timeout_ms,
                                        struct thb_error_t **error_out);

// Submits thb_get_details. The completion has the details. Thread-safe. Never blocks. Returns as thb_queue_open says.
thb_status_t thb_queue_submit_get_details(thb_queue_t queue,
                                          uint64_t user_data,
                                          const void *token,
                                          size_t token_len,
                                          uint32_t timeout_ms,
                                          struct thb_error_t **error_out);

// Submits thb_complete. Thread-safe. Never blocks. Returns as thb_queue_open says.
thb_status_t thb_queue_submit_complete(thb_queue_t queue,
                                       uint64_t user_data,
                                       const void *token,
                                       size_t token_len,
                                       thb_encoding_t encoding,
                                       const void *result,
                                       size_t result_len,
                                       uint32_t timeout_ms,
                                       struct thb_error_t **error_out);

// Submits thb_fail. Thread-safe. Never blocks. Returns as thb_queue_open says.
thb_status_t thb_queue_submit_fail(thb_queue_t queue,
                                   uint64_t user_data,
                                   const void *token,
                                   size_t token_len,
                                   const char *failure_json,
                                   size_t failure_len,
                                   uint32_t timeout_ms,
                                   struct thb_error_t **error_out);

// Submits thb_report_cancelled. Thread-safe. Never blocks. Returns as thb_queue_open says.
thb_status_t thb_queue_submit_report_cancelled(thb_queue_t queue,
                                               uint64_t user_data,
                                               const void *token,
                                               size_t token_len,
                                               thb_encoding_t encoding,
                                               const void *details,
                                               size_t details_len,
                                               uint32_t timeout_ms,
                                               struct thb_error_t **error_out);

// Submits thb_activity_get_details. The completion has the details.
// Thread-safe. Never blocks. Returns as thb_queue_open says.
thb_status_t thb_queue_submit_activity_get_details(thb_queue_t queue,
                                                   uint64_t user_data,
                                                   thb_activity_t activity,
                                                   uint32_t timeout_ms,
                                                   struct thb_error_t **error_out);

// Submits thb_activity_flush. Thread-safe. Never blocks. Returns as thb_queue_open says.
thb_status_t thb_queue_submit_activity_flush(thb_queue_t queue,
                                             uint64_t user_data,
                                             thb_activity_t activity,
                                             uint32_t timeout_ms,
                                             struct thb_error_t **error_out);

// Submits thb_activity_complete. Thread-safe. Never blocks. Returns as thb_queue_open says.
thb_status_t thb_queue_submit_activity_complete(thb_queue_t queue,
                                                uint64_t user_data,
                                                thb_activity_t activity,
                                                thb_encoding_t encoding,
                                                const void *result,
                                                size_t result_len,
                                                uint32_t timeout_ms,
                                                struct thb_error_t **error_out);

// Submits thb_activity_fail. Thread-safe. Never blocks. Returns as thb_queue_open says.
thb_status_t thb_queue_submit_activity_fail(thb_queue_t queue,
                                            uint64_t user_data,
                                            thb_activity_t activity,
                                            const char *failure_json,
                                            size_t failure_len,
                                            uint32_t timeout_ms,
                                            struct thb_error_t **error_out);

// Submits thb_activity_report_cancelled. Thread-safe. Never blocks. Returns as thb_queue_open says.
thb_status_t thb_queue_submit_activity_report_cancelled(thb_queue_t queue,
                                                        uint64_t user_data,
                                                        thb_activity_t activity,
                                                        thb_encoding_t encoding,
                                                        const void *details,
                                                        size_t details_len,
                                                        uint32_t timeout_ms,
                                                        struct thb_error_t **error_out);

// Submits thb_activity_close. The handle is invalid at once; the completion says whether the newest record was sent.
// Until then the token can't be opened again.
// Thread-safe. Never blocks. Returns as thb_queue_open says.
thb_status_t thb_queue_submit_activity_close(thb_queue_t queue,
                                             uint64_t user_data,
                                             thb_activity_t activity,
                                             uint32_t timeout_ms,
                                             struct thb_error_t **error_out);

// Cancels all calls of the queue with this user_data: they end as if timeout_ms had passed. Their completions follow.
// An ending call may have been applied: after THB_TIMEOUT it can be repeated, as always.
//
// Thread-safe. Never blocks. Returns THB_OK, also when no such call is in progress; THB_INVALID_HANDLE; THB_FORKED.
thb_status_t thb_queue_cancel(thb_queue_t queue, uint64_t user_data, struct thb_error_t **error_out);

// Takes all completions that are ready, at most max. Waits up to timeout_ms for the first. THB_OK with
// *completions_out NULL means that timeout_ms has passed; a timeout of 0 polls.
//
// Thread-safe; each completion goes to one of the waiting threads. Blocks at most timeout_ms. The caller frees
// *completions_out with thb_completions_free.
// Returns THB_OK; THB_INVALID_HANDLE, also when the queue is closed during the call; THB_FORKED;
// THB_INVALID_ARGUMENT: max is 0, completions_out is NULL, or timeout_ms is out of range.
thb_status_t thb_queue_next(thb_queue_t queue,
                            size_t max,
                            uint32_t timeout_ms,
                            struct thb_completions_t **completions_out,
                            struct thb_error_t **error_out);

// Returns the number of completions; 0 for NULL. Thread-safe: it only reads. Never blocks.
size_t thb_completions_count(const struct thb_completions_t *completions);

// Returns the user_data of all completions, an array of thb_completions_count entries; NULL for NULL. Thread-safe.
// Never blocks. The array belongs to the completions: it is valid until thb_completions_free.
const uint64_t *thb_completions_user_data(const struct thb_completions_t *completions);

// Returns the statuses of all completions, as thb_completions_user_data.
const thb_status_t *thb_completions_statuses(const struct thb_completions_t *completions);

// Returns the signals of all completions, as thb_completions_user_data; 0 where the call wasn't thb_heartbeat.
const uint32_t *thb_completions_signals(const struct thb_completions_t *completions);

// Returns the error of one completion; NULL if its status is THB_OK, for NULL, or when there is no such index.
// Thread-safe. Never blocks. The error belongs to the completions: don't free it.
const struct thb_error_t *thb_completions_error(const struct thb_completions_t *completions, size_t index);

// Returns the details that one completion has; NULL if the call read none, for NULL, when there is no such index, or
// after thb_completions_take_details. Thread-safe while no thread takes them. Never blocks. The details belong to the
// completions: don't free them.
const struct thb_details_t *thb_completions_details(const struct thb_completions_t *completions, size_t index);

// Like thb_completions_details, but the details belong to the caller, who frees them with thb_details_free. NULL the
// second time. Not thread-safe: no other thread may use the completions during the call. Never blocks.
struct thb_details_t *thb_completions_take_details(struct thb_completions_t *completions, size_t index);

// Frees completions and all pointers into them. NULL is fine. Must not be called twice for the same completions, nor
// while another thread uses them. Never blocks. Completions stay valid after thb_queue_close, thb_disconnect and fork.
void thb_completions_free(struct thb_completions_t *completions);

// Opens a worker: it takes tasks from a task queue, without an SDK. A task is one attempt of an activity. The library
// opens its activity and beats for it from the moment it arrives, so the program only does the work:
//
//   thb_worker_open -> { thb_worker_next -> work, thb_activity_heartbeat -> thb_activity_complete | _fail | ...
//     -> thb_activity_close -> thb_task_free } ... -> thb_worker_shutdown -> the remaining tasks -> thb_worker_close
//
// options_json is one JSON object. Defaults are in parentheses:
//   task_queue         the task queue to take tasks from (required)
//   activity_types     [..] the types that this program runs; a task of another type fails as retryable ([]: all)
//   max_concurrent     the slots: the most tasks at once (100). A slot is free again when the task is freed and its
//                      activity is ended or closed. Each poll takes a slot first
//   max_per_second     the most tasks in a second, of this worker (no limit)
//   max_tasks          the worker shuts down after this number of tasks (no limit)
//   deployment_name, build_id   the worker deployment to take tasks for (tasks without a version)
//   activity           {..} options of thb_activity_open for each task, except what the task contains: ids, timeouts,
//                      details. {"pulse": false} if another process holds the token and beats
//
// The number of polls at once adapts, from 1 to 20. A task that isn't taken within 10 s, or half its heartbeat timeout
// if that is less, fails as retryable. A process can have several workers, for several task queues.
//
// Thread-safe. Never waits for the server. The caller closes *worker_out with thb_worker_close; thb_disconnect closes
// it too. exit() doesn't wait for polls, so call thb_worker_shutdown first.
// Returns THB_OK, THB_NOT_CONNECTED, THB_CONFIG, THB_LOCAL_LIMIT, THB_INVALID_ARGUMENT.
thb_status_t thb_worker_open(const char *options_json,
                             size_t options_len,
                             thb_worker_t *worker_out,
                             struct thb_error_t **error_out);

// Waits for the next task. THB_OK with *task_out NULL means that timeout_ms has passed. An error of polling that a
// retry doesn't help (permissions, the namespace) is returned once, and polling continues. Temporary errors are logged.
//
// Thread-safe; each task is returned to one thread. Blocks at most timeout_ms. The caller frees *task_out with
// thb_task_free, and closes its activity.
// Returns THB_OK; THB_ENDED: the worker was shut down, and all its tasks were taken; THB_INVALID_HANDLE, also when it
// is closed during the call; THB_NOT_CONNECTED; THB_FORKED; THB_INVALID_ARGUMENT; and the status of a poll.
thb_status_t thb_worker_next(thb_worker_t worker,
                             uint32_t timeout_ms,
                             struct thb_task_t **task_out,
                             struct thb_error_t **error_out);

// Opens a descriptor for thb_worker_next, as thb_watch_open_fd does. It is also readable when the worker was shut down
// and all its tasks were taken.
thb_status_t thb_worker_open_fd(thb_worker_t worker, int32_t *fd_out, struct thb_error_t **error_out);

// Stops polling, and waits until no poll is outstanding. thb_worker_next then returns the tasks that have arrived, and
// THB_ENDED after them. Polls end soon if the server supports that, when no task has arrived for 2 s; otherwise within
// 20 s. Aborting them could lose a task, so on THB_TIMEOUT (polls are still outstanding) call it again. A timeout of 0
// only stops polling.
//
// Thread-safe. Blocks at most timeout_ms.
// Returns THB_OK, THB_TIMEOUT, THB_INVALID_HANDLE, THB_FORKED, THB_NOT_CONNECTED, THB_INVALID_ARGUMENT.
thb_status_t thb_worker_shutdown(thb_worker_t worker, uint32_t timeout_ms, struct thb_error_t **error_out);

// Submits thb_worker_shutdown. Thread-safe. Never blocks. Returns as thb_queue_open says.
thb_status_t thb_queue_submit_worker_shutdown(thb_queue_t queue,
                                              uint64_t user_data,
                                              thb_worker_t worker,
                                              uint32_t timeout_ms,
                                              struct thb_error_t **error_out);

// Closes a worker. Tasks that weren't taken fail as retryable, also those that arrive later. Tasks that were taken, and
// their activities, stay as they are. On THB_TIMEOUT polls or failures are still outstanding, and continue.
//
// Thread-safe. Blocks at most timeout_ms.
// Returns THB_OK, THB_TIMEOUT, THB_INVALID_HANDLE, THB_FORKED, THB_NOT_CONNECTED, THB_INVALID_ARGUMENT.
thb_status_t thb_worker_close(thb_worker_t worker, uint32_t timeout_ms, struct thb_error_t **error_out);

// Returns the handle of the task's activity, which is open; 0 for NULL. The caller closes it with thb_activity_close.
//
// Thread-safe. Never blocks. What the following functions return belongs to the task, and is valid until
// thb_task_free. For NULL they return NULL and a length of 0, or "".
thb_activity_t thb_task_activity(const struct thb_task_t *task);

// Returns the task token, for example to hand the task to another process. Thread-safe. Never blocks.
const void *thb_task_token(const struct thb_task_t *task, size_t *len_out);

// Returns the type of the activity, which says what to do. Thread-safe. Never blocks.
const char *thb_task_activity_type(const struct thb_task_t *task);

// Returns facts about the task, a JSON object: task_queue, activity_type, activity_id, workflow_type, workflow_id (both
// "" for a standalone activity), run_id, attempt, heartbeat_timeout_ms, start_to_close_timeout_ms,
// schedule_to_close_timeout_ms (0: none), scheduled_at_unix_ms, attempt_scheduled_at_unix_ms, started_at_unix_ms,
// header_keys [..]. Later versions may add keys. Thread-safe. Never blocks.
const char *thb_task_info(const struct thb_task_t *task);

// Returns the arguments of the activity, decoded if there is a codec server. Thread-safe. Never blocks.
const struct thb_details_t *thb_task_input(const struct thb_task_t *task);

// Returns the previous attempt's heartbeat details, from which the work continues. Thread-safe. Never blocks.
const struct thb_details_t *thb_task_details(const struct thb_task_t *task);

// Frees a task. Its activity stays open. NULL is fine. Must not be called twice for the same task, nor while another
// thread uses it. Never blocks.
void thb_task_free(struct thb_task_t *task);

// Creates empty details. Add values with thb_details_add, and pass them on with thb_details_payloads.
//
// Thread-safe. Never blocks. The caller frees *details_out with thb_details_free.
// Returns THB_OK; THB_INVALID_ARGUMENT: details_out is NULL.
thb_status_t thb_details_new(struct thb_details_t **details_out, struct thb_error_t **error_out);

// Appends a value; with THB_ENCODING_PAYLOADS, each of its values. Works for details from the server too.
//
// Not thread-safe: no other thread may use the same details during the call. Never blocks. Copies the data, which
// may lie within the same details. Invalidates all pointers into the details that were returned before.
// Returns THB_OK; THB_INVALID_ARGUMENT: details is NULL, encoding is THB_ENCODING_NONE or unknown, or the data
// doesn't match the encoding; nothing was added.
thb_status_t thb_details_add(struct thb_details_t *details,
                             thb_encoding_t encoding,
                             const void *data,
                             size_t data_len,
                             struct thb_error_t **error_out);

// Returns the number of values; 0 for NULL. Thread-safe: it only reads. Never blocks.
size_t thb_details_count(const struct thb_details_t *details);

// Returns the bytes of one value, without a NUL at the end, and their number in *len_out (may be NULL). Returns NULL
// and 0 for NULL, or when there is no such index. For an empty value, the pointer isn't NULL and the length is 0.
//
// Thread-safe. Never blocks. The pointer belongs to the details and is valid until thb_details_add or
// thb_details_free.
const void *thb_details_data(const struct thb_details_t *details, size_t index, size_t *len_out);

// Returns the encoding of one value: "json/plain", "binary/plain", "binary/null", "json/protobuf", ... Returns ""
// for a value without one, for NULL, or when there is no such index.
//
// Thread-safe. Never blocks. The pointer belongs to the details and is valid until thb_details_add or
// thb_details_free.
const char *thb_details_encoding(const struct thb_details_t *details, size_t index);

// Returns all values as one serialized temporal.api.common.v1.Payloads, for THB_ENCODING_PAYLOADS, and its length in
// *len_out (may be NULL). Details from the server are returned unchanged, as a codec has encoded them. Returns NULL and
// 0 for NULL.
//
// Thread-safe. Never blocks. The pointer belongs to the details and is valid until thb_details_add or
// thb_details_free.
const void *thb_details_payloads(const struct thb_details_t *details, size_t *len_out);

// Returns the same with the values that the codec server has decoded; without one, the same as thb_details_payloads.
//
// Thread-safe. Never blocks. The pointer belongs to the details and is valid until thb_details_add or
// thb_details_free.
const void *thb_details_decoded_payloads(const struct thb_details_t *details, size_t *len_out);

// Returns the number, from 1, of the attempt that the server has now; 0 when unknown, for details of
// thb_details_new, and for NULL. If it isn't the caller's own attempt, another attempt has taken over. Thread-safe.
// Never blocks.
int32_t thb_details_attempt(const struct thb_details_t *details);

// Returns when the server recorded the last heartbeat, in milliseconds since 1970 by the server's clock; 0 when it
// has recorded none, and for NULL. Thread-safe. Never blocks.
int64_t thb_details_recorded_at_unix_ms(const struct thb_details_t *details);

// Returns the activity's heartbeat timeout in milliseconds, 0 if it has none; -1 if the server doesn't report it,
// and for NULL. Thread-safe. Never blocks.
int64_t thb_details_heartbeat_timeout_ms(const struct thb_details_t *details);

// Frees details and all pointers into them. NULL is fine. Must not be called twice for the same details, nor while
// another thread uses them. Never blocks.
void thb_details_free(struct thb_details_t *details);

// Returns the error's status; THB_OK for NULL. Thread-safe: it only reads. Never blocks.
thb_status_t thb_error_code(const struct thb_error_t *error);

// Returns the gRPC code of the server's answer, for example 5 for NOT_FOUND; -1 without an answer, and for NULL.
// Thread-safe. Never blocks.
int32_t thb_error_grpc_code(const struct thb_error_t *error);

// Returns a message for people: what happened and what to do. It is valid UTF-8 and contains no secret; "" for NULL.
// The wording may change between versions. Thread-safe. Never blocks. The pointer belongs to the error and is valid
// until thb_error_free.
const char *thb_error_message(const struct thb_error_t *error);

// Returns 1 when the same call may succeed later, else 0; 0 for NULL. Thread-safe. Never blocks.
int32_t thb_error_is_retryable(const struct thb_error_t *error);

// Returns how many milliseconds to wait before that retry; -1 when unknown, and for NULL. Thread-safe. Never blocks.
int64_t thb_error_retry_after_ms(const struct thb_error_t *error);

// Frees an error and its message. NULL is fine. Must not be called twice for the same error, nor while another thread
// uses it. Never blocks.
void thb_error_free(struct thb_error_t *error);

// Returns the process's metrics in the Prometheus text format; docs/metrics.md lists them. Before the first
// thb_connect the text has metric names but no values.
//
// Thread-safe. Never blocks. The caller frees *metrics_out with thb_text_free.
// Returns THB_OK; THB_INVALID_ARGUMENT: metrics_out is NULL.
thb_status_t thb_get_metrics(struct thb_text_t **metrics_out, struct thb_error_t **error_out);

// Removes and returns the oldest log record, a JSON object: time_unix_ms, level ("error", "warn", "info", "debug"),
// event, message, and keys of the event (docs/logs.md). The library keeps the newest 1024 records. Waits for a
// record; *record_out is NULL when timeout_ms passes without one. Needs no client. To also write records to stderr,
// set the environment variable THB_LOG to a level, for example THB_LOG=info.
//
// Thread-safe. Blocks at most timeout_ms; 0 polls. The caller frees *record_out with thb_text_free.
// Returns THB_OK; THB_INVALID_ARGUMENT: record_out is NULL, or timeout_ms is out of range.
thb_status_t thb_log_next(uint32_t timeout_ms, struct thb_text_t **record_out, struct thb_error_t **error_out);

// Returns the library's version, for example "0.1.0". Static: never freed. Thread-safe. Never blocks.
const char *thb_version(void);

// Returns the library's ABI version; compare it with the THB_ABI_VERSION that the caller was compiled with.
// Thread-safe. Never blocks.
uint32_t thb_abi_version(void);

// Checks whether the library supports a caller that was compiled with THB_ABI_VERSION == abi. Thread-safe. Never
// blocks.
// Returns THB_OK: the major version is the same, and abi's minor version isn't newer than the library's;
// THB_ABI_MISMATCH.
thb_status_t thb_check_abi(uint32_t abi);

// Returns the name of a status, for example "THB_NOT_FOUND"; "THB_UNKNOWN" for any other number. Static: never
// freed. Thread-safe. Never blocks.
const char *thb_status_name(thb_status_t status);

// Returns the decoded task token that the parent process handed over. It reads standard base64 text from one of: the
// variable TEMPORAL_ACTIVITY_TASK_TOKEN, the file that TEMPORAL_ACTIVITY_TASK_TOKEN_FILE names, or the inherited
// descriptor TEMPORAL_ACTIVITY_TASK_TOKEN_FD. Needs no client.
//
// Thread-safe while no other thread changes the environment. Blocks only for a pipe: its writer has 10 s to write
// and close. The descriptor stays open. The caller frees *token_out with thb_text_free; its bytes are not text.
// Returns THB_OK; THB_CONFIG: no variable is set, several variables are set, or the token can't be read;
// THB_INVALID_ARGUMENT: token_out is NULL.
thb_status_t thb_token_from_env(struct thb_text_t **token_out, struct thb_error_t **error_out);

// Returns the bytes of a text, which end with a NUL, and their number without the NUL in *len_out (may be NULL).
// Returns "" and 0 for NULL. Thread-safe. Never blocks. The pointer belongs to the text and is valid until
// thb_text_free.
const char *thb_text_data(const struct thb_text_t *text, size_t *len_out);

// Frees a text and its bytes. NULL is fine. Must not be called twice for the same text, nor while another thread
// uses it. Never blocks.
void thb_text_free(struct thb_text_t *text);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TEMPORAL_HEARTBEAT_H */
