//! One waiter for many activities.

use super::{
    boundary,
    types::{thb_activity_t, thb_error_t, thb_status_t, thb_watch_t},
};
use crate::{
    api::activity,
    model::{deadline::Timeout, signals::Signals},
};

/// Opens a watch: one waiter for the signals of any number of activities, for event loops.
///
/// Thread-safe. Never blocks. The caller closes *watch_out with thb_watch_close; thb_disconnect closes it too.
/// Returns THB_OK; THB_NOT_CONNECTED: there is no client, and no inactive handle is open; THB_LOCAL_LIMIT: no
/// descriptor, or too many watches; THB_INVALID_ARGUMENT: watch_out is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_watch_open(
    watch_out: *mut thb_watch_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            boundary::required("watch_out", watch_out)?;
            boundary::put(watch_out, activity::open_watch()?);
            Ok(())
        })
    }
}

/// Adds an activity to the watch. thb_watch_next then returns the activity whenever a signal of mask differs from
/// what it returned last (initially: no signal), together with user_data. To change mask and user_data, add the
/// activity again. Closing the activity removes it.
///
/// Thread-safe. Never blocks. Returns THB_OK; THB_INVALID_HANDLE and THB_FORKED for either handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_watch_add(
    watch: thb_watch_t,
    activity: thb_activity_t,
    mask: u32,
    user_data: u64,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            activity::add_to_watch(watch, activity, Signals::from_bits(mask), user_data)
        })
    }
}

/// Waits for the next activity with changed signals. THB_OK with *activity_out 0 means that timeout_ms has
/// passed; a timeout of 0 polls. Outputs may be NULL. user_data_out and signals_out are written only with an
/// activity.
///
/// Thread-safe; each change is returned to one of the waiting threads. Blocks at most timeout_ms.
/// Returns THB_OK; THB_INVALID_HANDLE, also when the watch is closed during the call; THB_NOT_CONNECTED: disconnected
/// during the call; THB_FORKED; THB_INVALID_ARGUMENT: timeout_ms is out of range.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_watch_next(
    watch: thb_watch_t,
    timeout_ms: u32,
    activity_out: *mut thb_activity_t,
    user_data_out: *mut u64,
    signals_out: *mut u32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            let news = activity::next_of_watch(watch, Timeout::from_ms(timeout_ms)?)?;
            boundary::put(activity_out, news.as_ref().map_or(0, |news| news.activity));
            if let Some(news) = news {
                boundary::put(user_data_out, news.user_data);
                boundary::put(signals_out, news.signals.bits());
            }
            Ok(())
        })
    }
}

/// Opens a new descriptor that is readable while thb_watch_next has something to return, or when the watch was
/// closed. Only poll it. The caller closes it with close(). It is CLOEXEC.
///
/// Thread-safe. Never blocks.
/// Returns THB_OK; THB_INVALID_HANDLE; THB_FORKED; THB_LOCAL_LIMIT: no descriptor; THB_INVALID_ARGUMENT: fd_out is
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_watch_open_fd(
    watch: thb_watch_t,
    fd_out: *mut i32,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            boundary::required("fd_out", fd_out)?;
            boundary::put(fd_out, activity::open_watch_fd(watch)?);
            Ok(())
        })
    }
}

/// Closes a watch; its activities stay open. Thread-safe. Never blocks.
/// Returns THB_OK; THB_INVALID_HANDLE; THB_FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_watch_close(
    watch: thb_watch_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe { boundary::run(error_out, || activity::close_watch(watch)) }
}
