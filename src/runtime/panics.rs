//! Turns a panic, which is a bug in the library, into a status. Prints nothing, because stderr belongs to the
//! host.

use std::{panic, sync::Once};

use crate::{
    model::{error::Error, status::Status},
    sys::sync::Mutex,
};

static QUIET: Once = Once::new();
/// The source location of the last panic.
static PLACE: Mutex<String> = Mutex::new(String::new());

/// Replaces the panic hook by one that prints nothing. Only the C library does this: its copy of the standard
/// library is its own, while in a Rust program the hook belongs to the program.
pub fn keep_quiet() {
    QUIET.call_once(|| {
        panic::set_hook(Box::new(|what| {
            let place = what.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
            *PLACE.lock() = place.unwrap_or_default();
        }));
    });
}

/// Returns the error that a caller gets after a panic.
pub fn status() -> Error {
    let place = PLACE.lock().clone();
    let why =
        format!("a bug in the library, or its descriptors were closed: a panic{place}; other calls continue");
    Error::new(Status::Internal, why)
}
