//! Runs a handler when the process ends.

use std::sync::atomic::{AtomicBool, Ordering};

static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Registers `last` to run when the process calls `exit` or returns from `main`. It runs before handlers and
/// destructors that were registered earlier. A forked child inherits the registration. Only the first call's function
/// counts. If the registration fails, the process ends without it.
pub fn at_exit(last: extern "C" fn()) {
    if !INSTALLED.swap(true, Ordering::AcqRel) {
        // SAFETY: the function is never unloaded: the shared library is linked with `nodelete`.
        unsafe { libc::atexit(last) };
    }
}
