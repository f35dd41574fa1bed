//! As `src/sys`, as far as it is needed.

#[path = "../../../src/sys/cancellation.rs"]
pub mod cancellation;
#[path = "../../../src/sys/clock.rs"]
pub mod clock;
#[path = "sync.rs"]
pub mod sync;
