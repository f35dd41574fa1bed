//! Heartbeats a Temporal Activity from any process.
//!
//! From C and everything that calls C, through `include/temporal_heartbeat.h`; from Rust, through [`calls`]. A
//! heartbeat's way is `abi` -> [`calls`] -> `client` -> [`payload`] -> `transport` -> the server.

pub mod abi;
pub mod activity;
pub mod calls;
mod client;
pub mod deadline;
pub mod details;
mod doubt;
pub mod error;
mod failure;
mod global;
pub mod handoff;
mod json;
pub mod options;
mod park;
pub mod payload;
mod pulse;
mod retry;
mod runtime;
mod session;
mod setback;
pub mod signals;
pub mod status;
mod sys;
mod token;
mod transport;

#[allow(missing_docs, clippy::all)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/proto.rs"));
}
