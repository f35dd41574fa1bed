//! The process's client.

use std::ffi::c_char;

use super::{
    boundary,
    types::{thb_error_t, thb_status_t},
};
use crate::{api::rpc, model::deadline::Timeout, runtime::panics};

/// Connects this process to a Temporal server. There is one client per process.
///
/// options_json is one JSON object; (NULL, 0) is {}. Each option is taken from the first of these sources that has
/// it: options_json, its TEMPORAL_* environment variable, a profile of temporal.toml, the default. The defaults of
/// address and namespace are 127.0.0.1:7233 and "default". docs/options.md describes the keys:
///   address namespace api_key api_key_path tls{} grpc_meta{} authority identity config_file profile connect_timeout_ms
///   lazy proxy{} keepalive{} retry{} compression max_message_bytes require_encoded metrics_address
///   codec_endpoint codec_auth codec_headers{} codec_http_host codec_tls{} encode_common_attributes when_absent
/// codec_endpoint is the URL of a codec server. It encodes all values that are sent, and decodes those that are read
/// (docs/codecs.md). An API key, or any option of tls, makes the connection secure; "tls": false makes it plain. The
/// library rereads files with an API key or certificates when they change.
///
/// With "when_absent": "inactive", and no activity in the environment (see thb_activity_open), connect returns THB_OK at
/// once: it dials nothing, and reads neither files nor other variables. Inactive handles and watches of them can be
/// opened then. Functions that need the server return THB_NOT_CONNECTED.
///
/// Thread-safe. Blocks at most connect_timeout_ms (10000), until the server has answered and has the namespace.
/// Temporary failures, for example a refused connection, are retried within that time. Inputs are borrowed for the
/// call. After a failure other than THB_ALREADY_CONNECTED the process is not connected.
/// Returns
///   THB_OK
///   THB_INVALID_ARGUMENT     options_json is NULL, but options_len isn't 0; or options_len is over PTRDIFF_MAX
///   THB_CONFIG               an option, a variable or a file is wrong: unknown, of the wrong type, missing, not PEM
///   THB_ALREADY_CONNECTED    the process has a client, or another thread is connecting
///   THB_NOT_CONNECTED        thb_disconnect was called during the call
///   THB_TLS                  no secure connection: unknown CA, wrong name, expired, a client certificate refused, ...
///   THB_UNAVAILABLE, THB_TIMEOUT, THB_UNAUTHENTICATED, THB_NAMESPACE_NOT_FOUND, THB_LOCAL_LIMIT, and any other status
///   for a server answer. With lazy the first call returns these instead, except THB_LOCAL_LIMIT for lack of threads.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_connect(
    options_json: *const c_char,
    options_len: usize,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    panics::keep_quiet();
    // SAFETY: as the header requires, inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            rpc::connect(boundary::bytes("options_json", options_json.cast(), options_len)?)?.wait()
        })
    }
}

/// Changes credentials while connected: api_key, api_key_path, grpc_meta and tls, as for thb_connect. Keys that are
/// given replace the current values, in tls and grpc_meta key by key; the other keys keep theirs. Handles stay open
/// and no beat is lost: when a new connection is needed, it replaces the old one once it is established.
///
/// Thread-safe. Never waits for the server, but reads the files that the options name. Inputs are borrowed for the
/// call.
/// Returns THB_OK; THB_INVALID_ARGUMENT as thb_connect; THB_NOT_CONNECTED; THB_CONFIG: as for thb_connect, or an
/// option that can't be changed. After a failure the old credentials stay in force. An inactive process only checks the
/// options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_reconfigure(
    options_json: *const c_char,
    options_len: usize,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, inputs are readable for the call, outputs NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            rpc::reconfigure(boundary::bytes("options_json", options_json.cast(), options_len)?)
        })
    }
}

/// Disconnects. Sends the last record of each open activity, for at most timeout_ms; a timeout of 0 sends nothing.
/// Then closes all handles. Calls that are blocked in other threads return THB_NOT_CONNECTED. The process always ends
/// up not connected, and thb_connect may be called again. Errors, details and texts stay valid. Without a client this
/// only closes inactive handles, and returns THB_OK.
///
/// Thread-safe. Blocks at most timeout_ms.
/// Returns THB_OK; THB_INVALID_ARGUMENT: timeout_ms is out of range, and nothing was done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_disconnect(timeout_ms: u32, error_out: *mut *mut thb_error_t) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe { boundary::run(error_out, || rpc::disconnect(Timeout::from_ms(timeout_ms)?)?.wait()) }
}
