//! Replaces `src/runtime`, with the source file that the models need.

#[path = "../../../src/runtime/oneshot.rs"]
pub mod oneshot;
