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

/// Opens an activity. From then on the library sends its beats in the background, and recording progress takes
/// nanoseconds. One token has at most one handle. For that token the one-call functions, except thb_get_details,
/// return THB_ALREADY_OPEN. Without a token, pass (NULL, 0) and an option that replaces it: from_env or the ids.
///
/// options_json is one JSON object; every key may be absent, and (NULL, 0) is {}. Defaults are in parentheses:
///   heartbeat_timeout_ms  the activity's heartbeat timeout (0: the library asks the server). An operator can change it.
///                         The library takes the timeouts in force from each description of the activity
///   pulse                 false: send beats only for records, not to keep the activity alive (true)
///   stall_timeout_ms      after this time without a record or touch the activity is stalled (0: never). Time in which
///                         the activity is paused doesn't count. Nor does time of more than a second in which the
///                         process is frozen, or the machine suspended
///   stall_action          what happens then. "stop": the pulse stops, so that the server times the attempt out. "warn":
///                         only the signal, the log and the metrics show it. "fail": the library ends the attempt
///                         with a retryable failure of the type Stalled, which carries the newest record, the time
///                         without progress, the status (thb_activity_set_status) and the stacks. Progress before
///                         that call prevents it ("stop"). With "warn" a watchdog thread of the program can wait for
///                         THB_SIGNAL_STALLED, and fail the attempt with the stack of the hung thread:
///                         bindings/c/examples/stalled.c and bindings/cpp/examples/stalled.cpp
///   stall_signal          in a stall, send this signal to the thread that opened the activity, or set the status last.
///                         Its handler writes the stacks to a pipe (none). The library installs no handler
///   stall_stack_fd        the read end of that pipe. The library reads for at most 2 s, until a NUL or until nothing
///                         follows for 0.3 s. A block that begins with "Current thread" is moved to the front, and
///                         32 KiB are kept. Make the write end non-blocking. Without stall_signal the program writes
///                         when it sees THB_SIGNAL_STALLED. Keep both ends open until the handle is closed (none)
///   stall_report          "brief": the failure has neither status nor stacks ("full"). In an encrypted namespace they
///                         are never readable. A codec server encodes them: with encode_common_attributes as
///                         usual, otherwise as the details of the failure. With require_encoded and without a codec
///                         server they are left out
///   cancel_poll_ms        send a beat at least this often, to receive signals sooner (0: the timeout decides)
///   follow_server         true: a long poll at the server shows a cancellation at once, not with the next beat (false)
///   initial_details       base64 of the encoded Payloads that the attempt started with; "": it has none; absent: the
///                         server is asked before the first beat
///   age_ms                time since the attempt started; the first lease counts from that start (0)
///   attempt_remaining_ms  time that the attempt has left, a hint; when it has passed, the library asks the server
///                         whether the timeouts were changed, and sets THB_SIGNAL_DEADLINE if they weren't
///   workflow_id, run_id, activity_id, attempt   identify the activity instead of a token:
///                         docs/by-ids.md. A standalone activity has no workflow_id. With a token they only serve
///                         to ask the server for the activity's timeout and details
///   require_encoded       true: refuse values that no codec has encoded, because they are readable (false)
///   verify                true: before an ending call returns THB_IN_DOUBT, check the outcome, and return THB_OK if
///                         this call ended the activity (false)
///   from_env              true: take the token and missing options from the variables TEMPORAL_ACTIVITY_..., which the
///                         parent sets (false): docs/hand-off.md
///   when_absent           "inactive": if from_env finds no activity, because none of the variables of the token and the
///                         ids is set, the handle is inactive. Has no effect without from_env or with a token ("error")
///
/// With an inactive handle a program also runs by hand, without Temporal. The handle needs no thb_connect. Nothing is
/// sent, the details are empty, and the signals stay 0. Its calls return THB_OK, also when they are repeated, after the
/// usual checks of their arguments. Waits last until their timeouts. thb_activity_close and thb_disconnect make it
/// invalid. A variable that is set but empty, or wrong, is THB_CONFIG as ever.
///
/// The time from one beat to the next depends on the heartbeat timeout T: T/2 up to T = 20 s, T - 10 s above, but at
/// most 0.8 T and 60 s. For example, it is 5 s for T = 10 s, 20 s for 30 s, 48 s for 60 s; 30 s if T is unknown or
/// there is none. If the server answers slowly, beats are due earlier. A beat always carries the newest details. The
/// library sends no beat without details until it knows that the server holds none. A failed beat is retried after a
/// growing pause. A beat without an answer in time is retried at once, behind the first one on the same connection. If
/// the connection doesn't even answer a PING of HTTP/2, the library aborts it and retries the beat on a new one.
/// NOT_FOUND stops the beats (THB_SIGNAL_GONE).
///
/// With follow_server a standalone activity also shows a pause, a reset and changed timeouts at once. The activity of a
/// workflow shows a pause with the next beat, and changed timeouts within a minute, because the server pushes neither.
/// One long poll serves all activities of a workflow's run in this process. It needs the permission to read the
/// workflow. At most 100 are open at once. Where there is none, the log says why (event not_followed), and the signals
/// arrive with the beats. docs/guide/follow.md has the costs.
///
/// Thread-safe. Never waits for the server. Inputs are borrowed for the call. The caller closes *activity_out with
/// thb_activity_close; 0 < handle < 2^53.
/// Returns THB_OK, THB_NOT_CONNECTED, THB_ALREADY_OPEN, THB_CONFIG (options, variables), THB_INVALID_ARGUMENT,
/// THB_TOKEN_UNREADABLE (the library can't read the activity's ids from the token, which it needs to read the
/// progress: pass initial_details, the ids, or pulse false), THB_LOCAL_LIMIT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_open(
    token: *const c_void,
    token_len: usize,
    options_json: *const c_char,
    options_len: usize,
    activity_out: *mut thb_activity_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, inputs are readable for the call, outputs NULL or writable.
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

