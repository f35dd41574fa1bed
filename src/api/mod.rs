//! The API for Rust: the same functions as in the C header.

pub mod activity;
pub mod queue;
pub mod rpc;
#[cfg(feature = "cli")]
pub mod task_queue;
pub mod track;
