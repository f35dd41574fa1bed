//! The library's version, and the task token from the environment.

use std::ffi::c_char;

use super::{
    boundary,
    types::{THB_ABI_VERSION, thb_error_t, thb_status_t, thb_text_t},
};
use crate::{api::rpc, config::handoff, model::status::Status};

/// Returns the library's version, for example "0.1.0". Static: never freed. Thread-safe. Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn thb_version() -> *const c_char {
    rpc::VERSION.as_ptr()
}

/// Returns the library's ABI version; compare it with the THB_ABI_VERSION that the caller was compiled with.
/// Thread-safe. Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn thb_abi_version() -> u32 {
    THB_ABI_VERSION
}

/// Checks whether the library supports a caller that was compiled with THB_ABI_VERSION == abi. Thread-safe. Never
/// blocks.
/// Returns THB_OK: the major version is the same, and abi's minor version isn't newer than the library's;
/// THB_ABI_MISMATCH.
#[unsafe(no_mangle)]
pub extern "C" fn thb_check_abi(abi: u32) -> thb_status_t {
    let same_major = abi >> 16 == THB_ABI_VERSION >> 16;
    if same_major && abi <= THB_ABI_VERSION { Status::Ok.code() } else { Status::AbiMismatch.code() }
}

/// Returns the name of a status, for example "THB_NOT_FOUND"; "THB_UNKNOWN" for any other number. Static: never
/// freed. Thread-safe. Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn thb_status_name(status: thb_status_t) -> *const c_char {
    Status::from_code(status).map_or(c"THB_UNKNOWN", Status::name).as_ptr()
}

/// Returns the decoded task token that the parent process handed over. It reads standard base64 text from one of: the
/// variable TEMPORAL_ACTIVITY_TASK_TOKEN, the file that TEMPORAL_ACTIVITY_TASK_TOKEN_FILE names, or the inherited
/// descriptor TEMPORAL_ACTIVITY_TASK_TOKEN_FD. Needs no client.
///
/// Thread-safe while no other thread changes the environment. Blocks only for a pipe: its writer has 10 s to write
/// and close. The descriptor stays open. The caller frees *token_out with thb_text_free; its bytes are not text.
/// Returns THB_OK; THB_CONFIG: no variable is set, several variables are set, or the token can't be read;
/// THB_INVALID_ARGUMENT: token_out is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_token_from_env(
    token_out: *mut *mut thb_text_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe {
        boundary::run_giving("token_out", token_out, error_out, || {
            let token = handoff::token_from_env()?;
            Ok(boundary::text(&token))
        })
    }
}

/// Returns the bytes of a text, which end with a NUL, and their number without the NUL in *len_out (may be NULL).
/// Returns "" and 0 for NULL. Thread-safe. Never blocks. The pointer belongs to the text and is valid until
/// thb_text_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_text_data(text: *const thb_text_t, len_out: *mut usize) -> *const c_char {
    // SAFETY: as the header requires, `text` is NULL or valid, `len_out` is NULL or writable.
    unsafe {
        let Some(text) = text.as_ref() else {
            boundary::put(len_out, 0);
            return boundary::EMPTY;
        };
        boundary::put(len_out, text.bytes.len().saturating_sub(1));
        text.bytes.as_ptr().cast()
    }
}

/// Frees a text and its bytes. NULL is fine. Must not be called twice for the same text, nor while another thread
/// uses it. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_text_free(text: *mut thb_text_t) {
    // SAFETY: as the header requires, it is NULL, or owned by the caller and used by no other thread.
    unsafe { boundary::free(text) }
}
