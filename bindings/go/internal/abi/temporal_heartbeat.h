/* temporal-heartbeat: heartbeats of a Temporal Activity, from any process.
 *
 * THE MODEL
 * A worker of a Temporal SDK hands an Activity's work to a process without an SDK, together with the activity's task token. That
 * process tells the server that it is alive, and how far it is, by heartbeats; their details are the progress. When it dies, the
 * server notices after the heartbeat timeout and starts the next attempt, which reads the last details and goes on from there.
 * The answer to a heartbeat tells what the server asks: signals. When the work is done, the process ends the activity.
 *
 *     thb_connect -> thb_get_details -> { work, thb_heartbeat } ... -> thb_complete | thb_fail | thb_report_cancelled
 *
 * The parent doesn't wait for its child: it returns activity.ErrResultPending (Go), raises activity.raise_complete_async() (Python),
 * or whatever its SDK has for an activity that is completed elsewhere.
 *
 * AN EXAMPLE
 *     thb_error_t *error = NULL;
 *     thb_text_t *token = NULL;
 *     if (thb_connect(NULL, 0, &error) == THB_OK && thb_token_from_env(&token, &error) == THB_OK) {
 *         size_t len;
 *         const char *bytes = thb_text_data(token, &len);
 *         thb_status_t status = THB_OK;
 *         for (int item = 0; item < 1000 && status != THB_NOT_FOUND; item++) {
 *             char progress[16];
 *             int digits = snprintf(progress, sizeof progress, "%d", item);
 *             status = thb_heartbeat(bytes, len, THB_ENCODING_JSON, progress, (size_t)digits, 10000, NULL, NULL);
 *         }
 *         if (status != THB_NOT_FOUND) thb_complete(bytes, len, THB_ENCODING_JSON, "1000", 4, 10000, &error);
 *     }
 *     if (error) fprintf(stderr, "%s: %s\n", thb_status_name(thb_error_code(error)), thb_error_message(error));
 *     thb_text_free(token);
 *     thb_error_free(error);
 *
 * THREADS. Any thread may call any function at any time; an object under change (thb_details_add) or being freed needs the caller's
 * own care. Nothing here may be called from a signal handler. There are no callbacks. The library has one thread of its own, started
 * by thb_connect, with all signals blocked.
 *
 * BLOCKING. Functions with timeout_ms block for at most that long, retries included; the others never wait for the network, except
 * thb_connect. 0 never waits: arguments are checked, nothing is sent, THB_TIMEOUT. THB_FOREVER waits without end. Other values above
 * INT32_MAX are invalid. What is temporary is retried meanwhile; what isn't comes back at once. When time runs out the status is that
 * of the last answer of server or network, or THB_TIMEOUT if there was none.
 *
 * OWNERSHIP. What you pass in is borrowed for the call alone. What comes out through T **x_out is yours: free it with thb_T_free, once;
 * NULL is fine there. A const pointer that a function returns belongs to the object that it was read from. Bytes are a pointer and a
 * length; (NULL, 0) is empty, (NULL, n) is THB_INVALID_ARGUMENT. Every const char * that comes out is valid UTF-8 (but for the bytes of a
 * thb_text_t), ends with a NUL, and is never NULL.
 *
 * ERRORS. Each function that can fail returns a status and has error_out last: NULL when you don't want the error, and then nothing
 * is made. Pointer outputs and *error_out are set to NULL on entry and written on success (the error on failure); scalars are written on
 * success only. So that "goto out; thb_x_free(x); thb_error_free(error);" is always right; but free an error before you pass its
 * pointer again. Nothing unwinds into your code, nothing exits or prints.
 *
 * COMMON STATUSES of the calls to the server: THB_INVALID_ARGUMENT, THB_NOT_CONNECTED, THB_UNAVAILABLE, THB_TIMEOUT,
 * THB_UNAUTHENTICATED, THB_PERMISSION_DENIED, THB_NAMESPACE_NOT_FOUND, THB_NAMESPACE_NOT_ACTIVE, THB_RESOURCE_EXHAUSTED,
 * THB_FAILED_PRECONDITION, THB_UNIMPLEMENTED, THB_SERVER_ERROR, THB_LOCAL_LIMIT, THB_INTERNAL.
 *
 * FORK. A child that uses the library connects anew by itself, with the options of its parent; objects read before stay readable.
 *
 * JSON that goes in is one object in UTF-8, at most 1 MiB and 16 levels deep. Unknown and duplicate keys are errors; null is the same as
 * absent; integers may be spelled in any way (3e4).
 *
 * VERSIONS. Functions, statuses, bits and keys are added, never changed. Who opens the library at run time asks thb_check_abi(THB_ABI_VERSION)
 * first. The library stays in the process after dlclose.
 */


