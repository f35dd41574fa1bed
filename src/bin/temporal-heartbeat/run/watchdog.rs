//! Detects a command that hangs: it shows no sign of life for longer than the stall timeout. Time while the command is frozen doesn't count.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use super::args::{RunArgs, StallBy};
use crate::{
    child::{process_group::ProcessGroup, processes},
    output::progress::Progress,
};

/// How often the command is checked, as a part of the stall timeout, within these bounds.
const CHECKS_PER_TIMEOUT: u32 = 10;
const MIN_PERIOD: Duration = Duration::from_millis(50);
const MAX_PERIOD: Duration = Duration::from_secs(5);
/// A check that is this late shows that this program was frozen.
const LATE_CHECK: Duration = Duration::from_secs(1);
/// A command that only waits uses less than this part of one core.
const IDLE_PART: u32 = 100;

/// A command that hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// The sign of life that is missing.
    pub missing: &'static str,
    /// The time since the last sign, or since the start.
    pub silent: Duration,
    /// Whether there was any sign.
    pub has_seen_life: bool,
}

/// Watches one command.
pub struct Watchdog<'a> {
    timeout: Duration,
    source: Source<'a>,
    last_sign: Instant,
    last_check: Instant,
    has_seen_life: bool,
    group: &'a ProcessGroup<'a>,
}

/// The source of signs of life, with its last value.
enum Source<'a> {
    Progress(&'a Progress, u64),
    Output(Arc<AtomicU64>, u64),
    File(&'a Path, Option<(u64, SystemTime)>),
    Cpu(&'a ProcessGroup<'a>, Duration),
}

impl<'a> Watchdog<'a> {
    /// Starts the stall timeout of a command; `None` if there is none. `output_chunks` counts the chunks of output.
    pub fn new(
        args: &'a RunArgs,
        group: &'a ProcessGroup<'a>,
        progress: &'a Progress,
        output_chunks: Arc<AtomicU64>,
    ) -> Option<Self> {
        let source = match args.stall_by() {
            StallBy::Progress => Source::Progress(progress, 0),
            StallBy::Output => Source::Output(output_chunks, 0),
            StallBy::File => Source::File(args.stall_file()?, None),
            StallBy::Cpu => Source::Cpu(group, Duration::ZERO),
        };
        Some(Watchdog {
            timeout: args.stall_timeout?,
            source,
            last_sign: Instant::now(),
            last_check: Instant::now(),
            has_seen_life: false,
            group,
        })
    }

    /// How often to call [`check`](Self::check).
    pub fn period(&self) -> Duration {
        (self.timeout / CHECKS_PER_TIMEOUT).clamp(MIN_PERIOD, MAX_PERIOD)
    }

    /// Checks for a sign of life. If the command hangs, returns the time since the last sign.
    pub fn check(&mut self) -> Option<Stall> {
        let now = Instant::now();
        let passed = now.saturating_duration_since(std::mem::replace(&mut self.last_check, now));
        if passed > self.period() + LATE_CHECK {
            // This program was frozen, and so was the command, usually.
            self.last_sign = (self.last_sign + passed).min(now);
        }
        if self.source.has_changed(self.last_sign.elapsed()) {
            self.restart();
            self.has_seen_life = true;
        }
        let silent = self.last_sign.elapsed();
        // A command that shows life isn't frozen.
        if silent > self.period() && processes::is_frozen(self.group.id()) {
            self.restart();
            return None;
        }
        (silent > self.timeout).then(|| Stall {
            missing: self.source.name(),
            silent,
            has_seen_life: self.has_seen_life,
        })
    }

    /// Returns whether the command still hangs after it was examined, which took some time.
    pub fn still_hangs(&mut self) -> bool {
        self.last_check = Instant::now();
        self.check().is_some()
    }

    /// Starts the stall timeout again.
    pub fn restart(&mut self) {
        self.last_sign = Instant::now();
    }
}

impl Source<'_> {
    /// The sign of life in messages.
    fn name(&self) -> &'static str {
        match self {
            Source::Progress(..) => "no new progress",
            Source::Output(..) => "no output",
            Source::File(..) => "no change of the file",
            Source::Cpu(..) => "almost no use of the CPU",
        }
    }

    /// Whether there was a sign of life in the time `elapsed` since the last one.
    fn has_changed(&mut self, elapsed: Duration) -> bool {
        match self {
            Source::Progress(progress, last) => replace(last, progress.count()),
            Source::Output(chunks, last) => replace(last, chunks.load(Ordering::Relaxed)),
            Source::File(path, last) => {
                let file = fs::metadata(path).ok();
                replace(last, file.and_then(|file| Some((file.len(), file.modified().ok()?))))
            }
            Source::Cpu(group, last) => {
                let used = processes::cpu_time(group.id());
                // The CPU time of a process that has ended may be lost, so the sum can become smaller.
                let is_busy = used.saturating_sub(*last) > elapsed / IDLE_PART || used < *last;
                is_busy && replace(last, used)
            }
        }
    }
}

/// Returns whether the value changes.
fn replace<T: PartialEq>(last: &mut T, new: T) -> bool {
    let has_changed = *last != new;
    *last = new;
    has_changed
}
