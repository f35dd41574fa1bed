//! The boundary to C: checks arguments, writes results and errors, and stops panics.

use std::{
    ffi::{CString, c_char, c_void},
    panic::{AssertUnwindSafe, catch_unwind},
};

use zeroize::Zeroizing;

use super::types::{thb_error_t, thb_status_t, thb_text_t};
use crate::{
    model::{
        error::{Error, Result},
        status::Status,
    },
    runtime::panics,
    sys,
};

/// Runs the body of a C function. Turns its error or panic into a status and an error object.
///
/// # Safety
/// `error_out` is NULL or points to a pointer that may be written.
pub unsafe fn run(error_out: *mut *mut thb_error_t, body: impl FnOnce() -> Result<()>) -> thb_status_t {
    // SAFETY: the caller of this function guarantees it.
    sys::cancellation::postponed(|| unsafe { run_brief(error_out, body) })
}

/// Runs a body that never waits. Unlike [`run`] it needn't postpone the cancellation of the thread.
///
/// # Safety
/// As [`run`].
#[inline]
pub unsafe fn run_brief(error_out: *mut *mut thb_error_t, body: impl FnOnce() -> Result<()>) -> thb_status_t {
    // SAFETY: the caller of this function guarantees it.
    unsafe { clear(error_out) };
    // A panic can leave only the caller's outputs incomplete, and those were cleared first.
    let outcome = catch_unwind(AssertUnwindSafe(body));
    let outcome = outcome.unwrap_or_else(|_| Err(panics::status()));
    let Err(error) = outcome else { return Status::Ok.code() };
    let code = error.status().code();
    if !error_out.is_null() {
        // SAFETY: not NULL; the caller of this function guarantees the rest.
        unsafe { error_out.write(Box::into_raw(Box::new(self::error(error)))) };
    }
    code
}

/// Wraps an error in the object that the C functions use.
pub fn error(error: Error) -> thb_error_t {
    // An error's text could contain a NUL, which a C string can't.
    let message = CString::new(error.message().replace('\0', "\u{fffd}")).unwrap_or_default();
    thb_error_t { error, message }
}

/// Runs the body of a C function without a status. Returns its value, or `otherwise` after a panic.
pub fn value<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

/// Sets a pointer output to NULL, unless the caller passed no output.
///
/// # Safety
/// `out` is NULL or points to a pointer that may be written.
pub unsafe fn clear<T>(out: *mut *mut T) {
    if !out.is_null() {
        // SAFETY: not NULL; the caller of this function guarantees the rest.
        unsafe { out.write(std::ptr::null_mut()) };
    }
}

/// Checks that a required output isn't NULL.
pub fn required<T>(name: &str, out: *mut T) -> Result<()> {
    if out.is_null() {
        Err(Error::argument(format!("{name} is NULL: pass a pointer for the result")))
    } else {
        Ok(())
    }
}

/// Like [`run`], and passes the object that `body` returns to the caller.
///
/// # Safety
/// Both outputs are NULL or point to a pointer that may be written.
pub unsafe fn run_giving<T, Made: Into<Option<T>>>(
    name: &str,
    out: *mut *mut T,
    error_out: *mut *mut thb_error_t,
    body: impl FnOnce() -> Result<Made>,
) -> thb_status_t {
    // SAFETY: the caller of this function guarantees it; `out` is written after its check.
    unsafe {
        clear(out);
        run(error_out, || {
            required(name, out)?;
            if let Some(object) = body()?.into() {
                out.write(Box::into_raw(Box::new(object)));
            }
            Ok(())
        })
    }
}

/// Frees an object that the caller owns. NULL is fine.
///
/// # Safety
/// `object` is NULL or was passed to the caller by [`run_giving`] or [`run`], and no thread uses it any more.
pub unsafe fn free<T>(object: *mut T) {
    if !object.is_null() {
        // SAFETY: `Box::into_raw` made it, and the caller passes its only pointer to it.
        value((), || drop(unsafe { Box::from_raw(object) }));
    }
}

/// Writes a scalar output, unless the caller passed no output.
///
/// # Safety
/// `out` is NULL or points to a `T` that may be written.
pub unsafe fn put<T>(out: *mut T, value: T) {
    if !out.is_null() {
        // SAFETY: not NULL; the caller of this function guarantees the rest.
        unsafe { out.write(value) };
    }
}

/// Lends bytes to the caller: returns their address, and their length in `len_out`. Without bytes NULL and 0.
///
/// # Safety
/// `len_out` is NULL or writable.
pub unsafe fn lend(bytes: Option<&[u8]>, len_out: *mut usize) -> *const c_void {
    // SAFETY: the caller guarantees it.
    unsafe { put(len_out, bytes.map_or(0, <[u8]>::len)) };
    bytes.map_or(std::ptr::null(), |bytes| bytes.as_ptr().cast())
}

/// Borrows the bytes that a caller passes.
///
/// # Safety
/// When `data` isn't NULL, it points to `len` readable bytes that no thread writes while the result is used.
#[inline]
pub unsafe fn bytes<'a>(name: &str, data: *const c_void, len: usize) -> Result<&'a [u8]> {
    if len > isize::MAX.unsigned_abs() {
        return Err(Error::argument(format!(
            "{name}_len is {len}, more than any object has; was a negative number passed?"
        )));
    }
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(Error::argument(format!("{name} is NULL, but {name}_len is {len}")));
    }
    // SAFETY: not NULL, at most PTRDIFF_MAX bytes; the caller of this function guarantees the rest.
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) })
}

/// Returns bytes that a caller passes as text.
pub fn utf8<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|why| Error::argument(format!("{name} isn't UTF-8: {why}")))
}

/// Creates a text object from bytes.
pub fn text(bytes: &[u8]) -> thb_text_t {
    // The text may be a task token. It is wiped when freed, and never grows, since that would leave a copy behind.
    let mut text = Zeroizing::new(Vec::with_capacity(bytes.len() + 1));
    text.extend_from_slice(bytes);
    text.push(0);
    thb_text_t { bytes: text }
}

/// The empty string, returned where a string was promised but there is none.
pub const EMPTY: *const c_char = c"".as_ptr();
