//! Sends heartbeats of a Temporal Activity from any process.
//!
//! C, and other languages that can call C, use this library through `include/temporal_heartbeat.h`. Rust uses [`api`].
//!
//! A file imports only from its own layer and from those below it (`tests/layers.rs`):
//!
//! | layer | what it does |
//! |---|---|
//! | [`abi`] | the C functions: checks arguments, borrows, calls [`api`], writes results |
//! | [`api`] | the functions for Rust: one request (`rpc`), an activity held open (`activity`), a worker (`worker`) |
//! | `process` | the client of the process: connect, disconnect, fork, exit |
//! | `worker` | workers: take tasks from task queues, and open their activities |
//! | `activity` | activities held open: their state, and the scheduler that decides when to send |
//! | `client` | Temporal's requests: their content, when to retry them, and the meaning of answers |
//! | `transport` | gRPC over HTTP/2: connections, TLS, proxies, credentials |
//! | `runtime` | the Tokio runtime, and which thread drives it |
//! | `telemetry` | metrics and log records |
//! | [`config`] | options, environment, `temporal.toml`, hand-off variables |
//! | [`model`] | values that all layers share |
//! | `sys` | the operating system; with `abi` the only unsafe code |
//!
//! A call passes through these layers: `abi` → `api::rpc` → `process` → `client` → `transport` → server. A beat of an
//! open activity starts at the scheduler: `activity::scheduler` → `client` → `transport` → server. The answer is returned
//! as signals or as an [`Error`](model::error::Error).

#![deny(
    clippy::exit,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::dbg_macro,
    reason = "the process, its end and its output are the host's"
)]

pub mod abi;
mod activity;
pub mod api;
mod client;
pub mod config;
pub mod model;
mod process;
mod runtime;
#[cfg(test)]
#[path = "../tests/sim/mod.rs"]
mod sim;
mod sys;
mod telemetry;
mod transport;
mod worker;

#[allow(missing_docs, clippy::all)]
#[cfg_attr(not(feature = "cli"), allow(dead_code))]
mod proto;
