//! The C functions: check arguments, borrow inputs, call the API, write outputs. One file per section of the header.
//!
//! cbindgen copies these comments, in this order, into `include/temporal_heartbeat.h`.
#![allow(non_camel_case_types, reason = "the names are those of the C header")]
#![allow(clippy::missing_safety_doc, reason = "the header says what callers must keep")]

pub mod about;
pub mod activity;
pub mod boundary;
pub mod client;
pub mod details;
pub mod errors;
pub mod queue;
pub mod rpc;
pub mod telemetry;
pub mod types;
pub mod watch;
pub mod worker;
