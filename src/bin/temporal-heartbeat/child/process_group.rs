//! A command and the processes that it starts, as one process group.

use std::{
    fs, io,
    os::{
        fd::RawFd,
        unix::process::{CommandExt, parent_id},
    },
    process::{Child, Command, ExitStatus},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        prctl,
        signal::{Signal, killpg},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::{Pid, SysconfVar, sysconf},
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

    /// Returns the CPU time of all processes of the group and of their children that have ended.
    pub fn cpu_time(&self) -> Duration {
        let mut ticks = 0;
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            // Names of processes are numbers. A process may have ended since it was listed.
            if entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit)
                && let Ok(stat) = fs::read_to_string(entry.path().join("stat"))
            {
                ticks += cpu_ticks(&stat, self.id).unwrap_or_default();
            }
        }
        let ticks_per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten();
        let ticks_per_second = ticks_per_second.and_then(|ticks| u64::try_from(ticks).ok()).unwrap_or(100);
        Duration::from_millis(ticks * 1000 / ticks_per_second.max(1))
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

/// Returns the CPU ticks in the content of `/proc/PID/stat` if the process belongs to the group.
fn cpu_ticks(stat: &str, group: Pid) -> Option<u64> {
    // The name is in brackets and may contain brackets.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let is_member = fields.nth(2)?.parse() == Ok(group.as_raw());
    let times = fields.skip(8).take(4).filter_map(|time| time.parse::<u64>().ok());
    is_member.then(|| times.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_ticks_of_a_group_are_added() {
        let stat = "7 (a) b) S 1 42 42 0 -1 4194304 100 0 0 0 5 6 7 8 20 0 1 0 100 0 0";
        assert_eq!(cpu_ticks(stat, Pid::from_raw(42)), Some(26));
        assert_eq!(cpu_ticks(stat, Pid::from_raw(43)), None);
        assert_eq!(cpu_ticks("nonsense", Pid::from_raw(42)), None);
    }
}
