//! Notices that this process is a fork of another.

use std::{
    io,
    os::fd::AsRawFd,
    sync::atomic::{AtomicBool, AtomicI32, Ordering},
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

/// The descriptor that a child is not to keep; -1 when there is none.
static UNSHARED: AtomicI32 = AtomicI32::new(-1);

/// A descriptor that is closed in every child: a port that a child went on holding would be lost to its parent. One at a time, the
/// newest.
pub struct Unshared(i32);

impl Unshared {
    /// This one. To be dropped before it is closed.
    pub fn new(descriptor: &impl AsRawFd) -> Self {
        let number = descriptor.as_raw_fd();
        UNSHARED.store(number, Ordering::Release);
        Unshared(number)
    }
}

impl Drop for Unshared {
    fn drop(&mut self) {
        // Another may have come in its place already.
        let _ = UNSHARED.compare_exchange(self.0, -1, Ordering::AcqRel, Ordering::Relaxed);
    }
}

/// Closes it. For the child of a fork, in its only thread, before any other descriptor is made there.
pub fn close_unshared() {
    let number = UNSHARED.swap(-1, Ordering::AcqRel);
    if number >= 0 {
        // SAFETY: no pointers are passed. The number is that of a descriptor that is open in the parent, and here too.
        unsafe { libc::close(number) };
    }
}
