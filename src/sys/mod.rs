//! Direct use of the operating system. Together with `abi` it contains all unsafe code of the library.

pub mod blocking;
pub mod cancellation;
pub mod clock;
pub mod descriptor;
pub mod environment;
pub mod event;
pub mod exit;
pub mod fork;
pub mod fork_private;
pub mod host;
pub mod network;
pub mod per_process;
pub mod reactor;
pub mod signals;
#[cfg(test)]
pub mod simulated;
pub mod stack_dump;
pub mod stderr;
pub mod sync;