/// Records progress. The details replace those recorded before. The first record is sent at once; later ones with the
/// next beat that is due. A newer record replaces one that isn't sent. thb_activity_flush, _fail, _report_cancelled and
/// _close, thb_disconnect and exit() send the last record; thb_activity_complete doesn't. THB_ENCODING_NONE is refused,
/// because it would erase the progress.
///
/// Thread-safe. Never waits for the network. Inputs are borrowed for the call. On THB_OK *signals_out (may be NULL)
/// is the current set of signals. THB_SIGNAL_LEASE_LOST is exact: the first call after the process was frozen reports
/// it.
/// Returns THB_OK, THB_NOT_FOUND (the activity is over: stop the work), THB_ENDED, THB_TOO_LARGE,
/// THB_INVALID_ARGUMENT, THB_INVALID_HANDLE, THB_FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_heartbeat(
    activity: thb_activity_t,
    encoding: thb_encoding_t,
    details: *const c_void,
    details_len: usize,
    signals_out: *mut u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run_brief(error_out, || {
            let details = boundary::bytes("details", details, details_len)?;
            let signals = activity::record(activity, Encoding::from_code(encoding)?, details)?;
            boundary::put(signals_out, signals.bits());
            Ok(())
        })
    }
}

/// Reports progress without details, which restarts the stall timeout. Otherwise as thb_activity_heartbeat.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_touch(
    activity: thb_activity_t,
    signals_out: *mut u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe {
        boundary::run_brief(error_out, || {
            boundary::put(signals_out, activity::touch(activity)?.bits());
            Ok(())
        })
    }
}

/// Sets what the work is doing now, as UTF-8 of at most 4 KiB, for example "loading shard 7". It replaces the previous
/// text; (NULL, 0) removes it. thb_activity_get_info shows it, and so does the failure of a stall (stall_action). It is
/// no progress: it doesn't restart the stall timeout. Don't put secrets into it.
///
/// Thread-safe. Never waits. The text is borrowed for the call. Allowed after the end of the activity.
/// Returns THB_OK, THB_TOO_LARGE, THB_INVALID_ARGUMENT (no UTF-8), THB_INVALID_HANDLE, THB_FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_set_status(
    activity: thb_activity_t,
    text: *const c_char,
    text_len: usize,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            let text = boundary::bytes("text", text.cast(), text_len)?;
            activity::set_status(activity, boundary::utf8("text", text)?)
        })
    }
}

