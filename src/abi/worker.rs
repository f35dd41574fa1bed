//! An activity worker: tasks of a task queue.

use std::ffi::{CString, c_char, c_void};

use super::{
    boundary,
    details::wrap,
    types::{
        thb_activity_t, thb_details_t, thb_error_t, thb_queue_t, thb_status_t, thb_task_t, thb_worker_t,
    },
};
use crate::{
    api::{
        queue,
        worker::{self, Task},
    },
    model::deadline::Timeout,
};

/// Opens a worker: it takes tasks from a task queue, without an SDK. A task is one attempt of an activity. The library
/// opens its activity and beats for it from the moment it arrives, so the program only does the work:
///
///   thb_worker_open -> { thb_worker_next -> work, thb_activity_heartbeat -> thb_activity_complete | _fail | ...
///     -> thb_activity_close -> thb_task_free } ... -> thb_worker_shutdown -> the remaining tasks -> thb_worker_close
///
/// options_json is one JSON object. Defaults are in parentheses:
///   task_queue         the task queue to take tasks from (required)
///   activity_types     [..] the types that this program runs; a task of another type fails as retryable ([]: all)
///   max_concurrent     the slots: the most tasks at once (100). A slot is free again when the task is freed and its
///                      activity is ended or closed. Each poll takes a slot first
///   max_per_second     the most tasks in a second, of this worker (no limit)
///   max_tasks          the worker shuts down after this number of tasks (no limit)
///   deployment_name, build_id   the worker deployment to take tasks for (tasks without a version)
///   activity           {..} options of thb_activity_open for each task, except what the task contains: ids, timeouts,
///                      details. {"pulse": false} if another process holds the token and beats
///
/// The number of polls at once adapts, from 1 to 20. A task that isn't taken within 10 s, or half its heartbeat timeout
/// if that is less, fails as retryable. A process can have several workers, for several task queues.
///
/// Thread-safe. Never waits for the server. The caller closes *worker_out with thb_worker_close; thb_disconnect closes
/// it too. exit() doesn't wait for polls, so call thb_worker_shutdown first.
/// Returns THB_OK, THB_NOT_CONNECTED, THB_CONFIG, THB_LOCAL_LIMIT, THB_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_worker_open(
    options_json: *const c_char,
    options_len: usize,
    worker_out: *mut thb_worker_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            boundary::required("worker_out", worker_out)?;
            let options = boundary::bytes("options_json", options_json.cast(), options_len)?;
            boundary::put(worker_out, worker::open(options)?);
            Ok(())
        })
    }
}

/// Waits for the next task. THB_OK with *task_out NULL means that timeout_ms has passed. An error of polling that a
/// retry doesn't help (permissions, the namespace) is returned once, and polling continues. Temporary errors are logged.
///
/// Thread-safe; each task is returned to one thread. Blocks at most timeout_ms. The caller frees *task_out with
/// thb_task_free, and closes its activity.
/// Returns THB_OK; THB_ENDED: the worker was shut down, and all its tasks were taken; THB_INVALID_HANDLE, also when it
/// is closed during the call; THB_NOT_CONNECTED; THB_FORKED; THB_INVALID_ARGUMENT; and the status of a poll.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_worker_next(
    worker: thb_worker_t,
    timeout_ms: u32,
    task_out: *mut *mut thb_task_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe {
        boundary::run_giving("task_out", task_out, error_out, || {
            Ok(worker::next(worker, Timeout::from_ms(timeout_ms)?)?.map(thb_task_t::from))
        })
    }
}

/// Opens a descriptor for thb_worker_next, as thb_watch_open_fd does. It is also readable when the worker was shut down
/// and all its tasks were taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_worker_open_fd(
    worker: thb_worker_t,
    fd_out: *mut i32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            boundary::required("fd_out", fd_out)?;
            boundary::put(fd_out, worker::open_fd(worker)?);
            Ok(())
        })
    }
}

/// Stops polling, and waits until no poll is outstanding. thb_worker_next then returns the tasks that have arrived, and
/// THB_ENDED after them. Polls end soon if the server supports that, when no task has arrived for 2 s; otherwise within
/// 20 s. Aborting them could lose a task, so on THB_TIMEOUT (polls are still outstanding) call it again. A timeout of 0
/// only stops polling.
///
/// Thread-safe. Blocks at most timeout_ms.
/// Returns THB_OK, THB_TIMEOUT, THB_INVALID_HANDLE, THB_FORKED, THB_NOT_CONNECTED, THB_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_worker_shutdown(
    worker: thb_worker_t,
    timeout_ms: u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe { boundary::run(error_out, || worker::shutdown(worker, Timeout::from_ms(timeout_ms)?)?.wait()) }
}

