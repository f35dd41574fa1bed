//! Asynchronous calls.

use std::ffi::{c_char, c_void};

use super::{
    boundary,
    details::wrap,
    rpc::payloads,
    types::{
        thb_activity_t, thb_completions_t, thb_details_t, thb_encoding_t, thb_error_t, thb_queue_t,
        thb_status_t,
    },
};
use crate::{
    api::{
        activity,
        queue::{self, Answer},
        rpc,
    },
    model::{deadline::Timeout, status::Status},
    runtime::panics,
};

/// Opens a queue for asynchronous calls: thb_queue_submit_... begins a call, and thb_queue_next takes the results of
/// many calls. One thread can have thousands of calls in flight.
///
/// thb_queue_submit_X takes the queue, a user_data, and then the arguments of thb_X without its outputs. It never waits
/// for the server, and copies its inputs. The completion has the user_data, any number, by which the caller finds out
/// which call has ended. timeout_ms counts from the submission.
/// - What thb_X refuses without asking the server is returned at once (wrong arguments and handles, THB_NOT_CONNECTED,
///   THB_ALREADY_OPEN, THB_TOO_LARGE, THB_ENDED, a timeout_ms of 0). Then no completion follows.
/// - Otherwise the submission returns THB_OK, and exactly one completion follows, with the status that thb_X would
///   return. Another thread may take it before the submission returns. The completions have the order in which the
///   calls end.
/// - The calls of one task token run in the order of their submission, one at a time; so do the calls of one handle.
///   Calls of different tokens have no order.
/// - At most 65536 calls with 64 MiB of inputs may be outstanding in the process; the next submission returns
///   THB_LOCAL_LIMIT. A call is outstanding until its completion is taken; after the queue was closed, until it ends.
/// - thb_disconnect first completes the calls that haven't ended, with THB_NOT_CONNECTED. exit() waits until they have
///   ended and the records are sent, for at most 2 s. A forked child has neither the parent's queues (THB_FORKED) nor
///   its calls.
///
/// thb_queue_open needs no client, and thb_disconnect doesn't close the queue.
///
/// Thread-safe. Never blocks. The caller closes *queue_out with thb_queue_close.
/// Returns THB_OK; THB_LOCAL_LIMIT: no descriptor, or too many queues; THB_INVALID_ARGUMENT: queue_out is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_queue_open(
    queue_out: *mut thb_queue_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            boundary::required("queue_out", queue_out)?;
            boundary::put(queue_out, queue::open()?);
            Ok(())
        })
    }
}

/// Closes a queue. Threads that wait in thb_queue_next return THB_INVALID_HANDLE. Calls that haven't ended continue,
/// and their results are dropped. To end them at once, cancel them before.
///
/// Thread-safe. Never blocks. Returns THB_OK; THB_INVALID_HANDLE; THB_FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_queue_close(
    queue: thb_queue_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe { boundary::run(error_out, || queue::close(queue)) }
}

/// Opens a new descriptor that is readable while completions are ready, or when the queue was closed. Only poll it. The
/// caller closes it with close(). It is CLOEXEC. With EPOLLET, call thb_queue_next until it returns no completions. If
/// several threads poll, another one may have taken them.
///
/// Thread-safe. Never blocks.
/// Returns THB_OK; THB_INVALID_HANDLE; THB_FORKED; THB_LOCAL_LIMIT: no descriptor; THB_INVALID_ARGUMENT: fd_out is
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_queue_open_fd(
    queue: thb_queue_t,
    fd_out: *mut i32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            boundary::required("fd_out", fd_out)?;
            boundary::put(fd_out, queue::open_fd(queue)?);
            Ok(())
        })
    }
}