#ifndef TEMPORAL_HEARTBEAT_H
#define TEMPORAL_HEARTBEAT_H

#include <stddef.h>
#include <stdint.h>

/**
 * The timeout_ms that never runs out.
 */
#define THB_FOREVER UINT32_MAX

/**
 * The version of this header: major << 16 | minor. Within a major version things are only added.
 */
#define THB_ABI_VERSION 1

/**
 * The statuses. "Retry" says whether the same call can succeed later; what the library itself retries within timeout_ms
 * is over by then. The third column says what to do.
 *
 *   status                     retry  meaning, and what to do
 *   THB_OK                            Done; acknowledged by the server where one was asked.
 *   THB_INVALID_ARGUMENT       no     An argument is wrong; the message names it. Any function.
 *   THB_CONFIG                 no     An option, variable or file is wrong; the message names it. connect, token_from_env.
 *   THB_NOT_CONNECTED          no     No client. Call thb_connect.
 *   THB_ALREADY_CONNECTED      no     There is a client. Use it, or disconnect first. connect.
 *   THB_UNAVAILABLE            yes    Server or network away. Keep working and beat again.
 *   THB_TIMEOUT                yes    timeout_ms ran out without any answer. As above.
 *   THB_TLS                    no     No secure connection. (Not returned by this version.)
 *   THB_UNAUTHENTICATED        no     The server doesn't accept the credentials.
 *   THB_PERMISSION_DENIED      no     They don't allow this.
 *   THB_NAMESPACE_NOT_FOUND    no     The server has no such namespace. Correct it.
 *   THB_NAMESPACE_NOT_ACTIVE   yes    Another cluster serves the namespace at the moment.
 *   THB_NOT_FOUND              no     Over for this token: ended, timed out, superseded. STOP THE WORK; end nothing.
 *   THB_IN_DOUBT               no     An ending call that may have been applied: an earlier try's answer was lost. Take the
 *                                     work as done; don't undo it.
 *   THB_TOO_LARGE              no     Over the server's limit (2 MiB encoded); nothing was sent. Make it smaller.
 *   THB_RESOURCE_EXHAUSTED     maybe  The server's limits. thb_error_is_retryable tells; if so beat less often.
 *   THB_LOCAL_LIMIT            yes    Out of threads or descriptors here (ulimit).
 *   THB_TOKEN_UNREADABLE       no     Not a task token. Was base64 decoded?
 *   THB_FAILED_PRECONDITION    no     Not in the state that it is in.
 *   THB_UNIMPLEMENTED          no     The server, or this version of the library, doesn't have it.
 *   THB_SERVER_ERROR           maybe  The server failed, or can't be understood.
 *   THB_INVALID_HANDLE ... THB_ENDED  Of handles, which this version doesn't have yet.
 *   THB_ABI_MISMATCH           no     The library isn't the one that you compiled for. check_abi.
 *   THB_INTERNAL               no     A mistake in the library; please report it.
 */
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

/**
 * How the bytes of details and results are to be taken.
 *
 * NONE      No value at all; takes no data. On a heartbeat it ERASES the details that the server holds. Normal for
 *           thb_complete.
 * JSON      One JSON text in UTF-8: checked, then sent byte for byte ("json/plain").
 * BINARY    Bytes ("binary/plain").
 * NULL      The null value; takes no data ("binary/null").
 * PAYLOADS  A serialized temporal.api.common.v1.Payloads, sent as it is: several values, protobuf messages, encrypted ones.
 */
typedef enum thb_encoding {
    THB_ENCODING_NONE = 0,
    THB_ENCODING_JSON = 1,
    THB_ENCODING_BINARY = 2,
    THB_ENCODING_NULL = 3,
    THB_ENCODING_PAYLOADS = 4,
} thb_encoding;

