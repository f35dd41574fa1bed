//! The header and the built library, as used from C.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod archive;
mod built;
mod compatibility;
mod elf;
mod exits;
#[path = "../service/fake.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod fake;
mod foreign;
mod forks;
mod header;
#[path = "../service/limited_connection.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod limited_connection;
mod manual;
mod numbers;
mod options_page;
mod programs;
mod prototypes;
mod soak;
mod wrapper;
