//! One call, one request to the server.

use std::ffi::{c_char, c_void};

use super::{
    boundary,
    details::wrap,
    types::{thb_details_t, thb_encoding_t, thb_error_t, thb_status_t, thb_text_t},
};
use crate::{
    api::rpc,
    model::{
        deadline::Timeout,
        error::Result,
        payload::{Encoding, Payloads},
    },
};

/// Borrows the encoding and data that a caller passes.
///
/// # Safety
/// As [`boundary::bytes`].
pub unsafe fn payloads(
    name: &str,
    encoding: thb_encoding_t,
    data: *const c_void,
    len: usize,
) -> Result<Option<Payloads>> {
    // SAFETY: the caller of this function guarantees it.
    let data = unsafe { boundary::bytes(name, data, len)? };
    Payloads::from_caller(name, Encoding::from_code(encoding)?, data)
}

/// Makes a task token for the attempt that runs, from the ids of a workflow's activity: {"workflow_id", "run_id",
/// "activity_id", "attempt"}. Every function takes the token, and the server rejects it after that attempt.
///
/// Without run_id the workflow's current run is used. With attempt, the attempt that runs must have that number. While
/// the attempt hasn't started, the function waits. Servers 1.29 to 1.32 accept such tokens; docs/by-ids.md says how
/// they are made.
///
/// Thread-safe. Blocks at most timeout_ms. Inputs are borrowed for the call. The caller frees *token_out with
/// thb_text_free; its bytes are not text.
/// Returns
///   THB_OK
///   THB_NOT_FOUND            the activity is over, or another attempt has taken over
///   THB_FAILED_PRECONDITION  the attempt hasn't started in time
///   THB_CONFIG               options_json can't be read, or has no activity_id
///   THB_INVALID_ARGUMENT     token_out is NULL
///   THB_UNIMPLEMENTED        there is no such token, e.g. for a standalone activity. thb_activity_open takes its ids
///   and the common statuses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_token_from_ids(
    options_json: *const c_char,
    options_len: usize,
    timeout_ms: u32,
    token_out: *mut *mut thb_text_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run_giving("token_out", token_out, error_out, || {
            let options = boundary::bytes("options_json", options_json.cast(), options_len)?;
            let token = rpc::token_from_ids(options, Timeout::from_ms(timeout_ms)?)?.wait()?;
            Ok(boundary::text(&token))
        })
    }
}

/// Records one heartbeat and waits for the server's answer. The details replace the server's details, and the
/// next attempt gets them. THB_ENCODING_NONE erases them.
///
/// Calls for one activity are sent one at a time. When a newer call for the same activity waits, a heartbeat that got
/// no answer in time, or failed twice, isn't retried but returns its last error.
///
/// Between two calls nothing is noticed: a cancellation is a signal of the next call. To learn of it at once, open the
/// activity with follow_server, and wait with thb_activity_wait or a watch.
///
/// Thread-safe. Blocks at most timeout_ms. Inputs are borrowed for the call. On THB_OK *signals_out (may be NULL) is
/// a set of THB_SIGNAL_*: the server's current requests.
/// Returns
///   THB_OK
///   THB_NOT_FOUND            the activity is over for this token: stop the work
///   THB_INVALID_ARGUMENT     also: the details don't match the encoding; the token is from another namespace
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
    // SAFETY: as the header requires, inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            let token = boundary::bytes("token", token, token_len)?;
            let details = payloads("details", encoding, details, details_len)?;
            let signals = rpc::heartbeat(token, details, Timeout::from_ms(timeout_ms)?)?.wait()?;
            boundary::put(signals_out, signals.bits());
            Ok(())
        })
    }
}