/**
 * What the server asks of a running activity; a set of bits. Ignore those that you don't know.
 *
 * CANCEL_REQUESTED  Somebody asked for cancellation. Clean up and call thb_report_cancelled; or finish, which wins.
 * PAUSED            The activity is paused. Stop working, go on beating: timeouts still run.
 * RESET             The activity was reset. End this attempt (thb_fail); a new first one follows.
 */
typedef enum thb_signal {
    THB_SIGNAL_CANCEL_REQUESTED = 1,
    THB_SIGNAL_PAUSED = 2,
    THB_SIGNAL_RESET = 4,
} thb_signal;

/**
 * Zero or more values. Freed by thb_details_free. Any thread may read it while none adds to it.
 */
typedef struct thb_details_t thb_details_t;

/**
 * Why a call failed. Freed by thb_error_free. Immutable: any thread may read it.
 */
typedef struct thb_error_t thb_error_t;

/**
 * Bytes with a NUL behind them. Freed by thb_text_free. Immutable: any thread may read it.
 */
typedef struct thb_text_t thb_text_t;

/**
 * What became of a call: one of enum thb_status. Treat a value that you don't know as an error. Errors below 0 don't
 * exist.
 */
typedef int32_t thb_status_t;

/**
 * How bytes are to be taken: one of enum thb_encoding.
 */
typedef int32_t thb_encoding_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Connect this process to a Temporal server. There is one client per process.
 *
 * options_json is one JSON object; NULL with 0, or {}, takes everything from the environment and the defaults:
 *   address             "host:port"                 TEMPORAL_ADDRESS, else 127.0.0.1:7233
 *   namespace           its name                    TEMPORAL_NAMESPACE, else "default"
 *   identity            who the server is told      "pid@host"
 *   connect_timeout_ms  how long this may take      10000
 *   lazy                true: don't contact the     false
 *                       server before the first call
 * An option wins over its variable. Options and TEMPORAL_* variables for secure connections, keys, headers and profiles are
 * THB_UNIMPLEMENTED in this version rather than ignored; the message names the one that is set.
 *
 * Thread-safe. Blocks for at most connect_timeout_ms, until the server has answered and has the namespace; what is temporary
 * (nothing listens yet) is tried again within that time. Borrows its input for the call only. A failed connect leaves "not
 * connected". Starts one thread. In a child made by fork the library connects anew by itself, with the same options.
 * Returns THB_OK, THB_CONFIG, THB_UNIMPLEMENTED, THB_ALREADY_CONNECTED (also while another thread connects), THB_UNAVAILABLE,
 * THB_TIMEOUT, THB_NAMESPACE_NOT_FOUND, THB_NOT_CONNECTED (disconnected meanwhile), THB_LOCAL_LIMIT, THB_INVALID_ARGUMENT (NULL
 * with a length), and what the server answers.
 */
thb_status_t thb_connect(const char *options_json,
                         size_t options_len,
                         struct thb_error_t **error_out);

/**
 * Disconnect. Always ends "not connected", after which thb_connect may be called again; calls that are blocked in other threads
 * return THB_NOT_CONNECTED. Errors, details and texts survive. When not connected it does nothing.
 *
 * Thread-safe. Never blocks for longer than timeout_ms; in this version it has nothing to wait for.
 * Returns THB_OK, THB_INVALID_ARGUMENT (timeout_ms).
 */
thb_status_t thb_disconnect(uint32_t timeout_ms,
                            struct thb_error_t **error_out);

/**
 * Record one heartbeat and wait for the server's answer. The details replace those that the server holds, and are what the next
 * attempt gets; THB_ENCODING_NONE erases them.
 *
 * On THB_OK *signals_out (may be NULL) is a set of THB_SIGNAL_*: what the server asks of the activity now.
 * Returns THB_OK; THB_NOT_FOUND: the activity is over for this token, stop the work; THB_TOO_LARGE, THB_TOKEN_UNREADABLE, and the
 * statuses common to all calls.
 */
thb_status_t thb_heartbeat(const void *token,
                           size_t token_len,
                           thb_encoding_t encoding,
                           const void *details,
                           size_t details_len,
                           uint32_t timeout_ms,
                           uint32_t *signals_out,
                           struct thb_error_t **error_out);

