//! An activity held open.

use std::ffi::{c_char, c_void};

use super::{
    boundary,
    details::wrap,
    rpc::payloads,
    types::{thb_activity_t, thb_details_t, thb_encoding_t, thb_error_t, thb_status_t, thb_text_t},
};
use crate::{
    api::activity,
    model::{deadline::Timeout, payload::Encoding, signals::Signals},
};

/// Hold an activity open: from now on beats go out for it in the background, whatever the caller does, and recording
/// progress takes nanoseconds. One handle a token; one-call functions other than thb_get_details return
/// THB_ALREADY_OPEN for that token.
///
/// options_json is one JSON object; every key may be absent, and NULL with 0 is {}:
///   heartbeat_timeout_ms  of the activity, as its parent knows it (0: the server is asked, where it tells)
///   pulse                 false: beat only for what is recorded, not to keep the activity alive (true)
///   stall_timeout_ms      no record or touch for so long stops the pulse, so that hung work is retried (0: never)
///   cancel_poll_ms        beat at least so often, for the sake of the answers (0: as the timeout needs it)
///   initial_details       base64 of the encoded Payloads that the attempt began with, as its parent was told; "":
///                         there are none; absent: the server is asked before the first beat
///   age_ms                how long ago the attempt started, by one clock: the first lease counts from there (0)
///   attempt_remaining_ms  how long it may still take, a hint; then THB_SIGNAL_DEADLINE
///   workflow_id, run_id, activity_id, attempt   instead of the token (pass NULL, 0): docs/by-ids.md. A standalone
///                         activity has no workflow_id. Beside a token they are for asking what the server holds
///   require_encoded       true: refuse values that no codec has encoded, so that nothing is sent that all can read
///   verify                true: an ending that would be THB_IN_DOUBT is looked up first, and is THB_OK if it was ours
///   from_env              true: take what isn't given from TEMPORAL_ACTIVITY_...: docs/hand-off.md
///
/// With heartbeat timeout T a beat is due this long after the last one was sent: T/2 up to T = 20 s, then T - 10 s, at
/// most 0.8 T and 60 s (30 s when T is unknown). A server that answers late gets its beats earlier. A beat always
/// carries the newest details. Until the library knows that the server holds none, it sends no beat without details. A
/// failed beat is repeated after a pause that grows. A beat that got no answer in time is repeated at once, behind the
/// first one on the same connection. A connection that answers nothing, not even a PING, is aborted, and the beat is
/// sent on a new one. NOT_FOUND ends the beats (THB_SIGNAL_GONE).
///
/// Thread-safe. Never waits for the server. Borrows its inputs for the call only. On THB_OK *activity_out is the
/// caller's, to be closed by thb_activity_close; 0 < handle < 2^53.
/// Returns THB_OK, THB_NOT_CONNECTED, THB_ALREADY_OPEN, THB_CONFIG (options, variables), THB_INVALID_ARGUMENT,
/// THB_TOKEN_UNREADABLE (and no initial_details to go without asking), THB_LOCAL_LIMIT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_open(
    token: *const c_void,
    token_len: usize,
    options_json: *const c_char,
    options_len: usize,
    activity_out: *mut thb_activity_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            boundary::required("activity_out", activity_out)?;
            let token = boundary::bytes("token", token, token_len)?;
            let options = boundary::bytes("options_json", options_json.cast(), options_len)?;
            boundary::put(activity_out, activity::open(token, options)?);
            Ok(())
        })
    }
}

