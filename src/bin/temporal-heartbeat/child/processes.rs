//! Shows what each process of a group does, from /proc. Reads neither arguments nor environments.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use nix::unistd::{Pid, SysconfVar, sysconf};
use once_cell::unsync::OnceCell;
use temporal_heartbeat::model::printable::is_control;

/// How long the processes are observed, and how often they are read in that time.
const SAMPLE: Duration = Duration::from_millis(500);
const READS: u32 = 5;
/// A process that uses at least this part of a core spins. So does one that was runnable in all reads but one: on a busy machine it may get
/// less of a core.
const SPINNING_PART: u32 = 5;
/// The permission of a descriptor in /proc that can be written.
const WRITABLE: u32 = 0o200;
/// Functions of the kernel in which a process waits while its control group is frozen. Some compilers inline the first into the last, in
/// which a process that isn't stopped waits for nothing else.
const FREEZERS: [&str; 3] = ["freezer_trap", "refrigerator", "get_signal"];
/// Those in which it waits for a child: for its end, or after `vfork` for its `exec`.
const WAITS_FOR_CHILD: [&str; 3] = ["do_wait", "kernel_clone", "do_fork"];
/// Those in which it waits for a signal. A parent waits for SIGCHLD, for example in the `wait` of some shells.
const WAITS_FOR_SIGNAL: [&str; 1] = ["sigsuspend"];

/// A process, as /proc/PID/stat shows it.
#[derive(Clone, Debug, PartialEq)]
struct Stat {
    pid: i32,
    name: String,
    state: char,
    parent: i32,
    group: i32,
    /// The CPU time of the process and of its children that have ended, in ticks.
    own_ticks: u64,
    all_ticks: u64,
}

/// What a process does, in the order in which the report lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Activity {
    /// It uses the CPU, this many percent of a core.
    Spins(u64),
    /// It waits for input that no process of the group writes.
    WaitsForInput(&'static str),
    /// It waits for a device, and can't be interrupted.
    WaitsForDevice,
    /// It waits for something else.
    Waits,
    /// It is stopped by a signal, or frozen.
    Stopped,
    /// It waits for output of another process of the group.
    WaitsForOutputOf(String),
    /// It waits for the end of a child.
    WaitsForChild,
    /// It has ended.
    HasEnded,
}

/// A process of the group and what it does.
#[derive(Debug)]
pub struct Process {
    stat: Stat,
    activity: Activity,
    wchan: String,
}

impl Process {
    /// The process id.
    pub fn pid(&self) -> i32 {
        self.stat.pid
    }

    /// Whether it has ended, and only its parent hasn't noticed.
    pub fn has_ended(&self) -> bool {
        self.activity == Activity::HasEnded
    }

    /// Describes it in a few words.
    pub fn summary(&self) -> String {
        let Stat { pid, name, .. } = &self.stat;
        let activity = match &self.activity {
            Activity::Spins(percent) => format!("spins ({percent} % of a core)"),
            Activity::WaitsForInput(source) => format!("waits for input from {source}"),
            Activity::WaitsForDevice => "waits for a device".to_owned(),
            Activity::Waits => "waits".to_owned(),
            Activity::Stopped => "is stopped".to_owned(),
            Activity::WaitsForOutputOf(writer) => format!("waits for output of {writer}"),
            Activity::WaitsForChild => "waits for a child process".to_owned(),
            Activity::HasEnded => "has ended".to_owned(),
        };
        format!("{name} (pid {pid}) {activity}")
    }

    /// Describes it in one line.
    pub fn line(&self) -> String {
        let cpu_time = time_of(self.stat.own_ticks).as_secs_f64();
        let wchan = if self.wchan.is_empty() { "unknown" } else { &self.wchan };
        format!("{}: state {}, wchan {wchan}, {cpu_time:.2} s of CPU time", self.summary(), self.stat.state)
    }
}