/**
 * Read the heartbeat details that the server holds now: in a retry those of the attempt before, until this one records its own.
 * None are no error: thb_details_count is 0. Reads also tell the attempt that the server has now, see thb_details_attempt.
 *
 * On THB_OK *details_out is the caller's, to be freed by thb_details_free.
 * Returns THB_OK; THB_NOT_FOUND: the activity (not merely this attempt) is over; a standalone activity's details stay readable
 * after its end; THB_TOKEN_UNREADABLE; THB_UNIMPLEMENTED for a standalone activity on a server without them; and the statuses
 * common to all calls.
 */
thb_status_t thb_get_details(const void *token,
                             size_t token_len,
                             uint32_t timeout_ms,
                             struct thb_details_t **details_out,
                             struct thb_error_t **error_out);

/**
 * End the activity with a result. THB_ENCODING_NONE: without one.
 *
 * Returns THB_OK; THB_NOT_FOUND; THB_IN_DOUBT: an earlier try may have done it, its answer was lost; THB_TOO_LARGE,
 * THB_TOKEN_UNREADABLE, and the statuses common to all calls. After THB_TIMEOUT or THB_UNAVAILABLE call it again.
 */
thb_status_t thb_complete(const void *token,
                          size_t token_len,
                          thb_encoding_t encoding,
                          const void *result,
                          size_t result_len,
                          uint32_t timeout_ms,
                          struct thb_error_t **error_out);

/**
 * End this attempt with a failure. The server retries the activity as its retry policy says.
 *
 * failure_json is one JSON object; every key may be absent, and NULL with 0 is {}:
 *   message              what happened
 *   type                 a name that retry policies and workflows can match
 *   non_retryable        true: the activity fails for good (false)
 *   details              [values] for the workflow; or details_payloads: base64 of an encoded Payloads
 *   next_retry_delay_ms  instead of the retry policy's delay
 *   stack_trace, source  where it happened ("source": "temporal-heartbeat")
 *   cause                {} of the same keys
 *   heartbeat_details    [values] stored in the same step as the last progress, for the next attempt; or
 *                        heartbeat_details_payloads: base64 of an encoded Payloads
 *
 * Returns as thb_complete.
 */
thb_status_t thb_fail(const void *token,
                      size_t token_len,
                      const char *failure_json,
                      size_t failure_len,
                      uint32_t timeout_ms,
                      struct thb_error_t **error_out);

/**
 * End the activity as cancelled, after THB_SIGNAL_CANCEL_REQUESTED. The details are the workflow's, not a heartbeat's.
 *
 * Returns as thb_complete; THB_INVALID_ARGUMENT also when nobody asked for cancellation, in which case the token stays good.
 */
thb_status_t thb_report_cancelled(const void *token,
                                  size_t token_len,
                                  thb_encoding_t encoding,
                                  const void *details,
                                  size_t details_len,
                                  uint32_t timeout_ms,
                                  struct thb_error_t **error_out);

/**
 * Make empty details, to be filled by thb_details_add and passed on by thb_details_payloads. *details_out is the caller's, to be
 * freed by thb_details_free. Thread-safe. Never blocks. Returns THB_OK, THB_INVALID_ARGUMENT.
 */
thb_status_t thb_details_new(struct thb_details_t **details_out,
                             struct thb_error_t **error_out);

/**
 * Add a value, or with THB_ENCODING_PAYLOADS each of several. Copies the data. Pointers into the details that were handed out
 * before are invalid after it. One thread at a time. Never blocks. Returns THB_OK, THB_INVALID_ARGUMENT (also for NONE).
 */
thb_status_t thb_details_add(struct thb_details_t *details,
                             thb_encoding_t encoding,
                             const void *data,
                             size_t data_len,
                             struct thb_error_t **error_out);

/**
 * How many values there are. NULL: 0. Thread-safe, as all that only reads.
 */
size_t thb_details_count(const struct thb_details_t *details);

/**
 * The bytes of one value, and their number in *len_out (may be NULL). Not NUL-terminated. An index that there isn't, or NULL
 * details: NULL, 0. An empty value: not NULL, 0. The pointer lives until the details are freed or added to.
 */
const void *thb_details_data(const struct thb_details_t *details,
                             size_t index,
                             size_t *len_out);

/**
 * The name of one value's encoding: "json/plain", "binary/plain", "binary/null", "json/protobuf", ... "" when it has none, for an
 * index that there isn't, and for NULL details. The pointer lives as that of thb_details_data.
 */
