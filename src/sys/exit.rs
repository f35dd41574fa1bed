//! Notices that the process ends.

use std::sync::atomic::{AtomicBool, Ordering};

static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Has `last` run when the process ends by `exit` or by a return from `main`, before what was there earlier: handlers that were
/// registered before, static objects that were made before. A child of a fork has it from its parent. Only the first call's function
/// counts. Where it can't be installed the process ends without it.
pub fn at_exit(last: extern "C" fn()) {
    if !INSTALLED.swap(true, Ordering::AcqRel) {
        // SAFETY: the function lives as long as the code does, and that is never unloaded (the shared library is linked with
        // `nodelete`).
        unsafe { libc::atexit(last) };
    }
}
