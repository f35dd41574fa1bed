//! Reading an error.

use std::ffi::c_char;

use super::{
    boundary,
    types::{thb_error_t, thb_status_t},
};
use crate::model::status::Status;

/// The status that came with the error. NULL: THB_OK. Thread-safe, as all that only reads. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_error_code(error: *const thb_error_t) -> thb_status_t {
    // SAFETY: the header's words: NULL or alive.
    unsafe { error.as_ref() }.map_or(Status::Ok, |error| error.error.status()).code()
}

/// The gRPC code that the server answered, e.g. 5 for NOT_FOUND; -1 when none did, and for NULL.
/// Thread-safe. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_error_grpc_code(error: *const thb_error_t) -> i32 {
    // SAFETY: the header's words: NULL or alive.
    unsafe { error.as_ref() }.and_then(|error| error.error.grpc_code()).unwrap_or(-1)
}

/// What happened and what to do, for people: valid UTF-8, never NULL, no secret in it. Its wording may change. NULL: "".
/// Thread-safe. Never blocks. The pointer is the error's own, and lives as long as that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_error_message(error: *const thb_error_t) -> *const c_char {
    // SAFETY: the header's words: NULL or alive.
    unsafe { error.as_ref() }.map_or(boundary::EMPTY, |error| error.message.as_ptr())
}

/// 1 when the same call may succeed later, else 0. NULL: 0. Thread-safe. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_error_is_retryable(error: *const thb_error_t) -> i32 {
    // SAFETY: the header's words: NULL or alive.
    unsafe { error.as_ref() }.is_some_and(|error| error.error.is_retryable()).into()
}

/// How many milliseconds to wait before that, where something is known of it; else, and for NULL, -1.
/// Thread-safe. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_error_retry_after_ms(error: *const thb_error_t) -> i64 {
    // SAFETY: the header's words: NULL or alive.
    let after = unsafe { error.as_ref() }.and_then(|error| error.error.retry_after());
    after.map_or(-1, |after| i64::try_from(after.as_millis()).unwrap_or(i64::MAX))
}

/// Frees an error, and its message. NULL is fine. Must not be called twice for the same one, nor while another thread
/// uses it. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_error_free(error: *mut thb_error_t) {
    // SAFETY: the header's words: NULL, or the caller's own and used by nobody any more.
    unsafe { boundary::free(error) }
}
