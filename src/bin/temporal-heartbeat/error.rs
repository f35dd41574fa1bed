//! Errors of this program in addition to the library's errors.

use std::io;

use temporal_heartbeat::model::{error::Error, status::Status};

/// Returns the error of a failed system call. `action` completes "can't ...".
pub fn local_error(action: &str, why: &io::Error) -> Error {
    Error::new(Status::LocalLimit, format!("can't {action}: {why}"))
}
