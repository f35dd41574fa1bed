//! A small process that outlives this program: if this program is killed, even by SIGKILL, the guardian kills the process groups that are
//! left and removes the temporary files. PR_SET_PDEATHSIG kills only the command, not the processes that it started.
//!
//! This program writes to the guardian over a socket. Each message is a number: the id of a process group to guard, or the negative id of
//! one that has ended. The end of the stream is the end of the program.

use std::{
    collections::BTreeSet,
    env,
    fs::{self, DirBuilder},
    io::{self, Read},
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::{fs::DirBuilderExt, net::UnixStream, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::{Pid, setsid},
};
use once_cell::sync::OnceCell;
use temporal_heartbeat::model::error::Result;

use crate::error::local_error;

/// This program's end of the guardian. Dropping it ends the guardian.
pub struct Guardian {
    socket: Option<UnixStream>,
    process: Child,
    path: PathBuf,
    directory: OnceCell<()>,
}

impl Guardian {
    /// Starts the guardian.
    pub fn start() -> Result<Self> {
        let name = format!("{}-{:016x}", env!("CARGO_BIN_NAME"), fastrand::u64(..));
        let path = env::temp_dir().join(name);
        let (socket, process) = spawn(&path)
            .map_err(|why| local_error("start the guardian process (is /proc mounted?)", &why))?;
        Ok(Guardian { socket: Some(socket), process, path, directory: OnceCell::new() })
    }

    /// Returns the directory for temporary files, which only this user can read. The first call creates it.
    pub fn directory(&self) -> Result<&Path> {
        // Fails if the path exists, so that it can't be a directory of another user.
        self.directory.get_or_try_init(|| DirBuilder::new().mode(0o700).create(&self.path)).map_err(
            |why| {
                let action = format!(
                    "create the directory {} for temporary files (TMPDIR must be a writable directory)",
                    self.path.display()
                );
                local_error(&action, &why)
            },
        )?;
        Ok(&self.path)
    }

    /// The descriptor for [`register`].
    pub(super) fn socket(&self) -> RawFd {
        self.socket.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Stops guarding a group.
    pub(super) fn release(&self, group: Pid) {
        send(self.socket(), -group.as_raw());
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        self.socket = None;
        let _ = self.process.wait();
        // The guardian has done this, unless it was killed.
        if self.directory.get().is_some() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn spawn(directory: &Path) -> io::Result<(UnixStream, Child)> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0(env!("CARGO_BIN_NAME"))
        .args(["guard".as_ref(), directory.as_os_str()])
        .current_dir("/")
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // SAFETY: `setsid` is async-signal-safe. In its own session the guardian gets no signals of this program's terminal or process group.
    unsafe { command.pre_exec(|| Ok(setsid().map(drop)?)) };
    Ok((ours, command.spawn()?))
}

/// Makes the guardian guard the process group that the calling process leads. Async-signal-safe.
pub(super) fn register(socket: RawFd) {
    if let Ok(id) = i32::try_from(std::process::id()) {
        send(socket, id);
    }
}

/// Ignores errors: without a guardian the kernel still kills the command. Async-signal-safe.
fn send(socket: RawFd, number: i32) {
    let bytes = number.to_ne_bytes();
    // SAFETY: pointer and length are those of `bytes`. MSG_NOSIGNAL: without it, SIGPIPE would kill this program if the guardian has ended.
    unsafe { libc::send(socket, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
}

/// Runs the guardian process.
pub fn run(directory: &Path) -> Result<u8> {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT] {
        // These signals must not end the guardian before the program. Without a handler they would end it.
        let _ = signal_hook::flag::register(signal, std::sync::Arc::default());
    }
    let mut groups = BTreeSet::new();
    let mut number = [0; 4];
    let mut socket = io::stdin().lock();
    while socket.read_exact(&mut number).is_ok() {
        match i32::from_ne_bytes(number) {
            // 0 would be the guardian's own group, and 1 every process.
            id @ 2.. => groups.insert(id),
            id => groups.remove(&id.saturating_neg()),
        };
    }
    for group in groups {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    let _ = fs::remove_dir_all(directory);
    Ok(0)
}
