//! How much processor time a process group has used, from /proc.

use std::{fs, time::Duration};

use nix::{
    sys::signal::killpg,
    unistd::{Pid, SysconfVar, sysconf},
};

/// The processor time of all processes of the group, and of those of their children that are over.
pub fn cpu_time(group: Pid) -> Duration {
    let mut ticks = 0;
    if killpg(group, None).is_ok() {
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            // Only processes have names that are numbers; one may be over by now.
            if entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit)
                && let Ok(stat) = fs::read_to_string(entry.path().join("stat"))
                && let Some(used) = of_group(&stat, group)
            {
                ticks += used;
            }
        }
    }
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u64::try_from(ticks).ok());
    Duration::from_millis(ticks * 1000 / per_second.unwrap_or(100).max(1))
}

/// The ticks in a line of /proc/PID/stat, if its process is of the group.
fn of_group(stat: &str, group: Pid) -> Option<u64> {
    // The name stands in brackets, and may itself have some.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let member = fields.nth(2)?.parse() == Ok(group.as_raw());
    let times = fields.skip(8).take(4).filter_map(|time| time.parse::<u64>().ok());
    member.then(|| times.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_group_are_added() {
        let stat = "7 (a) b) S 1 42 42 0 -1 4194304 100 0 0 0 5 6 7 8 20 0 1 0 100 0 0";
        assert_eq!(of_group(stat, Pid::from_raw(42)), Some(26));
        assert_eq!(of_group(stat, Pid::from_raw(43)), None);
        assert_eq!(of_group("nonsense", Pid::from_raw(42)), None);
    }
}
