//! What a process can do, in Rust. These are the functions of the C header; all of them block.

pub mod activity;
pub mod rpc;
#[cfg(feature = "cli")]
pub mod task_queue;
