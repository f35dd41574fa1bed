//! The C functions: check, borrow, call, write out. One file per group of the header.
//!
//! The comments here are the header's text, in its order: cbindgen writes `include/temporal_heartbeat.h` from them.
#![allow(non_camel_case_types, reason = "the names are those of the C header")]
#![allow(clippy::missing_safety_doc, reason = "the header says what callers must keep")]

pub mod about;
pub mod activity;
pub mod boundary;
pub mod client;
pub mod details;
pub mod errors;
pub mod rpc;
pub mod telemetry;
pub mod types;
pub mod watch;