/// Returns the current signals, also after the activity has ended. Thread-safe. Never waits.
/// Returns THB_OK, THB_INVALID_HANDLE, THB_FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_get_signals(
    activity: thb_activity_t,
    signals_out: *mut u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe {
        boundary::run_brief(error_out, || {
            boundary::put(signals_out, activity::signals(activity)?.bits());
            Ok(())
        })
    }
}

/// Waits until a signal of mask differs from known_signals, or timeout_ms has passed. Both are THB_OK; *signals_out
/// (may be NULL) is then the current set of signals. A timeout of 0 polls.
///
/// To wait while the activity is paused, pass THB_SIGNAL_PAUSED as known_signals, and as mask that signal and those
/// after which the work stops: CANCEL_REQUESTED, RESET, GONE, LEASE_LOST. It returns at once if it isn't paused.
///
/// Thread-safe; any number of threads may wait. Blocks at most timeout_ms.
/// Returns THB_OK, THB_INVALID_HANDLE (also when it is closed during the call), THB_FORKED, THB_NOT_CONNECTED
/// (disconnected during the call), THB_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_wait(
    activity: thb_activity_t,
    mask: u32,
    known_signals: u32,
    timeout_ms: u32,
    signals_out: *mut u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            let (mask, known) = (Signals::from_bits(mask), Signals::from_bits(known_signals));
            let signals = activity::wait(activity, mask, known, Timeout::from_ms(timeout_ms)?)?;
            boundary::put(signals_out, signals.bits());
            Ok(())
        })
    }
}

/// Returns the details that the server held when the activity was opened: those of the previous attempt. No details
/// is not an error: thb_details_count is 0. Records don't change them. Without initial_details the server is asked,
/// so call this before the first record.
///
/// Thread-safe. Blocks at most timeout_ms; a timeout of 0 returns what is already known. The caller frees
/// *details_out with thb_details_free.
/// Returns THB_OK, THB_TIMEOUT, THB_UNAVAILABLE, THB_NOT_FOUND, THB_ENDED, THB_FAILED_PRECONDITION (a record replaced
/// them before the first call), THB_INVALID_HANDLE, THB_FORKED, THB_NOT_CONNECTED, THB_INVALID_ARGUMENT, and the
/// status of the server's answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_get_details(
    activity: thb_activity_t,
    timeout_ms: u32,
    details_out: *mut *mut thb_details_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe {
        boundary::run_giving("details_out", details_out, error_out, || {
            let details = activity::details(activity, Timeout::from_ms(timeout_ms)?)?.wait()?;
            Ok(wrap(details))
        })
    }
}

/// Returns a report on the activity, a JSON object. Values that aren't known are null. Later versions may add keys:
///   state                  "open", "ending", "ended", "gone" or "inactive"
///   attempt                its number; 0 if unknown
///   addressed_by           how requests name the activity: "token", "derived_token" or "ids" (docs/by-ids.md)
///   signals                the set of THB_SIGNAL_*, as a number
///   heartbeat_timeout_ms   0 if unknown, or there is none
///   start_to_close_timeout_ms, schedule_to_close_timeout_ms   0 if there is none
///   timeouts_from          "server": all three are those in force when the server described the activity; "options":
///                          the server hasn't described it
///   following              true: a long poll follows the activity (follow_server)
///   cancel_reason, cancel_identity   the reason of the cancellation, and the client that requested it, if the server
///                          shows them. For the activity of a workflow: those of the workflow's cancellation, which only
///                          follow_server reads
///   pause_reason, pause_identity     the same for the pause of a workflow's activity
///   lease_left_ms          the time until THB_SIGNAL_LEASE_LOST
///   since_acknowledged_ms  the time since the server acknowledged a beat
///   pending                true: the newest record isn't acknowledged
///   unencoded_ms           how long the newest record has waited for the codec server, if it does
///   next_beat_ms           the time until the next beat
///   records, beats         how many were recorded, and how many beats were acknowledged
///   failed_tries           how many tries of beats failed
///   leases_regained        how often a beat was acknowledged after THB_SIGNAL_LEASE_LOST
///   last_error             of the codec server while a record waits for it, otherwise of a beat: {code, name, message}
///   status                 what thb_activity_set_status has set
///   since_progress_ms      the time since the last record or touch, without the time that doesn't count for a stall
///
/// Thread-safe. Never waits. The caller frees *info_out with thb_text_free.
/// Returns THB_OK, THB_INVALID_HANDLE, THB_FORKED, THB_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_get_info(
    activity: thb_activity_t,
    info_out: *mut *mut thb_text_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe {
        boundary::run_giving("info_out", info_out, error_out, || {
            Ok(boundary::text(activity::info(activity)?.as_bytes()))
        })
    }
}