/// Returns the processes of a group: first those that probably hang. Takes half a second.
pub fn of_group(group: Pid) -> Vec<Process> {
    let mut earlier = Vec::new();
    for _ in 0..READS {
        earlier.push(stats_of(group));
        thread::sleep(SAMPLE / READS);
    }
    let now = stats_of(group);
    let writers = OnceCell::new();
    let mut processes: Vec<_> = now
        .iter()
        .map(|stat| {
            let same: Vec<_> = earlier.iter().flatten().filter(|earlier| earlier.pid == stat.pid).collect();
            let first_ticks = same.first().map_or(stat.own_ticks, |first| first.own_ticks);
            let used = time_of(stat.own_ticks.saturating_sub(first_ticks));
            let runnable = same.iter().filter(|earlier| earlier.state == 'R').count();
            let spins = used >= SAMPLE / SPINNING_PART || runnable + 1 >= READS as usize;
            let wchan = read(stat.pid, "wchan").filter(|wchan| wchan != "0").unwrap_or_default();
            let activity = activity(stat, &wchan, spins.then_some(used), &now, &writers);
            Process { activity, stat: stat.clone(), wchan }
        })
        .collect();
    processes.sort_by(|a, b| a.activity.cmp(&b.activity).then(a.stat.pid.cmp(&b.stat.pid)));
    processes
}

/// Returns whether the processes of a group are stopped by a signal, or frozen with their control group. The others wait for these.
pub fn is_frozen(group: Pid) -> bool {
    let stats = stats_of(group);
    let (mut is_frozen, mut is_running) = (false, false);
    for stat in stats.iter().filter(|stat| !has_ended(stat.state)) {
        let wchan = read(stat.pid, "wchan").unwrap_or_default();
        let is_stopped = is_stopped(stat.state) || contains(&wchan, &FREEZERS);
        is_frozen |= is_stopped;
        is_running |= !is_stopped && !waits_for_child(stat, &wchan, &stats);
    }
    is_frozen && !is_running
}

/// Returns whether a function of the kernel is one of these.
fn contains(wchan: &str, functions: &[&str]) -> bool {
    functions.iter().any(|function| wchan.contains(function))
}

fn waits_for_child(stat: &Stat, wchan: &str, group: &[Stat]) -> bool {
    let has_child = || group.iter().any(|other| other.parent == stat.pid && !has_ended(other.state));
    contains(wchan, &WAITS_FOR_CHILD) || contains(wchan, &WAITS_FOR_SIGNAL) && has_child()
}

/// Returns the CPU time of all processes of a group and of their children that have ended.
pub fn cpu_time(group: Pid) -> Duration {
    time_of(stats_of(group).iter().map(|stat| stat.all_ticks).sum())
}

fn activity(
    stat: &Stat,
    wchan: &str,
    spins: Option<Duration>,
    group: &[Stat],
    writers: &OnceCell<Writers>,
) -> Activity {
    if has_ended(stat.state) {
        return Activity::HasEnded;
    }
    if is_stopped(stat.state) || contains(wchan, &FREEZERS) {
        return Activity::Stopped;
    }
    if let Some(used) = spins {
        let percent = used.as_millis() * 100 / SAMPLE.as_millis();
        return Activity::Spins(u64::try_from(percent).unwrap_or_default());
    }
    if waits_for_child(stat, wchan, group) {
        return Activity::WaitsForChild;
    }
    if stat.state == 'D' {
        return Activity::WaitsForDevice;
    }
    match call(stat.pid) {
        Some(Call::Read(descriptor)) => {
            waits_for_input(stat.pid, descriptor, || writers.get_or_init(|| writers_of(group)))
        }
        // The system call isn't shown to every user.
        None if wchan.contains("pipe_read") => Activity::WaitsForInput("a pipe"),
        None if wchan.contains("tty_read") => Activity::WaitsForInput("a terminal"),
        Some(Call::Other) | None => Activity::Waits,
    }
}

/// A system call in which a process is.
enum Call {
    /// It reads from this descriptor.
    Read(u64),
    Other,
}

fn call(pid: i32) -> Option<Call> {
    let text = read(pid, "syscall")?;
    let mut words = text.split_ascii_whitespace();
    // "running" outside of a call.
    let number: i64 = words.next()?.parse().ok()?;
    let descriptor = words.next().and_then(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok());
    Some(match number {
        libc::SYS_read | libc::SYS_readv => Call::Read(descriptor?),
        _ => Call::Other,
    })
}