const char *thb_details_encoding(const struct thb_details_t *details,
                                 size_t index);

/**
 * All values as one serialized temporal.api.common.v1.Payloads, for THB_ENCODING_PAYLOADS; as it came, if it came from the
 * server. Its length in *len_out (may be NULL). NULL details: NULL, 0. The pointer lives as that of thb_details_data.
 */
const void *thb_details_payloads(const struct thb_details_t *details,
                                 size_t *len_out);

/**
 * The attempt that the server has now, from 1; 0 when unknown. If it isn't the caller's own attempt, another has taken over.
 */
int32_t thb_details_attempt(const struct thb_details_t *details);

/**
 * When the last heartbeat was recorded, in milliseconds since 1970 by the server's clock; 0 when never.
 */
int64_t thb_details_recorded_at_unix_ms(const struct thb_details_t *details);

/**
 * The activity's heartbeat timeout, where the server tells it (0: it has none); else -1.
 */
int64_t thb_details_heartbeat_timeout_ms(const struct thb_details_t *details);

/**
 * Frees details. NULL is fine. Must not be called twice for the same ones.
 */
void thb_details_free(struct thb_details_t *details);

/**
 * The status that came with the error. NULL: THB_OK. Thread-safe, as all thb_error functions.
 */
thb_status_t thb_error_code(const struct thb_error_t *error);

/**
 * The gRPC code that the server answered, e.g. 5 for NOT_FOUND; -1 when none did, or for NULL.
 */
int32_t thb_error_grpc_code(const struct thb_error_t *error);

/**
 * What happened and what to do, for people: valid UTF-8, never NULL, no secret in it. Its wording may change. The pointer lives
 * as long as the error. NULL: "".
 */
const char *thb_error_message(const struct thb_error_t *error);

/**
 * 1 when the same call may succeed later, else 0. NULL: 0.
 */
int32_t thb_error_is_retryable(const struct thb_error_t *error);

/**
 * How many milliseconds to wait before that, where something is known of it; else -1. NULL: -1.
 */
int64_t thb_error_retry_after_ms(const struct thb_error_t *error);

/**
 * Frees an error. NULL is fine. Must not be called twice for the same one.
 */
void thb_error_free(struct thb_error_t *error);

/**
 * The library's version, e.g. "0.1.0". Static. Thread-safe.
 */
const char *thb_version(void);

/**
 * The ABI that the library has, to be compared with the THB_ABI_VERSION that the caller was compiled with. Thread-safe.
 */
uint32_t thb_abi_version(void);

/**
 * Whether the library serves a caller that was compiled with THB_ABI_VERSION == abi: THB_OK when the major version is the
 * same and the minor one not newer than the library's, else THB_ABI_MISMATCH. Thread-safe. Never blocks.
 */
thb_status_t thb_check_abi(uint32_t abi);

/**
 * A status's name, e.g. "THB_NOT_FOUND"; "THB_UNKNOWN" for a number that is none. Static. Thread-safe.
 */
const char *thb_status_name(thb_status_t status);

/**
 * The task token that this process was handed, decoded: from the variable TEMPORAL_ACTIVITY_TASK_TOKEN (standard base64), or
 * the file that TEMPORAL_ACTIVITY_TASK_TOKEN_FILE names, or the inherited descriptor TEMPORAL_ACTIVITY_TASK_TOKEN_FD, which
 * hold the same base64 text. A pipe's writer has 10 s to write and close; the descriptor stays open.
 *
 * Thread-safe as far as nobody changes the environment meanwhile. Needs no client. *token_out is the caller's, to be freed by
 * thb_text_free; its bytes are no text.
 * Returns THB_OK, THB_CONFIG (no variable, more than one, or nothing readable behind it), THB_INVALID_ARGUMENT.
 */
thb_status_t thb_token_from_env(struct thb_text_t **token_out,
                                struct thb_error_t **error_out);

/**
 * The bytes of a text, with a NUL behind them, and their number without it in *len_out (may be NULL). NULL text: "", 0.
 * The pointer lives as long as the text. Thread-safe.
 */
const char *thb_text_data(const struct thb_text_t *text, size_t *len_out);

/**
 * Frees a text. NULL is fine. Must not be called twice for the same one.
 */
void thb_text_free(struct thb_text_t *text);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TEMPORAL_HEARTBEAT_H */
