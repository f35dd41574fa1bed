//! The API for Rust: the same functions as in the C header. All of them block.

pub mod activity;
pub mod rpc;
#[cfg(feature = "cli")]
pub mod task_queue;
