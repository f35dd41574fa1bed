//! Replaces `src/process`, with the source file that the models need.

#[path = "../../../src/process/queue.rs"]
pub mod queue;
