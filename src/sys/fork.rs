//! Notices that this process is a fork of another.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};

static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Has `in_child` run in every child forked from now on, before `fork` returns there; more than once if several threads
/// came here at the same time, for a lock that kept them apart could be held for ever in a child. `in_child` may only do what a
/// signal handler may: of the parent's threads none but the forking one exists there. Only the first call's function counts.
pub fn at_fork(in_child: extern "C" fn()) -> io::Result<()> {
    if INSTALLED.load(Ordering::Acquire) {
        return Ok(());
    }
    // SAFETY: the function lives as long as the code does, and that is never unloaded (the shared library is linked with
    // `nodelete`).
    match unsafe { libc::pthread_atfork(None, None, Some(in_child)) } {
        0 => {
            INSTALLED.store(true, Ordering::Release);
            Ok(())
        }
        code => Err(io::Error::from_raw_os_error(code)),
    }
}