/// Reads the heartbeat details that the server holds now. In a retry these are the previous attempt's, until this
/// attempt records its own. No details is not an error: thb_details_count is 0. thb_details_attempt returns which
/// attempt the server has now.
///
/// Thread-safe. Blocks at most timeout_ms. Inputs are borrowed for the call. The caller frees *details_out with
/// thb_details_free.
/// Returns
///   THB_OK
///   THB_NOT_FOUND            the activity is over, not only this attempt. The details of a standalone activity stay
///                            readable after its end
///   THB_INVALID_ARGUMENT     also: details_out is NULL; the token is from another namespace
///   THB_UNIMPLEMENTED        the token is of a standalone activity, and the server doesn't support those
///   and the common statuses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_get_details(
    token: *const c_void,
    token_len: usize,
    timeout_ms: u32,
    details_out: *mut *mut thb_details_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, inputs are readable for the call, outputs NULL or writable.
    //
    unsafe {
        boundary::run_giving("details_out", details_out, error_out, || {
            let token = boundary::bytes("token", token, token_len)?;
            let details = rpc::get_details(token, Timeout::from_ms(timeout_ms)?)?.wait()?;
            Ok(wrap(details))
        })
    }
}

/// Completes the activity with a result; THB_ENCODING_NONE: without one. A result is one value. Several values
/// (THB_ENCODING_PAYLOADS) are THB_INVALID_ARGUMENT, because workflows can't receive them.
///
/// Thread-safe. Blocks at most timeout_ms. Inputs are borrowed for the call. After THB_TIMEOUT, THB_UNAVAILABLE or
/// THB_SERVER_ERROR it may be called again.
/// Returns
///   THB_OK
///   THB_NOT_FOUND            the activity was already over for this token: ended elsewhere, or in another attempt
///   THB_IN_DOUBT             it is over; an earlier try, without an answer, may have ended it
///   THB_INVALID_ARGUMENT     also: the result doesn't match the encoding; the token is from another namespace
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
    // SAFETY: as the header requires, inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            let token = boundary::bytes("token", token, token_len)?;
            let result = payloads("result", encoding, result, result_len)?;
            rpc::complete(token, result, Timeout::from_ms(timeout_ms)?)?.wait()
        })
    }
}

/// Ends this attempt with a failure. The server then retries the activity as its retry policy says.
///
/// failure_json is one JSON object; every key may be absent, and (NULL, 0) is {}:
///   message              what happened
///   type                 a name that retry policies and workflows can match
///   non_retryable        true: the activity isn't retried (false)
///   details              [values] for the workflow; or details_payloads: base64 of an encoded Payloads
///   next_retry_delay_ms  replaces the retry policy's delay
///   category             "benign": expected, so that workers and clients neither log nor count it as an error
///   stack_trace, source  where it happened ("source": "temporal-heartbeat")
///   encoded_attributes   the message and the stack trace as a codec has encoded them: base64 of an encoded Payload
///   cause                an object with the same keys
///   heartbeat_details    [values] that are stored with the failure as the last progress, for the next attempt; or
///                        heartbeat_details_payloads: base64 of an encoded Payloads. Not allowed in a cause
///
/// For a standalone activity heartbeat_details are sent first, in a separate heartbeat, because Server 1.31
/// ignores them in the failure. If that heartbeat fails, the attempt isn't ended.
///
/// Thread-safe, blocks and borrows as thb_complete, and may be called again after the same statuses.
/// Returns THB_OK; THB_NOT_FOUND, THB_IN_DOUBT and THB_TOO_LARGE as thb_complete (the limit applies to the failure
/// and to heartbeat_details separately); THB_INVALID_ARGUMENT also for any mistake in failure_json; and the common
/// statuses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_fail(
    token: *const c_void,
    token_len: usize,
    failure_json: *const c_char,
    failure_len: usize,
    timeout_ms: u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            let token = boundary::bytes("token", token, token_len)?;
            let failure = boundary::bytes("failure_json", failure_json.cast(), failure_len)?;
            rpc::fail(token, failure, Timeout::from_ms(timeout_ms)?)?.wait()
        })
    }
}

/// Ends the activity as cancelled, after THB_SIGNAL_CANCEL_REQUESTED. The details go to the workflow; they are not
/// heartbeat details.
///
/// Thread-safe, blocks and borrows as thb_complete, and may be called again after the same statuses.
/// Returns as thb_complete. THB_INVALID_ARGUMENT also when cancellation wasn't requested: the activity then
/// continues, and the token stays valid.
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
    // SAFETY: as the header requires, inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            let token = boundary::bytes("token", token, token_len)?;
            let details = payloads("details", encoding, details, details_len)?;
            rpc::report_cancelled(token, details, Timeout::from_ms(timeout_ms)?)?.wait()
        })
    }
}
