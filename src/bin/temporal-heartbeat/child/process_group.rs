//! A command and all that it starts, as one process group.

use std::{
    io,
    os::{
        fd::RawFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{Child, Command, ExitStatus},
};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, killpg},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::Pid,
};

use super::guardian::Guardian;

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself.
    Code(u8),
    /// By a signal.
    Signal(i32),
}

/// A running command.
pub struct ProcessGroup<'a> {
    leader: Child,
    id: Pid,
    guardian: &'a Guardian,
    reaped: bool,
}

impl<'a> ProcessGroup<'a> {
    /// Starts the command as the leader of a new process group. Whatever becomes of this process, and already before the command's
    /// first instruction, the kernel kills the command and the guardian kills its group. The thread that starts a command must
    /// outlive it: the kernel takes that thread's end for the process's.
    pub fn start(mut command: Command, guardian: &'a Guardian) -> io::Result<Self> {
        let (parent, guarded) = (std::process::id(), guardian.descriptor());
        command.process_group(0);
        // SAFETY: between fork and exec only functions that are async-signal-safe are called, and nothing is allocated: the numbers
        // were copied before.
        unsafe { command.pre_exec(move || tie(parent, guarded)) };
        let leader = command.spawn()?;
        let id = Pid::from_raw(i32::try_from(leader.id()).map_err(io::Error::other)?);
        Ok(ProcessGroup { leader, id, guardian, reaped: false })
    }

    /// The group's number, which is also its leader's.
    pub fn id(&self) -> Pid {
        self.id
    }

    /// The command's standard streams, once.
    pub fn leader(&mut self) -> &mut Child {
        &mut self.leader
    }

    /// Sends a signal to every process of the group.
    pub fn signal(&self, signal: Signal) {
        // The group exists until its leader is reaped. What isn't allowed, for a process that has become somebody else, stays so.
        let _ = killpg(self.id, signal);
    }

    /// Kills what the command has left behind in its group, and takes its exit status. To be called when it has ended.
    pub fn reap(mut self) -> io::Result<Exit> {
        let status = self.end()?;
        Ok(match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(u8::try_from(code).unwrap_or(u8::MAX)),
            (None, signal) => Exit::Signal(signal.unwrap_or(0)),
        })
    }

    fn end(&mut self) -> io::Result<ExitStatus> {
        // Its leader isn't reaped yet, so that the number can't be another group's.
        self.signal(Signal::SIGKILL);
        self.guardian.release(self.id);
        self.reaped = true;
        self.leader.wait()
    }
}

impl Drop for ProcessGroup<'_> {
    fn drop(&mut self) {
        if !self.reaped {
            // Something went wrong before anybody could wait for it: it isn't to be left alone.
            let _ = self.end();
        }
    }
}

/// Waits until the process has ended, and leaves it to be reaped.
pub fn wait_for_end(leader: Pid) {
    while waitid(Id::Pid(leader), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
}

/// Runs in the child between fork and exec.
fn tie(parent: u32, guarded: RawFd) -> io::Result<()> {
    // SAFETY: no pointers are passed.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // Had the parent died before that, nobody would have told.
    if std::os::unix::process::parent_id() != parent {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    super::guardian::announce(guarded);
    Ok(())
}

/// Has the descriptor closed in commands that are started.
pub fn close_on_exec(descriptor: RawFd) {
    // SAFETY: no pointers are passed. For a number that isn't a descriptor's it is an error, and then there is nothing to inherit.
    unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
}

/// Whether a signal is ignored, as `nohup` and shells without job control leave it for their commands.
pub fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is changed; `action` is written when the call returns 0, and read only then.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
