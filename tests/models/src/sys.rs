//! Replaces `src/sys`, with the source files that the models need.

#[path = "../../../src/sys/cancellation.rs"]
pub mod cancellation;
#[path = "../../../src/sys/clock.rs"]
pub mod clock;
#[path = "sync.rs"]
pub mod sync;