/// Sends the newest record at once, and waits until the server has acknowledged it. After a touch it sends a beat too,
/// unless one was acknowledged since the touch.
///
/// Thread-safe. Blocks at most timeout_ms.
/// Returns THB_OK, THB_NOT_FOUND, THB_ENDED, THB_TIMEOUT, THB_UNAVAILABLE, THB_INVALID_HANDLE, THB_FORKED,
/// THB_NOT_CONNECTED, THB_INVALID_ARGUMENT, and the status of the server's answer to the beat.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_flush(
    activity: thb_activity_t,
    timeout_ms: u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe { boundary::run(error_out, || activity::flush(activity, Timeout::from_ms(timeout_ms)?)?.wait()) }
}

/// Completes the activity with a result, as thb_complete. A record that isn't sent yet is dropped: no attempt follows
/// that could read it. Returns the same statuses, and also THB_ENDED, THB_INVALID_HANDLE, THB_FORKED.
///
/// Beats are suspended during the call. After THB_OK and THB_IN_DOUBT the handle is ended: it can be read and closed,
/// and all other calls return THB_ENDED. After THB_NOT_FOUND the activity is over. After any other status the beats
/// resume, and the call may be repeated. If a beat has since found that the activity is over, the repeated call returns
/// THB_IN_DOUBT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_complete(
    activity: thb_activity_t,
    encoding: thb_encoding_t,
    result: *const c_void,
    result_len: usize,
    timeout_ms: u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            let result = payloads("result", encoding, result, result_len)?;
            activity::complete(activity, result, Timeout::from_ms(timeout_ms)?)?.wait()
        })
    }
}

/// Ends this attempt with a failure; failure_json is as in thb_fail, but without heartbeat_details. Instead the same
/// request carries the newest record, if it isn't acknowledged, so that the next attempt gets it. For a standalone
/// activity, and by ids, the record is sent first in a separate beat, because Servers 1.31 and 1.29 lose it in the
/// failure. Otherwise as thb_activity_complete.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_fail(
    activity: thb_activity_t,
    failure_json: *const c_char,
    failure_len: usize,
    timeout_ms: u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            let failure = boundary::bytes("failure_json", failure_json.cast(), failure_len)?;
            activity::fail(activity, failure, Timeout::from_ms(timeout_ms)?)?.wait()
        })
    }
}

/// Ends the activity as cancelled, as thb_report_cancelled. Sends the newest record first, within the same
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
    // SAFETY: as the header requires, inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            let details = payloads("details", encoding, details, details_len)?;
            activity::report_cancelled(activity, details, Timeout::from_ms(timeout_ms)?)?.wait()
        })
    }
}

/// Closes the handle. Sends the newest record first, for at most timeout_ms (0: drops it). Ends nothing on the
/// server: an activity that wasn't ended times out there and is retried. The handle is closed even if the record
/// couldn't be sent.
///
/// Thread-safe; calls of other threads that wait with the handle return THB_INVALID_HANDLE. Blocks at most timeout_ms.
/// Returns THB_OK; THB_INVALID_HANDLE, THB_FORKED; THB_INVALID_ARGUMENT: timeout_ms is out of range, and nothing was
/// done; and, if the last record couldn't be sent or was dropped, the status of that failure, for example THB_TIMEOUT.
/// THB_ENDED: the record was made after the library had failed the stalled attempt (stall_action).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_activity_close(
    activity: thb_activity_t,
    timeout_ms: u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe { boundary::run(error_out, || activity::close(activity, Timeout::from_ms(timeout_ms)?)?.wait()) }
}
