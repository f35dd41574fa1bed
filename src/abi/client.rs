//! The one client of the process.

use std::ffi::c_char;

use super::{
    boundary,
    types::{thb_error_t, thb_status_t},
};
use crate::{calls, deadline::Timeout};

/// Connect this process to a Temporal server. There is one client per process.
///
/// options_json is one JSON object; NULL with 0, or {}, takes everything from the environment and the defaults:
///   address             "host:port"                 TEMPORAL_ADDRESS, else 127.0.0.1:7233
///   namespace           its name                    TEMPORAL_NAMESPACE, else "default"
///   identity            who the server is told      "pid@host"
///   connect_timeout_ms  how long this may take      10000
///   lazy                true: don't contact the     false
///                       server before the first call
/// An option wins over its variable. Options and TEMPORAL_* variables for secure connections, keys, headers and profiles
/// are THB_UNIMPLEMENTED in this version rather than ignored; the message names the one that is set.
///
/// Thread-safe. Blocks for at most connect_timeout_ms, until the server has answered and has the namespace; what is
/// temporary (nothing listens yet) is tried again within that time. Borrows its input for the call only. A failed
/// connect leaves "not connected".
/// Returns
///   THB_OK
///   THB_INVALID_ARGUMENT     options_json is NULL, but options_len isn't 0; or options_len is over PTRDIFF_MAX
///   THB_CONFIG               an option or a variable is wrong: not JSON, unknown, of the wrong type, out of range
///   THB_UNIMPLEMENTED        an option or a variable that this version doesn't obey
///   THB_ALREADY_CONNECTED    there is a client, or another thread is connecting
///   THB_NOT_CONNECTED        thb_disconnect came meanwhile
///   THB_UNAVAILABLE, THB_TIMEOUT, THB_NAMESPACE_NOT_FOUND, THB_LOCAL_LIMIT, and whatever else the server answers. With
///   lazy these come from the first call instead, but for a THB_LOCAL_LIMIT of threads.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_connect(
    options_json: *const c_char,
    options_len: usize,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            calls::connect(boundary::bytes("options", options_json.cast(), options_len)?)
        })
    }
}

/// Disconnect. Always ends "not connected", after which thb_connect may be called again; calls that are blocked in other
/// threads return THB_NOT_CONNECTED. Errors, details and texts survive. When not connected it does nothing.
///
/// Thread-safe. Blocks for at most timeout_ms; in this version there is nothing to wait for.
/// Returns THB_OK; THB_INVALID_ARGUMENT: timeout_ms is out of range, and nothing was done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_disconnect(timeout_ms: u32, error_out: *mut *mut thb_error_t) -> thb_status_t {
    // SAFETY: the header's words: outputs are NULL or writable.
    unsafe { boundary::run(error_out, || calls::disconnect(Timeout::from_ms(timeout_ms)?)) }
}