/// Submits thb_connect. Thread-safe. Never blocks. Returns as thb_queue_open says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_queue_submit_connect(
    queue: thb_queue_t,
    user_data: u64,
    options_json: *const c_char,
    options_len: usize,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    panics::keep_quiet();
    // SAFETY: as the header requires, inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            queue::submit(queue, user_data, options_len, || {
                rpc::connect(boundary::bytes("options_json", options_json.cast(), options_len)?)
            })
        })
    }
}

/// Submits thb_disconnect. Its completion follows those of the calls that it ends.
/// Thread-safe. Never blocks. Returns as thb_queue_open says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_queue_submit_disconnect(
    queue: thb_queue_t,
    user_data: u64,
    timeout_ms: u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            queue::submit(queue, user_data, 0, || rpc::disconnect(Timeout::from_ms(timeout_ms)?))
        })
    }
}

/// Submits thb_heartbeat. The completion has the signals. Thread-safe. Never blocks. Returns as thb_queue_open says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_queue_submit_heartbeat(
    queue: thb_queue_t,
    user_data: u64,
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
            queue::submit(queue, user_data, token_len.saturating_add(details_len), || {
                let token = boundary::bytes("token", token, token_len)?;
                let details = payloads("details", encoding, details, details_len)?;
                rpc::heartbeat(token, details, Timeout::from_ms(timeout_ms)?)
            })
        })
    }
}

/// Submits thb_get_details. The completion has the details. Thread-safe. Never blocks. Returns as thb_queue_open says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_queue_submit_get_details(
    queue: thb_queue_t,
    user_data: u64,
    token: *const c_void,
    token_len: usize,
    timeout_ms: u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            queue::submit(queue, user_data, token_len, || {
                let token = boundary::bytes("token", token, token_len)?;
                rpc::get_details(token, Timeout::from_ms(timeout_ms)?)
            })
        })
    }
}

/// Submits thb_complete. Thread-safe. Never blocks. Returns as thb_queue_open says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_queue_submit_complete(
    queue: thb_queue_t,
    user_data: u64,
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
            queue::submit(queue, user_data, token_len.saturating_add(result_len), || {
                let token = boundary::bytes("token", token, token_len)?;
                let result = payloads("result", encoding, result, result_len)?;
                rpc::complete(token, result, Timeout::from_ms(timeout_ms)?)
            })
        })
    }
}

/// Submits thb_fail. Thread-safe. Never blocks. Returns as thb_queue_open says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_queue_submit_fail(
    queue: thb_queue_t,
    user_data: u64,
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
            queue::submit(queue, user_data, token_len.saturating_add(failure_len), || {
                let token = boundary::bytes("token", token, token_len)?;
                let failure = boundary::bytes("failure_json", failure_json.cast(), failure_len)?;
                rpc::fail(token, failure, Timeout::from_ms(timeout_ms)?)
            })
        })
    }
}

/// Submits thb_report_cancelled. Thread-safe. Never blocks. Returns as thb_queue_open says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_queue_submit_report_cancelled(
    queue: thb_queue_t,
    user_data: u64,
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
            queue::submit(queue, user_data, token_len.saturating_add(details_len), || {
                let token = boundary::bytes("token", token, token_len)?;
                let details = payloads("details", encoding, details, details_len)?;
                rpc::report_cancelled(token, details, Timeout::from_ms(timeout_ms)?)
            })
        })
    }
}

/// Submits thb_activity_get_details. The completion has the details.
/// Thread-safe. Never blocks. Returns as thb_queue_open says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_queue_submit_activity_get_details(
    queue: thb_queue_t,
    user_data: u64,
    activity: thb_activity_t,
    timeout_ms: u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            queue::submit(queue, user_data, 0, || activity::details(activity, Timeout::from_ms(timeout_ms)?))
        })
    }
}

/// Submits thb_activity_flush. Thread-safe. Never blocks. Returns as thb_queue_open says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_queue_submit_activity_flush(
    queue: thb_queue_t,
    user_data: u64,
    activity: thb_activity_t,
    timeout_ms: u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            queue::submit(queue, user_data, 0, || activity::flush(activity, Timeout::from_ms(timeout_ms)?))
        })
    }
}

