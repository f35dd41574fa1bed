//! The types of the header that aren't functions.

use std::ffi::CString;

use zeroize::Zeroizing;

use crate::model::{details::Details, error::Error};

/// What became of a call: one of enum thb_status, never below 0. Treat a value that you don't know as an error.
pub type thb_status_t = i32;

/// How bytes are to be taken: one of enum thb_encoding.
pub type thb_encoding_t = i32;

/// An activity that is held open: 0 < handle < 2^53, never used again after thb_activity_close. 0 is none.
pub type thb_activity_t = u64;

/// One waiter for many activities: a handle as thb_activity_t. 0 is none.
pub type thb_watch_t = u64;

/// The statuses. "Retry" says whether the same call can succeed later; what is temporary was tried again within
/// timeout_ms already. "Any call" is any that takes a task token.
///
///   status                    retry  from, meaning, what to do
///   THB_OK                           Done; acknowledged by the server where one was asked.
///   THB_INVALID_ARGUMENT      no     Any function. An argument is wrong; the message names it. Correct the caller.
///   THB_CONFIG                no     connect, token_from_env. An option, variable or file is wrong. Correct it.
///   THB_NOT_CONNECTED         no     connect, any call. There is no client, or it was disconnected meanwhile. Connect.
///   THB_ALREADY_CONNECTED     no     connect. There is a client. Use it, or disconnect first.
///   THB_UNAVAILABLE           yes    connect, any call. The server or the network is away, or a NOT_FOUND doesn't
///                                    prove that the attempt is over. Work on, and beat again.
///   THB_TIMEOUT               yes    connect, any call. timeout_ms ran out without any answer. Work on, and beat again.
///   THB_TLS                   no     connect, any call. No secure connection can be made. See the message.
///   THB_UNAUTHENTICATED       no     connect, any call. The server doesn't accept the credentials. Correct them.
///   THB_PERMISSION_DENIED     no     connect, any call. The credentials don't allow this. Have it allowed.
///   THB_NAMESPACE_NOT_FOUND   no     connect, any call. The server has no such namespace. Correct its name.
///   THB_NAMESPACE_NOT_ACTIVE  yes    connect, any call. Another cluster serves the namespace. Work on, beat again.
///   THB_NOT_FOUND             no     Any call. It is over for this token: ended, timed out, superseded. STOP THE WORK,
///                                    and end nothing.
///   THB_IN_DOUBT              no     complete, fail, report_cancelled. It may have been applied: an earlier try's
///                                    answer was lost. Take the activity as ended; don't undo the work.
///   THB_TOO_LARGE             no     heartbeat, complete, fail, report_cancelled. Over the server's limit (2 MiB
///                                    encoded, unless it tells another); nothing was sent. Keep large state elsewhere.
///   THB_RESOURCE_EXHAUSTED    maybe  connect, any call. A limit of the server, for good or not. Beat less often.
///   THB_LOCAL_LIMIT           yes    connect, any call. Out of threads or descriptors in this process. Raise the limit.
///   THB_TOKEN_UNREADABLE      no     Any call. Not a task token. Was its base64 decoded?
///   THB_FAILED_PRECONDITION   no     connect, any call. The server can't do this in the state that it is in.
///   THB_UNIMPLEMENTED         no     connect, any call. The server, or this version of the library, doesn't have it.
///   THB_SERVER_ERROR          maybe  connect, any call. The server failed, or its answer makes no sense. Beat again.
///   THB_INVALID_HANDLE        no     thb_activity functions. The handle was closed or never was one.
///   THB_FORKED                no     thb_activity functions. The handle is the parent process's. Open one here.
///   THB_ALREADY_OPEN          no     activity_open, any call. A handle holds this token. Use that, or close it first.
///   THB_ENDED                 no     thb_activity functions. The activity was ended through this handle. Close it.
///   THB_ABI_MISMATCH          no     check_abi. The library isn't one that you were compiled for. Install that.
///   THB_INTERNAL              no     Any function. A mistake in the library. Please report it.
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

/// How the bytes of details and results are to be taken.
///
///   NONE      No value at all; takes no data. On a heartbeat it ERASES the details that the server holds. Normal for
///             thb_complete.
///   JSON      One JSON text in UTF-8: checked, then sent byte for byte ("json/plain").
///   BINARY    Bytes ("binary/plain").
///   NULL      The null value; takes no data ("binary/null").
///   PAYLOADS  A serialized temporal.api.common.v1.Payloads, sent as it is: several values, protobuf messages, encrypted
///             ones.
#[repr(C)]
#[allow(missing_docs, reason = "the table above says it")]
pub enum thb_encoding {
    THB_ENCODING_NONE = 0,
    THB_ENCODING_JSON = 1,
    THB_ENCODING_BINARY = 2,
    THB_ENCODING_NULL = 3,
    THB_ENCODING_PAYLOADS = 4,
}

/// What the server asks of a running activity; a set of bits. Ignore those that you don't know.
///
///   CANCEL_REQUESTED  Somebody asked for cancellation. Clean up and call thb_report_cancelled; or finish, which wins.
///   PAUSED            The activity is paused. Stop working, go on beating: timeouts still run.
///   RESET             The activity was reset. End this attempt (thb_fail); another follows.
///
/// Only from a handle, where CANCEL_REQUESTED and RESET stick:
///   GONE              The activity is over for this token; nothing is ever sent again. Stop the work.
///   LEASE_LOST        No beat was acknowledged for a whole heartbeat timeout. Another attempt may be running: stop, or
///                     make sure that nothing is done twice. Goes with the next acknowledged beat, or with GONE.
///   STALLED           No record or touch for stall_timeout_ms: the pulse has stopped. Goes with the next one.
///   REFUSED           The server refuses the beats for good; thb_activity_get_info says why. Correct it.
///   DEADLINE          attempt_remaining_ms has passed: a hint. A pulse asks the server; GONE follows if it is over.
///   UNSEEDED          It can't be learned what progress the server holds, so that no pulse goes out. Record something.
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

/// The timeout_ms that never runs out.
pub const THB_FOREVER: u32 = u32::MAX;

/// The version of this header: major << 16 | minor. Within a major version things are only added.
pub const THB_ABI_VERSION: u32 = 1;

/// Why a call failed. Freed by thb_error_free. Immutable: any thread may read it.
pub struct thb_error_t {
    pub(crate) error: Error,
    pub(crate) message: CString,
}

/// Zero or more values. Freed by thb_details_free. Any thread may read it while none adds to it.
pub struct thb_details_t {
    pub(crate) details: Details,
    /// The encodings' names, as C strings that live as long as the values.
    pub(crate) encodings: Vec<CString>,
}

/// Bytes with a NUL behind them. Freed by thb_text_free. Immutable: any thread may read it.
pub struct thb_text_t {
    /// The NUL is the last of them.
    pub(crate) bytes: Zeroizing<Vec<u8>>,
}
