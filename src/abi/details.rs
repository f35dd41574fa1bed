//! Details: read from the server, or put together here.

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

/// An object for the caller.
pub fn wrap(details: Details) -> thb_details_t {
    let encodings = details.values().iter().map(name).collect();
    thb_details_t { details, encodings }
}

fn name(value: &Value) -> CString {
    CString::new(value.encoding.replace('\0', "\u{fffd}")).unwrap_or_default()
}

/// Make empty details, to be filled by thb_details_add and passed on by thb_details_payloads.
///
/// Thread-safe. Never blocks. *details_out is the caller's, to be freed by thb_details_free.
/// Returns THB_OK; THB_INVALID_ARGUMENT: details_out is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_details_new(
    details_out: *mut *mut thb_details_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: outputs are NULL or writable. `details_out` is used after its check.
    unsafe {
        boundary::clear(details_out);
        boundary::run(error_out, || {
            boundary::required("details_out", details_out)?;
            boundary::give(details_out, wrap(Details::new()));
            Ok(())
        })
    }
}

/// Add a value, or with THB_ENCODING_PAYLOADS each of several. Also to details that came from the server.
///
/// One thread at a time for the same details. Never blocks. Copies the data, which may be the details' own. Pointers
/// into the details that were handed out before are invalid after it.
/// Returns THB_OK; THB_INVALID_ARGUMENT: details is NULL, encoding is THB_ENCODING_NONE or none at all, or the data
/// isn't what it says; nothing was added.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_details_add(
    details: *mut thb_details_t,
    encoding: thb_encoding_t,
    data: *const c_void,
    data_len: usize,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: `details` is NULL or alive and used by nobody else during the call, the data readable, outputs
    // NULL or writable.
    unsafe {
        boundary::run(error_out, || {
            let object = details.as_mut().ok_or_else(|| Error::argument("details is NULL"))?;
            let data = boundary::bytes("data", data, data_len)?;
            object.details.add(Encoding::from_code(encoding)?, data)?;
            let known = object.encodings.len();
            object.encodings.extend(object.details.values().iter().skip(known).map(name));
            Ok(())
        })
    }
}

/// How many values there are. NULL: 0. Thread-safe, as all that only reads. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_details_count(details: *const thb_details_t) -> usize {
    // SAFETY: the header's words: NULL or alive.
    unsafe { details.as_ref() }.map_or(0, |object| object.details.values().len())
}

/// The bytes of one value, and their number in *len_out (may be NULL). Not NUL-terminated. An index that there isn't, or
/// NULL details: NULL, 0. An empty value: not NULL, 0.
///
/// Thread-safe. Never blocks. The pointer is the details' own, and lives until they are freed or added to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_details_data(
    details: *const thb_details_t,
    index: usize,
    len_out: *mut usize,
) -> *const c_void {
    // SAFETY: the header's words: `details` is NULL or alive, `len_out` NULL or writable.
    unsafe {
        let data =
            details.as_ref().and_then(|object| object.details.values().get(index)).map(|value| &value.data);
        boundary::put(len_out, data.map_or(0, |data| data.len()));
        data.map_or(std::ptr::null(), |data| data.as_ptr().cast())
    }
}

/// The name of one value's encoding: "json/plain", "binary/plain", "binary/null", "json/protobuf", ... "" when it has
/// none, for an index that there isn't, and for NULL details.
///
/// Thread-safe. Never blocks. The pointer is the details' own, and lives until they are freed or added to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_details_encoding(details: *const thb_details_t, index: usize) -> *const c_char {
    // SAFETY: the header's words: NULL or alive.
    let object = unsafe { details.as_ref() };
    object.and_then(|object| object.encodings.get(index)).map_or(boundary::EMPTY, |name| name.as_ptr())
}

/// All values as one serialized temporal.api.common.v1.Payloads, for THB_ENCODING_PAYLOADS; as it came, if it came from
/// the server. Its length in *len_out (may be NULL). NULL details: NULL, 0.
///
/// Thread-safe. Never blocks. The pointer is the details' own, and lives until they are freed or added to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_details_payloads(
    details: *const thb_details_t,
    len_out: *mut usize,
) -> *const c_void {
    // SAFETY: the header's words: `details` is NULL or alive, `len_out` NULL or writable.
    unsafe {
        let encoded = details.as_ref().map(|object| object.details.payloads().encoded());
        boundary::put(len_out, encoded.map_or(0, <[u8]>::len));
        encoded.map_or(std::ptr::null(), |encoded| encoded.as_ptr().cast())
    }
}

/// The attempt that the server has now, from 1; 0 when unknown, as in details of thb_details_new and for NULL. If it
/// isn't the caller's own attempt, another has taken over. Thread-safe. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_details_attempt(details: *const thb_details_t) -> i32 {
    // SAFETY: the header's words: NULL or alive.
    unsafe { details.as_ref() }.map_or(0, |object| object.details.about().attempt)
}

/// When the last heartbeat was recorded, in milliseconds since 1970 by the server's clock; 0 when never, and for NULL.
/// Thread-safe. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_details_recorded_at_unix_ms(details: *const thb_details_t) -> i64 {
    // SAFETY: the header's words: NULL or alive.
    unsafe { details.as_ref() }.map_or(0, |object| object.details.about().recorded_at_unix_ms)
}

/// The activity's heartbeat timeout, where the server tells it (0: it has none); else, and for NULL, -1.
/// Thread-safe. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_details_heartbeat_timeout_ms(details: *const thb_details_t) -> i64 {
    // SAFETY: the header's words: NULL or alive.
    let timeout = unsafe { details.as_ref() }.and_then(|object| object.details.about().heartbeat_timeout);
    timeout.map_or(-1, |timeout| i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX))
}

/// Frees details, and all that was read from them. NULL is fine. Must not be called twice for the same ones, nor while
/// another thread uses them. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_details_free(details: *mut thb_details_t) {
    // SAFETY: the header's words: NULL, or the caller's own and used by nobody any more.
    unsafe { boundary::free(details) }
}
