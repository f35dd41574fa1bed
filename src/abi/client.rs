//! The one client of the process.

use std::ffi::c_char;

use super::{
    boundary,
    types::{thb_error_t, thb_status_t},
};
use crate::{api::rpc, model::deadline::Timeout, runtime::panics};

/// Connect this process to a Temporal server. There is one client per process.
///
/// options_json is one JSON object; NULL with 0, or {}, takes everything from elsewhere. An option wins over its
/// TEMPORAL_* variable, that over a profile of temporal.toml, that over the default. docs/options.md describes the keys:
///   address namespace api_key api_key_path tls{} grpc_meta{} authority identity config_file profile connect_timeout_ms
///   lazy proxy{} keepalive{} retry{} compression max_message_bytes require_encoded metrics_address
/// An API key, or any option of tls, makes the connection secure; "tls": false makes it plain. Files with an API key or
/// certificates are read again when they change.
///
/// Thread-safe. Blocks for at most connect_timeout_ms, until the server has answered and has the namespace; what is
/// temporary (nothing listens yet) is tried again within that time. Borrows its input for the call only. A failed
/// connect leaves "not connected".
/// Returns
///   THB_OK
///   THB_INVALID_ARGUMENT     options_json is NULL, but options_len isn't 0; or options_len is over PTRDIFF_MAX
///   THB_CONFIG               an option, a variable or a file is wrong: unknown, of the wrong type, missing, no PEM
///   THB_ALREADY_CONNECTED    there is a client, or another thread is connecting
///   THB_NOT_CONNECTED        thb_disconnect came meanwhile
///   THB_TLS                  no secure connection: unknown CA, wrong name, expired, a client certificate refused, ...
///   THB_UNAVAILABLE, THB_TIMEOUT, THB_UNAUTHENTICATED, THB_NAMESPACE_NOT_FOUND, THB_LOCAL_LIMIT, and whatever else the
///   server answers. With lazy these come from the first call instead, but for a THB_LOCAL_LIMIT of threads.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_connect(
    options_json: *const c_char,
    options_len: usize,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    panics::keep_quiet();
    // SAFETY: the header's words: inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            rpc::connect(boundary::bytes("options_json", options_json.cast(), options_len)?)
        })
    }
}

/// Change credentials while connected: api_key, api_key_path, grpc_meta and tls, as for thb_connect. What is given
/// replaces what there was (of tls and grpc_meta key by key); what isn't stays. Handles stay open and no beat is lost: a
/// new connection, where one is needed, takes the place of the old one once it is there.
///
/// Thread-safe. Never waits for the server; reads the files that options name. Borrows its input for the call only.
/// Returns THB_OK, THB_INVALID_ARGUMENT as thb_connect, THB_NOT_CONNECTED; THB_CONFIG: as for thb_connect, or another
/// option than these. On failure everything is as before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_reconfigure(
    options_json: *const c_char,
    options_len: usize,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            rpc::reconfigure(boundary::bytes("options_json", options_json.cast(), options_len)?)
        })
    }
}

/// Disconnect. First sends what was recorded last on each open activity, for at most timeout_ms; a timeout of 0 sends
/// nothing. Then closes all handles. Calls that are blocked in other threads return THB_NOT_CONNECTED. The process
/// always ends up not connected, and thb_connect may be called again. Errors, details and texts stay valid. Without a
/// connection this does nothing.
///
/// Thread-safe. Blocks for at most timeout_ms.
/// Returns THB_OK; THB_INVALID_ARGUMENT: timeout_ms is out of range, and nothing was done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_disconnect(timeout_ms: u32, error_out: *mut *mut thb_error_t) -> thb_status_t {
    // SAFETY: the header's words: outputs are NULL or writable.
    unsafe { boundary::run(error_out, || rpc::disconnect(Timeout::from_ms(timeout_ms)?)) }
}