/// Record progress. The details replace those recorded before; the newest go out with the next beat: at once for the
/// first record, later ones when a beat is due. What is recorded last is always sent. THB_ENCODING_NONE is refused, for
/// it would erase the progress.
///
/// Thread-safe. Never waits for the network. Borrows its inputs for the call only. On THB_OK *signals_out (may be NULL)
/// is the signals known by now; THB_SIGNAL_LEASE_LOST is told in time also by the first call after the process was
/// frozen.
/// Returns THB_OK, THB_NOT_FOUND (the activity is over: stop the work), THB_ENDED, THB_TOO_LARGE, THB_INVALID_ARGUMENT,
/// THB_INVALID_HANDLE, THB_FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_heartbeat(
    activity: thb_activity_t,
    encoding: thb_encoding_t,
    details: *const c_void,
    details_len: usize,
    signals_out: *mut u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run_brief(error_out, || {
            let details = boundary::bytes("details", details, details_len)?;
            let signals = activity::record(activity, Encoding::from_code(encoding)?, details)?;
            boundary::put(signals_out, signals.bits());
            Ok(())
        })
    }
}

/// Tell progress without details: the stall timeout begins anew. Otherwise as thb_activity_heartbeat.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_touch(
    activity: thb_activity_t,
    signals_out: *mut u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: outputs are NULL or writable.
    unsafe {
        boundary::run_brief(error_out, || {
            boundary::put(signals_out, activity::touch(activity)?.bits());
            Ok(())
        })
    }
}

/// Read the signals known by now. Works also after the activity has ended. Thread-safe. Never waits.
/// Returns THB_OK, THB_INVALID_HANDLE, THB_FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_get_signals(
    activity: thb_activity_t,
    signals_out: *mut u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: outputs are NULL or writable.
    unsafe {
        boundary::run_brief(error_out, || {
            boundary::put(signals_out, activity::signals(activity)?.bits());
            Ok(())
        })
    }
}

/// Wait until a signal of mask differs from known_signals, or timeout_ms is over; both are THB_OK, and *signals_out
/// (may be NULL) is the signals then. A timeout of 0 polls.
///
/// Thread-safe; any number of threads may wait. Blocks at most timeout_ms.
/// Returns THB_OK, THB_INVALID_HANDLE (also when it is closed meanwhile), THB_FORKED, THB_NOT_CONNECTED (disconnected
/// meanwhile), THB_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_wait(
    activity: thb_activity_t,
    mask: u32,
    known_signals: u32,
    timeout_ms: u32,
    signals_out: *mut u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: outputs are NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            let (mask, known) = (Signals::from_bits(mask), Signals::from_bits(known_signals));
            let signals = activity::wait(activity, mask, known, Timeout::from_ms(timeout_ms)?)?;
            boundary::put(signals_out, signals.bits());
            Ok(())
        })
    }
}

/// Read the details that there were when the activity was opened: those of the attempt before. None are no error:
/// thb_details_count is 0. They stay the same whatever is recorded. Without initial_details the server is asked, so
/// call it before the first record.
///
/// Thread-safe. Blocks at most timeout_ms; a timeout of 0 returns what is known already. On THB_OK *details_out is the
/// caller's, to be freed by thb_details_free.
/// Returns THB_OK, THB_TIMEOUT, THB_UNAVAILABLE, THB_NOT_FOUND, THB_ENDED, THB_FAILED_PRECONDITION (replaced by a
/// record before anybody asked), THB_INVALID_HANDLE, THB_FORKED, THB_NOT_CONNECTED, THB_INVALID_ARGUMENT, and what the
/// server answers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_get_details(
    activity: thb_activity_t,
    timeout_ms: u32,
    details_out: *mut *mut thb_details_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: outputs are NULL or writable. `details_out` is used after its check.
    unsafe {
        boundary::clear(details_out);
        boundary::run(error_out, || {
            boundary::required("details_out", details_out)?;
            let details = activity::details(activity, Timeout::from_ms(timeout_ms)?)?;
            boundary::give(details_out, wrap(details));
            Ok(())
        })
    }
}

