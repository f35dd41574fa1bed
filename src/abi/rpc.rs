//! One call, one request to the server.

use std::ffi::{c_char, c_void};

use super::{
    boundary,
    details::wrap,
    types::{thb_details_t, thb_encoding_t, thb_error_t, thb_status_t},
};
use crate::{
    api::rpc,
    model::{
        deadline::Timeout,
        error::Result,
        payload::{Encoding, Payloads},
    },
};

/// Borrows the pair of encoding and data that a caller passes.
///
/// # Safety
/// As [`boundary::bytes`].
pub unsafe fn payloads(
    name: &str,
    encoding: thb_encoding_t,
    data: *const c_void,
    len: usize,
) -> Result<Option<Payloads>> {
    // SAFETY: what this function asks for.
    let data = unsafe { boundary::bytes(name, data, len)? };
    Payloads::from_caller(name, Encoding::from_code(encoding)?, data)
}

/// Record one heartbeat and wait for the server's answer. The details replace those that the server holds, and are what
/// the next attempt gets; THB_ENCODING_NONE erases them.
///
/// Calls of one activity are sent one after the other. A heartbeat that failed isn't repeated while a newer call of the
/// same activity waits; it then returns the last error.
///
/// Thread-safe. Blocks for at most timeout_ms. Borrows its inputs for the call only. On THB_OK *signals_out (may be
/// NULL) is a set of THB_SIGNAL_*: what the server asks of the activity now.
/// Returns
///   THB_OK
///   THB_NOT_FOUND            the activity is over for this token: stop the work
///   THB_INVALID_ARGUMENT     also: details that aren't what the encoding says; the token is of another namespace
///   THB_TOO_LARGE            the details are over the server's limit; nothing was sent
///   and the common statuses (see the top).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_heartbeat(
    token: *const c_void,
    token_len: usize,
    encoding: thb_encoding_t,
    details: *const c_void,
    details_len: usize,
    timeout_ms: u32,
    signals_out: *mut u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            let token = boundary::bytes("token", token, token_len)?;
            let details = payloads("details", encoding, details, details_len)?;
            let signals = rpc::heartbeat(token, details, Timeout::from_ms(timeout_ms)?)?;
            boundary::put(signals_out, signals.bits());
            Ok(())
        })
    }
}

/// Read the heartbeat details that the server holds now: in a retry those of the attempt before, until this one records
/// its own. None are no error: thb_details_count is 0. thb_details_attempt tells which attempt the server has now.
///
/// Thread-safe. Blocks for at most timeout_ms. Borrows its inputs for the call only. On THB_OK *details_out is the
/// caller's, to be freed by thb_details_free.
/// Returns
///   THB_OK
///   THB_NOT_FOUND            the activity (not merely this attempt) is over. But a standalone activity's details stay
///                            readable after its end
///   THB_INVALID_ARGUMENT     also: details_out is NULL; the token is of another namespace
///   THB_UNIMPLEMENTED        the token is of a standalone activity, and the server doesn't have those
///   and the common statuses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_get_details(
    token: *const c_void,
    token_len: usize,
    timeout_ms: u32,
    details_out: *mut *mut thb_details_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: inputs are readable for the call, outputs NULL or writable. `details_out` is used after its
    // check.
    unsafe {
        boundary::clear(details_out);
        boundary::run(error_out, || {
            boundary::required("details_out", details_out)?;
            let token = boundary::bytes("token", token, token_len)?;
            let details = rpc::get_details(token, Timeout::from_ms(timeout_ms)?)?;
            boundary::give(details_out, wrap(details));
            Ok(())
        })
    }
}

/// End the activity with a result. THB_ENCODING_NONE: without one.
/// A result is one value: several (THB_ENCODING_PAYLOADS) are THB_INVALID_ARGUMENT, for workflows can't take them.
///
/// Thread-safe. Blocks for at most timeout_ms. Borrows its inputs for the call only. After THB_TIMEOUT, THB_UNAVAILABLE
/// or THB_SERVER_ERROR it may be called again.
/// Returns
///   THB_OK
///   THB_NOT_FOUND            the activity was over for this token already: somebody else ended it, or goes on with it
///   THB_IN_DOUBT             it is over, and an earlier try of ours, whose answer was lost, may have ended it
///   THB_INVALID_ARGUMENT     also: a result that isn't what the encoding says; the token is of another namespace
///   THB_TOO_LARGE            the result is over the server's limit; nothing was sent
///   and the common statuses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_complete(
    token: *const c_void,
    token_len: usize,
    encoding: thb_encoding_t,
    result: *const c_void,
    result_len: usize,
    timeout_ms: u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            let token = boundary::bytes("token", token, token_len)?;
            let result = payloads("result", encoding, result, result_len)?;
            rpc::complete(token, result, Timeout::from_ms(timeout_ms)?)
        })
    }
}

/// End this attempt with a failure. The server retries the activity as its retry policy says.
///
/// failure_json is one JSON object; every key may be absent, and NULL with 0 is {}:
///   message              what happened
///   type                 a name that retry policies and workflows can match
///   non_retryable        true: the activity fails for good (false)
///   details              [values] for the workflow; or details_payloads: base64 of an encoded Payloads
///   next_retry_delay_ms  instead of the retry policy's delay
///   stack_trace, source  where it happened ("source": "temporal-heartbeat")
///   cause                {} of the same keys
///   heartbeat_details    [values] stored in the same step as the last progress, for the next attempt; or
///                        heartbeat_details_payloads: base64 of an encoded Payloads. Not of a cause
///
/// For a standalone activity heartbeat_details are sent as a heartbeat first, one request more, because Server 1.31
/// ignores those in the failure. If the heartbeat fails, nothing was ended.
///
/// Thread-safe, blocks and borrows as thb_complete, and may be called again as that.
/// Returns THB_OK; THB_NOT_FOUND, THB_IN_DOUBT and THB_TOO_LARGE as thb_complete (the failure and heartbeat_details have
/// the limit each); THB_INVALID_ARGUMENT also for any mistake in failure_json; and the common statuses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_fail(
    token: *const c_void,
    token_len: usize,
    failure_json: *const c_char,
    failure_len: usize,
    timeout_ms: u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            let token = boundary::bytes("token", token, token_len)?;
            let failure = boundary::bytes("failure_json", failure_json.cast(), failure_len)?;
            rpc::fail(token, failure, Timeout::from_ms(timeout_ms)?)
        })
    }
}

/// End the activity as cancelled, after THB_SIGNAL_CANCEL_REQUESTED. The details are the workflow's, not a heartbeat's.
///
/// Thread-safe, blocks and borrows as thb_complete, and may be called again as that.
/// Returns as thb_complete; THB_INVALID_ARGUMENT also when nobody asked for cancellation: the activity goes on then, and
/// the token stays good.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_report_cancelled(
    token: *const c_void,
    token_len: usize,
    encoding: thb_encoding_t,
    details: *const c_void,
    details_len: usize,
    timeout_ms: u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            let token = boundary::bytes("token", token, token_len)?;
            let details = payloads("details", encoding, details, details_len)?;
            rpc::report_cancelled(token, details, Timeout::from_ms(timeout_ms)?)
        })
    }
}
