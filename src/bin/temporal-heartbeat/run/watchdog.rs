//! Notices that a command hangs: no sign of life for longer than is allowed. The time while it is frozen doesn't count.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use nix::unistd::Pid;

use super::args::{RunArgs, StallBy};
use crate::{child::usage, output::progress::Progress};

/// How often it is looked, in parts of the timeout; within bounds.
const LOOKS: u32 = 10;
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);
/// A command that only waits uses some processor time too: less than one part in so many.
const IDLE_SHARE: u32 = 100;

/// Watches over one command.
pub struct Watchdog<'a> {
    timeout: Duration,
    signs: Signs<'a>,
    last_sign: Instant,
}

/// Where signs are looked for, and what was seen last.
enum Signs<'a> {
    Progress(&'a Progress, u64),
    Output(Arc<AtomicU64>, u64),
    File(&'a Path, Option<(u64, SystemTime)>),
    Cpu(Pid, Duration),
}

impl<'a> Watchdog<'a> {
    /// For a command that was just started; `None` when nobody asked for it.
    pub fn new(
        settings: &'a RunArgs,
        group: Pid,
        progress: &'a Progress,
        output: Arc<AtomicU64>,
    ) -> Option<Self> {
        let (timeout, by) = settings.stall()?;
        let signs = match by {
            StallBy::Progress => Signs::Progress(progress, 0),
            StallBy::Output => Signs::Output(output, 0),
            StallBy::File => Signs::File(settings.watched_file()?, None),
            StallBy::Cpu => Signs::Cpu(group, Duration::ZERO),
        };
        Some(Watchdog { timeout, signs, last_sign: Instant::now() })
    }

    /// How often to look.
    pub fn period(&self) -> Duration {
        (self.timeout / LOOKS).clamp(SHORTEST, LONGEST)
    }

    /// Looks. Whether the command hangs.
    pub fn hangs(&mut self) -> bool {
        if self.signs.show(self.last_sign.elapsed()) {
            self.last_sign = Instant::now();
        }
        self.last_sign.elapsed() > self.timeout
    }

    /// The command was frozen, and goes on now.
    pub fn forgive(&mut self) {
        self.last_sign = Instant::now();
    }
}

impl Signs<'_> {
    /// Whether there was a sign since the last one, which was so long ago.
    fn show(&mut self, ago: Duration) -> bool {
        match self {
            Signs::Progress(progress, last) => replace(last, progress.records()),
            Signs::Output(chunks, last) => replace(last, chunks.load(Ordering::Relaxed)),
            Signs::File(path, last) => {
                let file = fs::metadata(path).ok();
                replace(last, file.and_then(|file| Some((file.len(), file.modified().ok()?))))
            }
            Signs::Cpu(group, last) => {
                let used = usage::cpu_time(*group);
                // What a process that is over had used may be lost; then the count begins anew.
                let busy = used.saturating_sub(*last) > ago / IDLE_SHARE || used < *last;
                busy && replace(last, used)
            }
        }
    }
}

fn replace<T: PartialEq>(last: &mut T, new: T) -> bool {
    let changed = *last != new;
    *last = new;
    changed
}
