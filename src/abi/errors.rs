//! The functions that read an error.

use std::ffi::c_char;

use super::{
    boundary,
    types::{thb_error_t, thb_status_t},
};
use crate::model::status::Status;

/// Returns the error's status; THB_OK for NULL. Thread-safe: it only reads. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_error_code(error: *const thb_error_t) -> thb_status_t {
    // SAFETY: as the header requires, it is NULL or valid.
    unsafe { error.as_ref() }.map_or(Status::Ok, |error| error.error.status()).code()
}

/// Returns the gRPC code of the server's answer, for example 5 for NOT_FOUND; -1 without an answer, and for NULL.
/// Thread-safe. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_error_grpc_code(error: *const thb_error_t) -> i32 {
    // SAFETY: as the header requires, it is NULL or valid.
    unsafe { error.as_ref() }.and_then(|error| error.error.grpc_code()).unwrap_or(-1)
}

/// Returns a message for people: what happened and what to do. It is valid UTF-8 and contains no secret; "" for NULL.
/// The wording may change between versions. Thread-safe. Never blocks. The pointer belongs to the error and is valid
/// until thb_error_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_error_message(error: *const thb_error_t) -> *const c_char {
    // SAFETY: as the header requires, it is NULL or valid.
    unsafe { error.as_ref() }.map_or(boundary::EMPTY, |error| error.message.as_ptr())
}

/// Returns 1 when the same call may succeed later, else 0; 0 for NULL. Thread-safe. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_error_is_retryable(error: *const thb_error_t) -> i32 {
    // SAFETY: as the header requires, it is NULL or valid.
    unsafe { error.as_ref() }.is_some_and(|error| error.error.is_retryable()).into()
}

/// Returns how many milliseconds to wait before that retry; -1 when unknown, and for NULL. Thread-safe. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_error_retry_after_ms(error: *const thb_error_t) -> i64 {
    // SAFETY: as the header requires, it is NULL or valid.
    let after = unsafe { error.as_ref() }.and_then(|error| error.error.retry_after());
    after.map_or(-1, |after| i64::try_from(after.as_millis()).unwrap_or(i64::MAX))
}

/// Frees an error and its message. NULL is fine. Must not be called twice for the same error, nor while another thread
/// uses it. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_error_free(error: *mut thb_error_t) {
    // SAFETY: as the header requires, it is NULL, or owned by the caller and used by no other thread.
    unsafe { boundary::free(error) }
}