fn waits_for_input<'w>(pid: i32, descriptor: u64, writers: impl FnOnce() -> &'w Writers) -> Activity {
    let path = directory(pid).join(format!("fd/{descriptor}"));
    let (Ok(file), Ok(metadata)) = (fs::read_link(&path), fs::metadata(&path)) else {
        return Activity::WaitsForInput("a descriptor");
    };
    let kind = metadata.file_type();
    if kind.is_fifo()
        && let Some(of_pipe) = writers().get(&file)
        && let Some((writer, name)) = of_pipe.iter().find(|(writer, _)| *writer != pid)
    {
        return Activity::WaitsForOutputOf(format!("{name} (pid {writer})"));
    }
    // The name of the file isn't shown: it may be private.
    Activity::WaitsForInput(match () {
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a connection",
        () if kind.is_char_device() => "a terminal or device",
        () => "a file",
    })
}

/// The processes that can write to a pipe or file, at most two of each: one of them isn't the reader itself.
type Writers = HashMap<PathBuf, Vec<(i32, String)>>;

fn writers_of(group: &[Stat]) -> Writers {
    let mut writers = Writers::new();
    for Stat { pid, name, .. } in group {
        for entry in fs::read_dir(directory(*pid).join("fd")).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_writable = || fs::symlink_metadata(&path).is_ok_and(|link| link.mode() & WRITABLE != 0);
            if let Ok(file) = fs::read_link(&path) {
                let of_file = writers.entry(file).or_default();
                if of_file.len() < 2 && of_file.iter().all(|(writer, _)| writer != pid) && is_writable() {
                    of_file.push((*pid, name.clone()));
                }
            }
        }
    }
    writers
}

fn stats_of(group: Pid) -> Vec<Stat> {
    let mut stats = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        // Names of processes are numbers. A process may have ended since it was listed.
        if entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit)
            && let Ok(text) = read_lossy(&entry.path().join("stat"))
            && let Some(stat) = parse(&text)
            && stat.group == group.as_raw()
        {
            stats.push(stat);
        }
    }
    stats
}

fn parse(text: &str) -> Option<Stat> {
    // The name is in brackets and may contain brackets.
    let (head, fields) = text.rsplit_once(')')?;
    let (pid, name) = head.split_once(" (")?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let ticks: Vec<u64> = fields.skip(8).take(4).filter_map(|time| time.parse().ok()).collect();
    let own_ticks = ticks.iter().take(2).sum();
    Some(Stat {
        pid: pid.parse().ok()?,
        name: name.chars().map(|character| if is_control(character) { '?' } else { character }).collect(),
        state,
        parent,
        group,
        own_ticks,
        all_ticks: ticks.iter().sum(),
    })
}

fn is_stopped(state: char) -> bool {
    matches!(state, 'T' | 't')
}

fn has_ended(state: char) -> bool {
    matches!(state, 'Z' | 'X')
}

fn time_of(ticks: u64) -> Duration {
    let ticks_per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten();
    let ticks_per_second = ticks_per_second.and_then(|ticks| u64::try_from(ticks).ok()).unwrap_or(100);
    Duration::from_millis(ticks * 1000 / ticks_per_second.max(1))
}

fn directory(pid: i32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

fn read(pid: i32, file: &str) -> Option<String> {
    read_lossy(&directory(pid).join(file)).ok().map(|text| text.trim().to_owned())
}

/// A process may have any bytes in its name.
fn read_lossy(path: &Path) -> io::Result<String> {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_is_parsed_with_any_name() {
        let stat = parse("7 (a) b) S 1 42 42 0 -1 4194304 100 0 0 0 5 6 7 8 20 0 1 0 100 0 0").unwrap();
        let name = "a) b".to_owned();
        assert_eq!(
            stat,
            Stat { pid: 7, name, state: 'S', parent: 1, group: 42, own_ticks: 11, all_ticks: 26 }
        );
        assert_eq!(parse("7 (\u{1b}[m\n\u{202e}) Z 1 42").unwrap().name, "?[m??");
        assert_eq!(parse("nonsense"), None);
    }

    #[test]
    fn culprit_is_listed_before_its_victims() {
        let mut activities = [
            Activity::WaitsForChild,
            Activity::WaitsForOutputOf("cat".to_owned()),
            Activity::Waits,
            Activity::HasEnded,
            Activity::WaitsForInput("a pipe"),
            Activity::Spins(90),
        ];
        activities.sort();
        assert_eq!(
            activities[..3],
            [Activity::Spins(90), Activity::WaitsForInput("a pipe"), Activity::Waits]
        );
    }
}