/// Read how it stands, as a JSON object: state ("open", "ending", "ended", "gone"), attempt, addressed_by ("token",
/// "derived_token", "ids"), signals, heartbeat_timeout_ms, lease_left_ms, since_acknowledged_ms, pending, next_beat_ms,
/// records, beats (acknowledged), failed_tries, leases_regained, last_error {code, name, message}. Keys may be added.
///
/// Thread-safe. Never waits. On THB_OK *info_out is the caller's, to be freed by thb_text_free.
/// Returns THB_OK, THB_INVALID_HANDLE, THB_FORKED, THB_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_get_info(
    activity: thb_activity_t,
    info_out: *mut *mut thb_text_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: outputs are NULL or writable. `info_out` is used after its check.
    unsafe {
        boundary::clear(info_out);
        boundary::run(error_out, || {
            boundary::required("info_out", info_out)?;
            boundary::give(info_out, boundary::text(activity::info(activity)?.as_bytes()));
            Ok(())
        })
    }
}

/// Send what was recorded without waiting for its time, and wait until the server has acknowledged it.
///
/// Thread-safe. Blocks at most timeout_ms.
/// Returns THB_OK, THB_NOT_FOUND, THB_ENDED, THB_TIMEOUT, THB_UNAVAILABLE, THB_INVALID_HANDLE, THB_FORKED,
/// THB_NOT_CONNECTED, THB_INVALID_ARGUMENT, and what the server answers to the beat.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_flush(
    activity: thb_activity_t,
    timeout_ms: u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: outputs are NULL or writable.
    unsafe { boundary::run(error_out, || activity::flush(activity, Timeout::from_ms(timeout_ms)?)) }
}

/// End the activity with a result; as thb_complete, and returns as that does, also THB_ENDED, THB_INVALID_HANDLE,
/// THB_FORKED.
///
/// Beats are suspended meanwhile. After THB_OK and THB_IN_DOUBT the handle is ended: it can be read and closed, all
/// else is THB_ENDED. After THB_NOT_FOUND it is gone. After anything else the beats go on, and it may be called again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_complete(
    activity: thb_activity_t,
    encoding: thb_encoding_t,
    result: *const c_void,
    result_len: usize,
    timeout_ms: u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            let result = payloads("result", encoding, result, result_len)?;
            activity::complete(activity, result, Timeout::from_ms(timeout_ms)?)
        })
    }
}

/// End this attempt with a failure; failure_json as in thb_fail, without heartbeat_details: what was recorded and not
/// acknowledged goes with it in the same request, so that the next attempt surely sees it. For a standalone activity,
/// and by ids, a beat with it is sent first, because Servers 1.31 and 1.29 lose it there. Otherwise as
/// thb_activity_complete.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_fail(
    activity: thb_activity_t,
    failure_json: *const c_char,
    failure_len: usize,
    timeout_ms: u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            let failure = boundary::bytes("failure_json", failure_json.cast(), failure_len)?;
            activity::fail(activity, failure, Timeout::from_ms(timeout_ms)?)
        })
    }
}

/// End the activity as cancelled; as thb_report_cancelled. What was recorded is sent before, within the same
/// timeout_ms. Otherwise as thb_activity_complete.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_report_cancelled(
    activity: thb_activity_t,
    encoding: thb_encoding_t,
    details: *const c_void,
    details_len: usize,
    timeout_ms: u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            let details = payloads("details", encoding, details, details_len)?;
            activity::report_cancelled(activity, details, Timeout::from_ms(timeout_ms)?)
        })
    }
}

/// Close the handle. What was recorded last is sent first, for which there is timeout_ms (0: it is abandoned). Ends
/// nothing on the server: an activity that wasn't ended times out there, and is retried. The handle is closed whatever
/// this returns.
///
/// Thread-safe; calls of other threads that are blocked on the handle return THB_INVALID_HANDLE. Blocks at most
/// timeout_ms.
/// Returns THB_OK; THB_INVALID_HANDLE, THB_FORKED, THB_INVALID_ARGUMENT; and when the last record couldn't be sent,
/// why.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_close(
    activity: thb_activity_t,
    timeout_ms: u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: outputs are NULL or writable.
    unsafe { boundary::run(error_out, || activity::close(activity, Timeout::from_ms(timeout_ms)?)) }
}
