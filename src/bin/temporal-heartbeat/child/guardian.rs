//! A small process beside this one, which outlives it by a moment: it kills the groups that are left when this program was killed, be
//! it by SIGKILL, and removes its files. The kernel's own help (PR_SET_PDEATHSIG) reaches the command, but nothing that it started.
//!
//! They talk over a socket. Each message is a number: a process group to guard; or, negative, one to forget. The end of the socket
//! is the end of the program.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read},
    os::{
        fd::{AsRawFd, RawFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    path::Path,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::{Pid, setsid},
};
use temporal_heartbeat::model::{
    error::{Error, Result},
    status::Status,
};

/// This program's end.
pub struct Guardian {
    socket: Option<UnixStream>,
    process: Child,
}

impl Guardian {
    /// Starts the process. It removes `directory` at its end.
    pub fn start(directory: &Path) -> Result<Self> {
        let started = (|| {
            let (ours, theirs) = UnixStream::pair()?;
            let mut command = Command::new("/proc/self/exe");
            command
                .arg0(env!("CARGO_BIN_NAME"))
                .args(["guard".as_ref(), directory.as_os_str()])
                .current_dir("/")
                .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            // SAFETY: `setsid` is async-signal-safe. In a session of its own it isn't reached by what is meant for our terminal or
            // for our process group.
            unsafe { command.pre_exec(|| Ok(setsid().map(drop)?)) };
            Ok(Guardian { process: command.spawn()?, socket: Some(ours) })
        })();
        started.map_err(|why: io::Error| {
            let why = format!("can't start the process that guards the command: {why}; is /proc mounted?");
            Error::new(Status::LocalLimit, why)
        })
    }

    /// What a new child announces itself on.
    pub(super) fn descriptor(&self) -> RawFd {
        self.socket.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// The group is over.
    pub(super) fn release(&self, id: Pid) {
        // When the guardian is gone there is nothing to release.
        send_number(self.descriptor(), -id.as_raw());
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        self.socket = None;
        // It ends at once.
        let _ = self.process.wait();
    }
}

/// Runs in a child between fork and exec, when it leads its group.
pub(super) fn announce(descriptor: RawFd) {
    if let Ok(number) = i32::try_from(std::process::id()) {
        // A guardian that somebody killed is no reason not to run; the kernel still kills the command itself.
        send_number(descriptor, number);
    }
}

/// Sends the number of this process, which leads a new group, to the guardian. Async-signal-safe.
fn send_number(descriptor: RawFd, number: i32) -> bool {
    let bytes = number.to_ne_bytes();
    // SAFETY: pointer and length are those of `bytes`. Without MSG_NOSIGNAL a guardian that is gone would be our end.
    let sent = unsafe { libc::send(descriptor, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
    usize::try_from(sent) == Ok(bytes.len())
}

/// The guardian's own program.
pub fn guard(directory: &Path) -> Result<u8> {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT] {
        // It ends with the one that it guards, and not before. Where this can't be, it can be killed, as ever.
        let _ = signal_hook::flag::register(signal, std::sync::Arc::default());
    }
    let mut groups = BTreeSet::new();
    let mut number = [0; 4];
    let mut socket = io::stdin().lock();
    while socket.read_exact(&mut number).is_ok() {
        match i32::from_ne_bytes(number) {
            // A group 0 or 1 would be ours, or everybody.
            guarded @ 2.. => groups.insert(guarded),
            over => groups.remove(&over.saturating_neg()),
        };
    }
    for group in groups {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    // It is gone already when the program ended by itself.
    let _ = fs::remove_dir_all(directory);
    Ok(0)
}
