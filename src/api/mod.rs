//! The API for Rust: the same functions as in the C header.

pub mod activity;
pub mod queue;
pub mod rpc;
pub mod track;
pub mod worker;
