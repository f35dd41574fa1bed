//! The types of the header, except functions.

use std::ffi::CString;

use zeroize::Zeroizing;

use crate::{
    api::worker::Task,
    model::{details::Details, error::Error},
};

/// The outcome of a call: one of enum thb_status, never below 0. Treat a value that you don't know as an error.
pub type thb_status_t = i32;

/// The encoding of bytes that are passed in: one of enum thb_encoding.
pub type thb_encoding_t = i32;

/// The handle of an open activity: 0 < handle < 2^53. A number isn't used again after thb_activity_close. 0 is no
/// handle.
pub type thb_activity_t = u64;

/// The handle of a watch, which waits for many activities; as thb_activity_t. 0 is no handle.
pub type thb_watch_t = u64;

/// The handle of a queue, which receives the completions of asynchronous calls; as thb_activity_t. 0 is no handle.
pub type thb_queue_t = u64;

/// The handle of a worker, which takes tasks from a task queue; as thb_activity_t. 0 is no handle.
pub type thb_worker_t = u64;

/// The statuses. "retry" says whether the same call may succeed later; temporary failures were already retried within
/// timeout_ms. "Any call" means each function that takes a task token, or waits for the server with a handle.
///
///   status                    retry  from, meaning, what to do
///   THB_OK                           Success. If the call sent a request, the server has acknowledged it.
///   THB_INVALID_ARGUMENT      no     Any function. An argument is wrong; the message names it. Correct the caller.
///   THB_CONFIG                no     connect, reconfigure, activity_open, token_from_env, token_from_ids. An option,
///                                    variable or file is wrong. Correct it.
///   THB_NOT_CONNECTED         no     connect, any call. There is no client, or it was disconnected. Connect.
///   THB_ALREADY_CONNECTED     no     connect. There is a client. Use it, or disconnect first.
///   THB_UNAVAILABLE           yes    connect, any call. The server or the network is unavailable, or a NOT_FOUND
///                                    doesn't prove that the attempt is over. Continue the work, and beat again.
///   THB_TIMEOUT               yes    connect, any call. timeout_ms passed without any answer. Continue the work,
///                                    and beat again.
///   THB_TLS                   no     connect, any call. No secure connection is possible. See the message.
///   THB_UNAUTHENTICATED       no     connect, any call. The server rejected the credentials. Correct them.
///   THB_PERMISSION_DENIED     no     connect, any call. The credentials don't allow this call. Grant the permission.
///   THB_NAMESPACE_NOT_FOUND   no     connect, any call. The server has no such namespace. Correct its name.
///   THB_NAMESPACE_NOT_ACTIVE  yes    connect, any call. Another cluster serves the namespace. Continue, and beat again.
///   THB_NOT_FOUND             no     Any call. The activity is over for this token: ended, timed out, or superseded.
///                                    STOP THE WORK, and don't end the activity.
///   THB_IN_DOUBT              no     complete, fail, report_cancelled. The call may have been applied: the answer to an
///                                    earlier try was lost. Treat the activity as ended; don't undo the work.
///   THB_TOO_LARGE             no     heartbeat, complete, fail, report_cancelled. Over the server's limit (2 MiB
///                                    encoded, unless it reports another); nothing was sent. Keep large state elsewhere.
///   THB_RESOURCE_EXHAUSTED    maybe  connect, any call. A limit of the server, temporary or permanent. Beat less often.
///   THB_LOCAL_LIMIT           yes    connect, any call, open, submit. Too few threads or descriptors, too little
///                                    memory, or too many handles or asynchronous calls. Raise the limit.
///   THB_TOKEN_UNREADABLE      no     Any call. The bytes aren't a task token. Was the base64 text decoded?
///   THB_FAILED_PRECONDITION   no     connect, any call. The server can't do this in its current state. token_from_ids:
///                                    the attempt isn't started. activity_get_details: a record came first.
///   THB_UNIMPLEMENTED         no     connect, any call. The server, or this version of the library, doesn't support it.
///   THB_SERVER_ERROR          maybe  connect, any call. The server failed, or its answer is invalid. Beat again.
///   THB_INVALID_HANDLE        no     Functions with a handle. The handle is closed or was never valid.
///   THB_FORKED                no     Functions with a handle. It belongs to the parent process. Let the parent record.
///   THB_ALREADY_OPEN          no     activity_open, any call. A handle holds this token. Use it, or close it first.
///   THB_ENDED                 no     thb_activity functions. This handle has ended the activity. Close it.
///   THB_ABI_MISMATCH          no     check_abi. The library isn't compatible with the header. Install one that is.
///   THB_INTERNAL              no     Any function. A bug in the library. Please report it.
#[repr(C)]
#[allow(missing_docs, reason = "the table above says it")]
pub enum thb_status {
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
}

