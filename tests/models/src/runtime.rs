//! As `src/runtime`, as far as it is needed.

#[path = "../../../src/runtime/oneshot.rs"]
pub mod oneshot;
