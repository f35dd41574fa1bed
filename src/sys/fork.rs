//! Notices that this process is a fork of another.

use std::io;

use once_cell::race::OnceBool;

/// Whether the handler is installed. The cell takes no lock: a fork while another thread holds one would leave it held in the child.
static INSTALLED: OnceBool = OnceBool::new();

/// Has `in_child` run in every child forked from now on, before `fork` returns there; more than once if several threads install it at the
/// same time. `in_child` may only do what a signal handler may: of the parent's threads only the forking one exists there. Only the first
/// call's function counts.
pub fn at_fork(in_child: extern "C" fn()) -> io::Result<()> {
    let installed = INSTALLED.get_or_try_init(|| {
        // SAFETY: the function lives as long as the code does, and that is never unloaded (the shared library is linked with
        // `nodelete`).
        match unsafe { libc::pthread_atfork(None, None, Some(in_child)) } {
            0 => Ok(true),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    });
    installed.map(drop)
}
