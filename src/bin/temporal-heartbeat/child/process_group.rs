//! A command and the processes that it starts, as one process group.

use std::{
    io,
    os::{
        fd::RawFd,
        unix::process::{CommandExt, parent_id},
    },
    process::{Child, Command, ExitStatus},
};

use nix::{
    errno::Errno,
    sys::{
        prctl,
        signal::{Signal, killpg},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::Pid,
};

use super::guardian::{self, Guardian};

/// The group of a running command. Dropping it kills the group.
pub struct ProcessGroup<'a> {
    leader: Child,
    id: Pid,
    guardian: &'a Guardian,
    is_reaped: bool,
}

impl<'a> ProcessGroup<'a> {
    /// Starts the command as the leader of a new process group. If this process ends, even before the command's first instruction, the
    /// kernel kills the command and the guardian kills the group. The thread that starts a command must outlive it: the kernel kills the
    /// command when that thread ends.
    pub fn start(command: &mut Command, guardian: &'a Guardian) -> io::Result<Self> {
        let (parent, socket) = (std::process::id(), guardian.socket());
        command.process_group(0);
        // SAFETY: between fork and exec only async-signal-safe functions are called, and nothing is allocated: the numbers were copied
        // before.
        unsafe { command.pre_exec(move || die_with_parent(parent, socket)) };
        let leader = command.spawn()?;
        let id = Pid::from_raw(i32::try_from(leader.id()).map_err(io::Error::other)?);
        Ok(ProcessGroup { leader, id, guardian, is_reaped: false })
    }

    /// The group's id, which is also the process id of the command.
    pub fn id(&self) -> Pid {
        self.id
    }

    /// The command's own process, for its standard streams.
    pub fn leader(&mut self) -> &mut Child {
        &mut self.leader
    }

    /// Sends a signal to every process of the group.
    pub fn signal(&self, signal: Signal) {
        // The group exists until its leader is reaped. A process that has changed its user may refuse the signal.
        let _ = killpg(self.id, signal);
    }

    /// The guardian of the group.
    pub fn guardian(&self) -> &'a Guardian {
        self.guardian
    }

    /// Kills the processes that are left in the group and returns the command's exit status. Call it after the command has exited.
    pub fn reap(mut self) -> io::Result<ExitStatus> {
        self.kill()
    }

    fn kill(&mut self) -> io::Result<ExitStatus> {
        // The leader isn't reaped yet, so the id can't belong to another group.
        self.signal(Signal::SIGKILL);
        self.guardian.release(self.id);
        self.is_reaped = true;
        self.leader.wait()
    }
}

impl Drop for ProcessGroup<'_> {
    fn drop(&mut self) {
        if !self.is_reaped {
            let _ = self.kill();
        }
    }
}

/// Waits until the process has exited, without reaping it.
pub fn wait_for_exit(process: Pid) {
    while waitid(Id::Pid(process), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
}

/// Runs in the child between fork and exec.
fn die_with_parent(parent: u32, socket: RawFd) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // If the parent ended before the prctl call, the kernel sends no signal.
    if parent_id() != parent {
        return Err(Errno::ESRCH.into());
    }
    guardian::register(socket);
    Ok(())
}