/// Submits thb_activity_complete. Thread-safe. Never blocks. Returns as thb_queue_open says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_queue_submit_activity_complete(
    queue: thb_queue_t,
    user_data: u64,
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
            queue::submit(queue, user_data, result_len, || {
                let result = payloads("result", encoding, result, result_len)?;
                activity::complete(activity, result, Timeout::from_ms(timeout_ms)?)
            })
        })
    }
}

/// Submits thb_activity_fail. Thread-safe. Never blocks. Returns as thb_queue_open says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_queue_submit_activity_fail(
    queue: thb_queue_t,
    user_data: u64,
    activity: thb_activity_t,
    failure_json: *const c_char,
    failure_len: usize,
    timeout_ms: u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            queue::submit(queue, user_data, failure_len, || {
                let failure = boundary::bytes("failure_json", failure_json.cast(), failure_len)?;
                activity::fail(activity, failure, Timeout::from_ms(timeout_ms)?)
            })
        })
    }
}

/// Submits thb_activity_report_cancelled. Thread-safe. Never blocks. Returns as thb_queue_open says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_queue_submit_activity_report_cancelled(
    queue: thb_queue_t,
    user_data: u64,
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
            queue::submit(queue, user_data, details_len, || {
                let details = payloads("details", encoding, details, details_len)?;
                activity::report_cancelled(activity, details, Timeout::from_ms(timeout_ms)?)
            })
        })
    }
}

/// Submits thb_activity_close. The handle is invalid at once; the completion says whether the newest record was sent.
/// Until then the token can't be opened again.
/// Thread-safe. Never blocks. Returns as thb_queue_open says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_queue_submit_activity_close(
    queue: thb_queue_t,
    user_data: u64,
    activity: thb_activity_t,
    timeout_ms: u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            queue::submit(queue, user_data, 0, || activity::close(activity, Timeout::from_ms(timeout_ms)?))
        })
    }
}

/// Cancels all calls of the queue with this user_data: they end as if timeout_ms had passed. Their completions follow.
/// An ending call may have been applied: after THB_TIMEOUT it can be repeated, as always.
///
/// Thread-safe. Never blocks. Returns THB_OK, also when no such call is in progress; THB_INVALID_HANDLE; THB_FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_queue_cancel(
    queue: thb_queue_t,
    user_data: u64,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe { boundary::run(error_out, || queue::cancel(queue, user_data)) }
}

/// Takes all completions that are ready, at most max. Waits up to timeout_ms for the first. THB_OK with
/// *completions_out NULL means that timeout_ms has passed; a timeout of 0 polls.
///
/// Thread-safe; each completion goes to one of the waiting threads. Blocks at most timeout_ms. The caller frees
/// *completions_out with thb_completions_free.
/// Returns THB_OK; THB_INVALID_HANDLE, also when the queue is closed during the call; THB_FORKED;
/// THB_INVALID_ARGUMENT: max is 0, completions_out is NULL, or timeout_ms is out of range.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_queue_next(
    queue: thb_queue_t,
    max: usize,
    timeout_ms: u32,
    completions_out: *mut *mut thb_completions_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe {
        boundary::run_giving("completions_out", completions_out, error_out, || {
            let taken = queue::next(queue, max, Timeout::from_ms(timeout_ms)?)?;
            Ok((!taken.is_empty()).then(|| columns(taken)))
        })
    }
}

fn columns(taken: Vec<queue::Completion>) -> thb_completions_t {
    let mut columns = thb_completions_t::with_capacity(taken.len());
    for completion in taken {
        let (mut status, mut signals, mut details, mut error) = (Status::Ok, 0, None, None);
        match completion.outcome {
            Ok(Answer::Done) => {}
            Ok(Answer::Signals(answered)) => signals = answered.bits(),
            Ok(Answer::Details(read)) => details = Some(Box::new(wrap(read))),
            Err(failed) => {
                status = failed.status();
                error = Some(Box::new(boundary::error(failed)));
            }
        }
        columns.user_data.push(completion.user_data);
        columns.statuses.push(status.code());
        columns.signals.push(signals);
        columns.details.push(details);
        columns.errors.push(error);
    }
    columns
}

