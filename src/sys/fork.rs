//! Runs a handler in forked children.

use std::io;

use once_cell::race::OnceBool;

/// Whether the handler is installed. The cell takes no lock: a lock that another thread holds during a fork stays
/// locked in the child.
static INSTALLED: OnceBool = OnceBool::new();

/// Registers `in_child` to run in every child that is forked from now on, before `fork` returns there. It may run
/// more than once if several threads register it at the same time. `in_child` must be async-signal-safe: only the
/// forking thread exists in the child. Only the first call's function counts.
pub fn at_fork(in_child: extern "C" fn()) -> io::Result<()> {
    let installed = INSTALLED.get_or_try_init(|| {
        // SAFETY: the function is never unloaded: the shared library is linked with `nodelete`.
        match unsafe { libc::pthread_atfork(None, None, Some(in_child)) } {
            0 => Ok(true),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    });
    installed.map(drop)
}