/// Submits thb_worker_shutdown. Thread-safe. Never blocks. Returns as thb_queue_open says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_queue_submit_worker_shutdown(
    queue: thb_queue_t,
    user_data: u64,
    worker: thb_worker_t,
    timeout_ms: u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            queue::submit(queue, user_data, 0, || worker::shutdown(worker, Timeout::from_ms(timeout_ms)?))
        })
    }
}

/// Closes a worker. Tasks that weren't taken fail as retryable, also those that arrive later. Tasks that were taken, and
/// their activities, stay as they are. On THB_TIMEOUT polls or failures are still outstanding, and continue.
///
/// Thread-safe. Blocks at most timeout_ms.
/// Returns THB_OK, THB_TIMEOUT, THB_INVALID_HANDLE, THB_FORKED, THB_NOT_CONNECTED, THB_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_worker_close(
    worker: thb_worker_t,
    timeout_ms: u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe { boundary::run(error_out, || worker::close(worker, Timeout::from_ms(timeout_ms)?)?.wait()) }
}

/// Returns the handle of the task's activity, which is open; 0 for NULL. The caller closes it with thb_activity_close.
///
/// Thread-safe. Never blocks. What the following functions return belongs to the task, and is valid until
/// thb_task_free. For NULL they return NULL and a length of 0, or "".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_task_activity(task: *const thb_task_t) -> thb_activity_t {
    // SAFETY: as the header requires, `task` is NULL or valid.
    unsafe { task.as_ref() }.map_or(0, |object| object.task.activity)
}

/// Returns the task token, for example to hand the task to another process. Thread-safe. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_task_token(task: *const thb_task_t, len_out: *mut usize) -> *const c_void {
    // SAFETY: as the header requires, `task` is NULL or valid, `len_out` NULL or writable.
    unsafe { boundary::lend(task.as_ref().map(|object| &*object.task.facts.token), len_out) }
}

/// Returns the type of the activity, which says what to do. Thread-safe. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_task_activity_type(task: *const thb_task_t) -> *const c_char {
    // SAFETY: as the header requires, `task` is NULL or valid.
    unsafe { task.as_ref() }.map_or(boundary::EMPTY, |object| object.activity_type.as_ptr())
}

/// Returns facts about the task, a JSON object: task_queue, activity_type, activity_id, workflow_type, workflow_id (both
/// "" for a standalone activity), run_id, attempt, heartbeat_timeout_ms, start_to_close_timeout_ms,
/// schedule_to_close_timeout_ms (0: none), scheduled_at_unix_ms, attempt_scheduled_at_unix_ms, started_at_unix_ms,
/// header_keys [..]. Later versions may add keys. Thread-safe. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_task_info(task: *const thb_task_t) -> *const c_char {
    // SAFETY: as the header requires, `task` is NULL or valid.
    unsafe { task.as_ref() }.map_or(boundary::EMPTY, |object| object.info.as_ptr())
}

/// Returns the arguments of the activity, decoded if there is a codec server. Thread-safe. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_task_input(task: *const thb_task_t) -> *const thb_details_t {
    // SAFETY: as the header requires, `task` is NULL or valid.
    unsafe { task.as_ref() }.map_or(std::ptr::null(), |object| &raw const object.input)
}

/// Returns the previous attempt's heartbeat details, from which the work continues. Thread-safe. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_task_details(task: *const thb_task_t) -> *const thb_details_t {
    // SAFETY: as the header requires, `task` is NULL or valid.
    unsafe { task.as_ref() }.map_or(std::ptr::null(), |object| &raw const object.details)
}

/// Frees a task. Its activity stays open. NULL is fine. Must not be called twice for the same task, nor while another
/// thread uses it. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_task_free(task: *mut thb_task_t) {
    // SAFETY: as the header requires, `task` is NULL, or owned by the caller and used by no other thread.
    unsafe { boundary::free(task) }
}

impl From<Box<Task>> for thb_task_t {
    fn from(mut task: Box<Task>) -> Self {
        let text = |text: &str| CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default();
        thb_task_t {
            activity_type: text(&task.facts.activity_type),
            info: text(&task.facts.json()),
            input: wrap(std::mem::take(&mut task.input)),
            details: wrap(std::mem::take(&mut task.details)),
            task,
        }
    }
}