/// The encodings of details and results.
///
///   NONE      No value; takes no data. On a heartbeat it ERASES the details that the server holds. The usual encoding
///             for thb_complete without a result.
///   JSON      One JSON text in UTF-8: checked, then sent byte for byte ("json/plain").
///   BINARY    Bytes ("binary/plain").
///   NULL      The null value; takes no data ("binary/null").
///   PAYLOADS  A serialized temporal.api.common.v1.Payloads: for several values, protobuf messages, or encrypted
///             values.
///
/// These are the values as they are sent without a codec server. With one (codec_endpoint), the codec server encodes
/// them first, but not those of PAYLOADS that a codec has already encoded.
#[repr(C)]
#[allow(missing_docs, reason = "the table above says it")]
pub enum thb_encoding {
    THB_ENCODING_NONE = 0,
    THB_ENCODING_JSON = 1,
    THB_ENCODING_BINARY = 2,
    THB_ENCODING_NULL = 3,
    THB_ENCODING_PAYLOADS = 4,
}

/// The signals of an activity: the server's requests, and states that the library detects. A set of bits; ignore bits
/// that you don't know.
///
///   CANCEL_REQUESTED  Cancellation was requested. Clean up and call thb_report_cancelled. Or finish the work: the
///                     server still accepts thb_complete.
///   PAUSED            The activity is paused. Stop working but continue the heartbeats: timeouts still run. An open
///                     activity continues them, and its stall timeout doesn't run. See thb_activity_wait.
///   RESET             The activity was reset. End this attempt (thb_fail); another follows.
///
/// In a handle CANCEL_REQUESTED and RESET stay set. Only a handle has these signals:
///   GONE              The activity is over for this token; the library sends nothing more. Stop the work.
///   LEASE_LOST        No beat was acknowledged for a whole heartbeat timeout. Another attempt may be running: stop, or
///                     make sure that nothing is done twice. Cleared by the next acknowledged beat, or by GONE.
///   STALLED           No record or touch for stall_timeout_ms, so the pulse has stopped, or as stall_action says. The
///                     next record or touch clears the signal. If the library has failed the attempt, GONE is set too.
///   REFUSED           The server refuses the beats permanently. thb_activity_get_info has the reason; correct it.
///   DEADLINE          The time of the attempt has passed (attempt_remaining_ms, or the timeouts that the server
///                     describes). The library has asked the server, and no operator has moved the deadline. It is a
///                     hint: GONE follows if the attempt is over.
///   UNSEEDED          The previous attempt's details couldn't be read when the pulse was due. So the pulse is off, and
///                     the attempt may time out. Record something: the library then sends a beat.
#[repr(C)]
#[allow(missing_docs, reason = "the table above says it")]
pub enum thb_signal {
    THB_SIGNAL_CANCEL_REQUESTED = 1,
    THB_SIGNAL_PAUSED = 2,
    THB_SIGNAL_RESET = 4,
    THB_SIGNAL_GONE = 8,
    THB_SIGNAL_LEASE_LOST = 16,
    THB_SIGNAL_STALLED = 32,
    THB_SIGNAL_REFUSED = 64,
    THB_SIGNAL_DEADLINE = 128,
    THB_SIGNAL_UNSEEDED = 256,
}

/// A timeout_ms without end.
pub const THB_FOREVER: u32 = u32::MAX;

/// The version of this header: major << 16 | minor. Within a major version things are only added.
pub const THB_ABI_VERSION: u32 = 1;

/// Why a call failed. Freed with thb_error_free. Immutable: any thread may read it.
pub struct thb_error_t {
    pub(crate) error: Error,
    pub(crate) message: CString,
}

/// Zero or more values. Freed with thb_details_free. Any thread may read it while no thread adds to it.
pub struct thb_details_t {
    pub(crate) details: Details,
    /// The encodings' names as C strings, valid as long as the values.
    pub(crate) encodings: Vec<CString>,
}

/// The results of asynchronous calls. Freed with thb_completions_free. Any thread may read it while no thread takes
/// details from it.
pub struct thb_completions_t {
    pub(crate) user_data: Vec<u64>,
    pub(crate) statuses: Vec<thb_status_t>,
    pub(crate) signals: Vec<u32>,
    pub(crate) errors: Vec<Option<Box<thb_error_t>>>,
    pub(crate) details: Vec<Option<Box<thb_details_t>>>,
}

impl thb_completions_t {
    /// Creates an empty object with space for this many completions.
    pub(crate) fn with_capacity(count: usize) -> Self {
        thb_completions_t {
            user_data: Vec::with_capacity(count),
            statuses: Vec::with_capacity(count),
            signals: Vec::with_capacity(count),
            errors: Vec::with_capacity(count),
            details: Vec::with_capacity(count),
        }
    }
}

/// A task of a worker. Freed with thb_task_free. Immutable: any thread may read it.
pub struct thb_task_t {
    pub(crate) task: Box<Task>,
    pub(crate) activity_type: CString,
    pub(crate) info: CString,
    pub(crate) input: thb_details_t,
    pub(crate) details: thb_details_t,
}

/// Bytes that end with a NUL. Freed with thb_text_free. Immutable: any thread may read it.
pub struct thb_text_t {
    /// Includes the final NUL.
    pub(crate) bytes: Zeroizing<Vec<u8>>,
}
