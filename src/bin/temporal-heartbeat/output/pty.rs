//! A pseudo-terminal as the standard output of a command. Most programs write each line to a terminal at once, but buffer their output to a
//! pipe.

use std::{
    fs::File,
    io,
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
};

use nix::{
    fcntl::OFlag,
    pty::{grantpt, posix_openpt, ptsname_r, unlockpt},
    sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr},
};

/// Opens a pseudo-terminal. Returns the end that this process reads, and the end that the command writes to.
///
/// Other commands don't inherit either end. The terminal passes all bytes unchanged. It controls no session, so it sends no signals.
pub fn open() -> io::Result<(OwnedFd, OwnedFd)> {
    let reader = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
    grantpt(&reader)?;
    unlockpt(&reader)?;
    let name = ptsname_r(&reader)?;
    let writer = File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).open(name)?;
    let mut attributes = tcgetattr(&writer)?;
    cfmakeraw(&mut attributes);
    tcsetattr(&writer, SetArg::TCSANOW, &attributes)?;
    Ok((reader.into(), writer.into()))
}
