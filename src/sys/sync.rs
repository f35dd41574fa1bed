//! What threads wait for each other with. The models in `tests/models` put other kinds in their place, which try every order of events.

pub use std::sync::{Arc, Condvar, Mutex, MutexGuard};

pub use tokio::sync::Notify;
