//! Notices that this process is a fork of another.

use std::{
    io,
    sync::{
        Once,
        atomic::{AtomicI32, Ordering},
    },
};

static REGISTER: Once = Once::new();
static OUTCOME: AtomicI32 = AtomicI32::new(0);

/// Has `in_child` run in every child forked from now on, once, before `fork` returns there. Only the first call's
/// function counts. It may only touch atomics: of the parent's threads none but the forking one exists, and any lock may
/// be held for ever.
pub fn at_fork(in_child: extern "C" fn()) -> io::Result<()> {
    REGISTER.call_once(|| {
        // SAFETY: the function lives as long as the code does, and that is never unloaded (the shared library is linked
        // with `nodelete`).
        let code = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        OUTCOME.store(code, Ordering::Relaxed);
    });
    match OUTCOME.load(Ordering::Relaxed) {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}
