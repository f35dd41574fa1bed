//! Replaces `src/runtime`, with the source files that the models need.

use crate::model::{error::Error, status::Status};

#[path = "../../../src/runtime/oneshot.rs"]
pub mod oneshot;
#[path = "../../../src/runtime/waitable.rs"]
pub mod waitable;

pub mod panics {
    pub fn status() -> super::Error {
        super::disconnected()
    }
}

pub fn disconnected() -> Error {
    Error::new(Status::NotConnected, "disconnected")
}

pub fn soon(work: impl FnOnce()) {
    work();
}
