//! Replaces `src/model`, with the source files that the models need.

#[path = "../../../src/model/deadline.rs"]
pub mod deadline;
#[path = "../../../src/model/error.rs"]
pub mod error;
#[path = "../../../src/model/status.rs"]
pub mod status;

pub mod details {
    pub struct Details;
}

pub mod signals {
    pub struct Signals;
}

pub mod payload {
    pub const DEFAULT_SIZE_LIMIT: usize = 1;
}
