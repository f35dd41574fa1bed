//! What the library is, and what a process was handed.

use std::ffi::c_char;

use super::{
    boundary,
    types::{THB_ABI_VERSION, thb_error_t, thb_status_t, thb_text_t},
};
use crate::{
    api::rpc,
    config::handoff,
    model::{error::Error, status::Status},
};

/// The library's version, e.g. "0.1.0". Static: never freed. Thread-safe. Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn thb_version() -> *const c_char {
    rpc::VERSION.as_ptr()
}

/// The ABI that the library has, to be compared with the THB_ABI_VERSION that the caller was compiled with.
/// Thread-safe. Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn thb_abi_version() -> u32 {
    THB_ABI_VERSION
}

/// Whether the library serves a caller that was compiled with THB_ABI_VERSION == abi. Thread-safe. Never blocks.
/// Returns THB_OK: the major version is the same, and the minor one not newer than the library's; THB_ABI_MISMATCH.
#[unsafe(no_mangle)]
pub extern "C" fn thb_check_abi(abi: u32) -> thb_status_t {
    let same_major = abi >> 16 == THB_ABI_VERSION >> 16;
    if same_major && abi <= THB_ABI_VERSION { Status::Ok.code() } else { Status::AbiMismatch.code() }
}

/// A status's name, e.g. "THB_NOT_FOUND"; "THB_UNKNOWN" for a number that is none.
/// Static: never freed. Thread-safe. Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn thb_status_name(status: thb_status_t) -> *const c_char {
    Status::from_code(status).map_or(c"THB_UNKNOWN", Status::name).as_ptr()
}

/// The task token that this process was handed, decoded: from the variable TEMPORAL_ACTIVITY_TASK_TOKEN (standard
/// base64), or the file that TEMPORAL_ACTIVITY_TASK_TOKEN_FILE names, or the inherited descriptor
/// TEMPORAL_ACTIVITY_TASK_TOKEN_FD, which hold the same base64 text. Needs no client.
///
/// Thread-safe as far as nobody changes the environment meanwhile. Blocks only for a pipe, whose writer has 10 s to
/// write and close. The descriptor stays open. *token_out is the caller's, to be freed by thb_text_free; its bytes are
/// no text.
/// Returns THB_OK; THB_CONFIG: none of the variables is set, or more than one, or nothing readable is behind it;
/// THB_INVALID_ARGUMENT: token_out is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_token_from_env(
    token_out: *mut *mut thb_text_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: outputs are NULL or writable. Each is used after its check.
    unsafe {
        boundary::clear(token_out);
        boundary::run(error_out, || {
            boundary::required("token_out", token_out)?;
            let token = handoff::token_from_env()?;
            boundary::give(token_out, boundary::text(&token));
            Ok::<(), Error>(())
        })
    }
}

/// The bytes of a text, with a NUL behind them, and their number without it in *len_out (may be NULL). NULL text: "", 0.
/// Thread-safe. Never blocks. The pointer is the text's own, and lives as long as that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_text_data(text: *const thb_text_t, len_out: *mut usize) -> *const c_char {
    // SAFETY: the header's words: `text` is NULL or alive, `len_out` is NULL or writable.
    unsafe {
        let Some(text) = text.as_ref() else {
            boundary::put(len_out, 0);
            return boundary::EMPTY;
        };
        boundary::put(len_out, text.bytes.len().saturating_sub(1));
        text.bytes.as_ptr().cast()
    }
}

/// Frees a text, and its bytes. NULL is fine. Must not be called twice for the same one, nor while another thread uses
/// it. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_text_free(text: *mut thb_text_t) {
    // SAFETY: the header's words: NULL, or the caller's own and used by nobody any more.
    unsafe { boundary::free(text) }
}