/// Returns the number of completions; 0 for NULL. Thread-safe: it only reads. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_completions_count(completions: *const thb_completions_t) -> usize {
    // SAFETY: as the header requires, `completions` is NULL or valid.
    unsafe { completions.as_ref() }.map_or(0, |columns| columns.user_data.len())
}

/// Returns the user_data of all completions, an array of thb_completions_count entries; NULL for NULL. Thread-safe.
/// Never blocks. The array belongs to the completions: it is valid until thb_completions_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_completions_user_data(completions: *const thb_completions_t) -> *const u64 {
    // SAFETY: as the header requires, `completions` is NULL or valid.
    unsafe { completions.as_ref() }.map_or(std::ptr::null(), |columns| columns.user_data.as_ptr())
}

/// Returns the statuses of all completions, as thb_completions_user_data.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_completions_statuses(
    completions: *const thb_completions_t,
) -> *const thb_status_t {
    // SAFETY: as the header requires, `completions` is NULL or valid.
    unsafe { completions.as_ref() }.map_or(std::ptr::null(), |columns| columns.statuses.as_ptr())
}

/// Returns the signals of all completions, as thb_completions_user_data; 0 where the call wasn't thb_heartbeat.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_completions_signals(completions: *const thb_completions_t) -> *const u32 {
    // SAFETY: as the header requires, `completions` is NULL or valid.
    unsafe { completions.as_ref() }.map_or(std::ptr::null(), |columns| columns.signals.as_ptr())
}

/// Returns the error of one completion; NULL if its status is THB_OK, for NULL, or when there is no such index.
/// Thread-safe. Never blocks. The error belongs to the completions: don't free it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_completions_error(
    completions: *const thb_completions_t,
    index: usize,
) -> *const thb_error_t {
    // SAFETY: as the header requires, `completions` is NULL or valid.
    let error = unsafe { completions.as_ref() }.and_then(|columns| columns.errors.get(index)?.as_deref());
    error.map_or(std::ptr::null(), std::ptr::from_ref)
}

/// Returns the details that one completion has; NULL if the call read none, for NULL, when there is no such index, or
/// after thb_completions_take_details. Thread-safe while no thread takes them. Never blocks. The details belong to the
/// completions: don't free them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_completions_details(
    completions: *const thb_completions_t,
    index: usize,
) -> *const thb_details_t {
    // SAFETY: as the header requires, `completions` is NULL or valid.
    let details = unsafe { completions.as_ref() }.and_then(|columns| columns.details.get(index)?.as_deref());
    details.map_or(std::ptr::null(), std::ptr::from_ref)
}

/// Like thb_completions_details, but the details belong to the caller, who frees them with thb_details_free. NULL the
/// second time. Not thread-safe: no other thread may use the completions during the call. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_completions_take_details(
    completions: *mut thb_completions_t,
    index: usize,
) -> *mut thb_details_t {
    // SAFETY: as the header requires, `completions` is NULL or valid and used by no other thread.
    let details = unsafe { completions.as_mut() }.and_then(|columns| columns.details.get_mut(index)?.take());
    details.map_or(std::ptr::null_mut(), Box::into_raw)
}

/// Frees completions and all pointers into them. NULL is fine. Must not be called twice for the same completions, nor
/// while another thread uses them. Never blocks. Completions stay valid after thb_queue_close, thb_disconnect and fork.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_completions_free(completions: *mut thb_completions_t) {
    // SAFETY: as the header requires, nothing else uses `completions`.
    unsafe { boundary::free(completions) }
}
