//! The library against a misbehaving server in this process. A real server can't be made to behave like this.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod activity;
mod connecting;
mod failure_details;
mod fake;
mod faults;
mod follow;
mod futures;
mod in_doubt;
mod kills;
mod limited_connection;
mod long_tries;
mod messages;
mod not_found;
mod own_codec;
mod races;
mod retries;
mod secrets;
mod silent_token;
mod slow_server;
mod telemetry;
mod threads;
mod track;
mod worker;
mod wrong_answers;
