//! What threads wait for each other with. The models in `tests/models` put other kinds in their place, which try every order of events, and
//! the simulation in `tests/sim` those that wait for simulated time.

pub use std::sync::Arc;
#[cfg(not(test))]
pub use std::sync::{Condvar, Mutex, MutexGuard};

pub use tokio::sync::Notify;

#[cfg(test)]
pub use super::simulated::{Condvar, Mutex, MutexGuard};
