//! Details: read from the server, or built by the caller.

use std::ffi::{CString, c_char, c_void};

use super::{
    boundary,
    types::{thb_details_t, thb_encoding_t, thb_error_t, thb_status_t},
};
use crate::model::{
    details::{Details, Value},
    error::Error,
    payload::Encoding,
};

/// Wraps details in the object that the C functions use, with their encodings as C strings.
pub fn wrap(details: Details) -> thb_details_t {
    let encodings = details.values().iter().map(encoding_name).collect();
    thb_details_t { details, encodings }
}

fn encoding_name(value: &Value) -> CString {
    CString::new(value.encoding.replace('\0', "\u{fffd}")).unwrap_or_default()
}

/// Creates empty details. Add values with thb_details_add, and pass them on with thb_details_payloads.
///
/// Thread-safe. Never blocks. The caller frees *details_out with thb_details_free.
/// Returns THB_OK; THB_INVALID_ARGUMENT: details_out is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_details_new(
    details_out: *mut *mut thb_details_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe { boundary::run_giving("details_out", details_out, error_out, || Ok(wrap(Details::new()))) }
}

/// Appends a value; with THB_ENCODING_PAYLOADS, each of its values. Works for details from the server too.
///
/// Not thread-safe: no other thread may use the same details during the call. Never blocks. Copies the data, which
/// may lie within the same details. Invalidates all pointers into the details that were returned before.
/// Returns THB_OK; THB_INVALID_ARGUMENT: details is NULL, encoding is THB_ENCODING_NONE or unknown, or the data
/// doesn't match the encoding; nothing was added.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_details_add(
    details: *mut thb_details_t,
    encoding: thb_encoding_t,
    data: *const c_void,
    data_len: usize,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, `details` is NULL or valid and used by no other thread
    // during the call, the data is readable, and outputs are NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            let object = details.as_mut().ok_or_else(|| Error::argument("details is NULL"))?;
            let data = boundary::bytes("data", data, data_len)?;
            object.details.add(Encoding::from_code(encoding)?, data)?;
            let added = object.details.values().iter().skip(object.encodings.len());
            object.encodings.extend(added.map(encoding_name));
            Ok(())
        })
    }
}

/// Returns the number of values; 0 for NULL. Thread-safe: it only reads. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_details_count(details: *const thb_details_t) -> usize {
    // SAFETY: as the header requires, `details` is NULL or valid.
    unsafe { details.as_ref() }.map_or(0, |object| object.details.values().len())
}

/// Returns the bytes of one value, without a NUL at the end, and their number in *len_out (may be NULL). Returns NULL
/// and 0 for NULL, or when there is no such index. For an empty value, the pointer isn't NULL and the length is 0.
///
/// Thread-safe. Never blocks. The pointer belongs to the details and is valid until thb_details_add or
/// thb_details_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_details_data(
    details: *const thb_details_t,
    index: usize,
    len_out: *mut usize,
) -> *const c_void {
    // SAFETY: as the header requires, `details` is NULL or valid, `len_out` NULL or writable.
    unsafe {
        let value = details.as_ref().and_then(|object| object.details.values().get(index));
        boundary::lend(value.map(|value| &*value.data), len_out)
    }
}

/// Returns the encoding of one value: "json/plain", "binary/plain", "binary/null", "json/protobuf", ... Returns ""
/// for a value without one, for NULL, or when there is no such index.
///
/// Thread-safe. Never blocks. The pointer belongs to the details and is valid until thb_details_add or
/// thb_details_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_details_encoding(details: *const thb_details_t, index: usize) -> *const c_char {
    // SAFETY: as the header requires, `details` is NULL or valid.
    let object = unsafe { details.as_ref() };
    object.and_then(|object| object.encodings.get(index)).map_or(boundary::EMPTY, |name| name.as_ptr())
}

/// Returns all values as one serialized temporal.api.common.v1.Payloads, for THB_ENCODING_PAYLOADS, and its length in
/// *len_out (may be NULL). Details from the server are returned unchanged, as a codec has encoded them. Returns NULL and
/// 0 for NULL.
///
/// Thread-safe. Never blocks. The pointer belongs to the details and is valid until thb_details_add or
/// thb_details_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_details_payloads(
    details: *const thb_details_t,
    len_out: *mut usize,
) -> *const c_void {
    // SAFETY: as the header requires, `details` is NULL or valid, `len_out` NULL or writable.
    unsafe { boundary::lend(details.as_ref().map(|object| object.details.payloads().encoded()), len_out) }
}

/// Returns the same with the values that the codec server has decoded; without one, the same as thb_details_payloads.
///
/// Thread-safe. Never blocks. The pointer belongs to the details and is valid until thb_details_add or
/// thb_details_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_details_decoded_payloads(
    details: *const thb_details_t,
    len_out: *mut usize,
) -> *const c_void {
    // SAFETY: as the header requires, `details` is NULL or valid, `len_out` NULL or writable.
    unsafe {
        boundary::lend(details.as_ref().map(|object| object.details.decoded_payloads().encoded()), len_out)
    }
}

/// Returns the number, from 1, of the attempt that the server has now; 0 when unknown, for details of
/// thb_details_new, and for NULL. If it isn't the caller's own attempt, another attempt has taken over. Thread-safe.
/// Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_details_attempt(details: *const thb_details_t) -> i32 {
    // SAFETY: as the header requires, `details` is NULL or valid.
    unsafe { details.as_ref() }.map_or(0, |object| object.details.about().attempt)
}

/// Returns when the server recorded the last heartbeat, in milliseconds since 1970 by the server's clock; 0 when it
/// has recorded none, and for NULL. Thread-safe. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_details_recorded_at_unix_ms(details: *const thb_details_t) -> i64 {
    // SAFETY: as the header requires, `details` is NULL or valid.
    unsafe { details.as_ref() }.map_or(0, |object| object.details.about().recorded_at_unix_ms)
}

/// Returns the activity's heartbeat timeout in milliseconds, 0 if it has none; -1 if the server doesn't report it,
/// and for NULL. Thread-safe. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_details_heartbeat_timeout_ms(details: *const thb_details_t) -> i64 {
    // SAFETY: as the header requires, `details` is NULL or valid.
    let timeout = unsafe { details.as_ref() }.and_then(|object| object.details.about().heartbeat_timeout);
    timeout.map_or(-1, |timeout| i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX))
}

/// Frees details and all pointers into them. NULL is fine. Must not be called twice for the same details, nor while
/// another thread uses them. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_details_free(details: *mut thb_details_t) {
    // SAFETY: as the header requires, `details` is NULL, or owned by the caller and used by no other thread.
    unsafe { boundary::free(details) }
}
