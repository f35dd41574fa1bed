//! Heartbeats a Temporal Activity from any process.
//!
//! From C and everything that calls C, through `include/temporal_heartbeat.h`; from Rust, through [`calls`] (one call, one request)
//! and [`held`] (activities held open, which beat in the background). The command-line program in `src/bin` is made of these.
//!
//! The way of a call is `abi` -> [`calls`] -> `global` -> `session` -> `client` -> `retry` -> `transport` -> the server; a
//! background beat's is `abi` -> [`held`] -> `activity`, and from there `pulse` -> `client` -> `transport`. Back comes a signal, or an
//! error: `setback` -> [`error`] -> `abi`.

#![deny(
    clippy::exit,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::dbg_macro,
    reason = "the process, its end and its output are the host's"
)]

pub mod abi;
mod activity;
pub mod attempt;
pub mod calls;
mod client;
mod credentials;
pub mod deadline;
mod description;
pub mod details;
mod doubt;
pub mod error;
mod failure;
mod files;
mod global;
pub mod handoff;
pub mod held;
mod json;
mod method;
pub mod options;
mod panics;
mod park;
pub mod payload;
#[cfg(feature = "cli")]
pub mod poll;
mod pulse;
mod retry;
mod rules;
mod runtime;
mod secret;
mod session;
mod setback;
pub mod signals;
pub mod status;
mod sys;
mod telemetry;
mod time;
pub mod token;
mod transport;

#[allow(missing_docs, clippy::all)]
#[cfg_attr(not(feature = "cli"), allow(dead_code))]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/proto.rs"));
}
