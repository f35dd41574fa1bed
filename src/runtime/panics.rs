//! A panic is a mistake in the library. The caller gets a status, and the process's stderr nothing: that is the host's.

use std::{
    panic,
    sync::{Mutex, Once, PoisonError},
};

use crate::model::{error::Error, status::Status};

static QUIET: Once = Once::new();
/// Where the last one was.
static PLACE: Mutex<String> = Mutex::new(String::new());

/// Has panics printed no more. Only for the C library, whose standard library is its own: in a program in Rust this would be the
/// program's to say.
pub fn keep_quiet() {
    QUIET.call_once(|| {
        panic::set_hook(Box::new(|what| {
            let place = what.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
            // Whoever holds it is at the same.
            if let Ok(mut last) = PLACE.try_lock() {
                *last = place.unwrap_or_default();
            }
        }));
    });
}

/// What a caller is told.
pub fn status() -> Error {
    let place = PLACE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let why = format!(
        "this is a mistake in the library, or its descriptors were closed: a panic{place}; others go on"
    );
    Error::new(Status::Internal, why)
}
