//! The command while it runs: what happens, and what is done then.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use temporal_heartbeat::model::signals::Signals;

use super::{
    args::{OnCancel, OnLeaseLost, OnPause, RunArgs},
    watchdog::Watchdog,
};
use crate::{
    child::process_group::ProcessGroup,
    console,
    output::{
        progress::{self, Progress},
        screen::SCREEN,
    },
};

/// How often a file of progress is looked at.
const FILE_PERIOD: Duration = Duration::from_secs(1);
/// How often the line of progress is drawn.
const SCREEN_PERIOD: Duration = Duration::from_secs(1);

/// What happens.
#[derive(Debug)]
pub enum Event {
    /// The command has ended.
    Ended,
    /// The activity's signals are these now.
    ActivitySignals(Signals),
    /// This process got a signal.
    ProcessSignal(Signal),
    /// This process is to end.
    Shutdown,
}

/// Why the command was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The activity was cancelled.
    Cancelled,
    /// The activity is over for this attempt.
    Gone,
    /// No beat got through for too long.
    LeaseLost,
    /// The activity was reset.
    Reset,
    /// It hung.
    Stalled,
    /// The worker ends.
    Shutdown,
}

impl StopReason {
    /// In words, for people.
    pub fn reason(self) -> &'static str {
        match self {
            StopReason::Cancelled => "the activity was cancelled",
            StopReason::Gone => "the activity is over for this attempt",
            StopReason::LeaseLost => "no heartbeat got through for as long as the heartbeat timeout",
            StopReason::Reset => "the activity was reset",
            StopReason::Stalled => "there was no sign of life for as long as --stall-timeout",
            StopReason::Shutdown => "the worker is shutting down",
        }
    }
}

/// Watches over a running command.
pub struct Supervisor<'a> {
    settings: &'a RunArgs,
    group: &'a ProcessGroup<'a>,
    progress: &'a Progress,
    watchdog: Option<Watchdog<'a>>,
    started: Instant,
    stop: Option<StopReason>,
    kill_at: Option<Instant>,
    /// Frozen by a pause, or by a signal to us.
    frozen: bool,
    signals: Signals,
    shows: bool,
    file_seen: Option<String>,
    title: String,
}

impl<'a> Supervisor<'a> {
    /// For a command that was just started.
    pub fn new(
        settings: &'a RunArgs,
        group: &'a ProcessGroup<'a>,
        progress: &'a Progress,
        watchdog: Option<Watchdog<'a>>,
        title: String,
    ) -> Self {
        Supervisor {
            settings,
            group,
            progress,
            watchdog,
            started: Instant::now(),
            stop: None,
            kill_at: None,
            frozen: false,
            signals: Signals::default(),
            shows: false,
            file_seen: None,
            title,
        }
    }

    /// Shows a line of progress.
    pub fn show(&mut self) {
        self.shows = true;
    }

    /// Until the command has ended. Why it was stopped, if it was.
    pub fn run(&mut self, events: &Receiver<Event>) -> Option<StopReason> {
        let period = self.period();
        loop {
            let now = Instant::now();
            let wake = [period.map(|period| now + period), self.kill_at].into_iter().flatten().min();
            let event = match wake {
                Some(wake) => events.recv_timeout(wake.saturating_duration_since(now)),
                None => events.recv().map_err(RecvTimeoutError::from),
            };
            match event {
                // Those who tell of the end are there until they have told.
                Ok(Event::Ended) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(Event::ActivitySignals(signals)) => self.asked(signals),
                Ok(Event::ProcessSignal(signal)) => self.pass_on(signal),
                Ok(Event::Shutdown) => self.stop(StopReason::Shutdown),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.look();
        }
        // What was written last may say more than what was seen.
        self.look_at_file();
        SCREEN.clear();
        self.stop
    }

    /// How often to look at what doesn't tell by itself.
    fn period(&self) -> Option<Duration> {
        let file = self.settings.file_of_progress().map(|_| FILE_PERIOD);
        let watchdog = self.watchdog.as_ref().map(Watchdog::period);
        let screen = self.shows.then_some(SCREEN_PERIOD);
        [file, watchdog, screen].into_iter().flatten().min()
    }

    /// Acts on the activity's signals.
    ///
    /// DEADLINE stops nothing: the deadline was handed over, and only the server knows whether the attempt is over. The library asks the
    /// server soon after, and GONE follows if it is. LEASE_LOST stops the command by the clock of this machine, because another attempt may
    /// be running. It never rests on a time that was handed over: `exec` starts the command after an acknowledged beat, and `work` opens
    /// the activity without an age.
    pub fn asked(&mut self, signals: Signals) {
        let has = |signal| signals.contains(signal);
        let is_new = |signal| has(signal) && !self.signals.contains(signal);
        if is_new(Signals::REFUSED) {
            console::warning("the server refuses the heartbeats; are the credentials and permissions right?");
        }
        if is_new(Signals::UNSEEDED) {
            console::warning(
                "no heartbeat goes out, which might erase progress: the server doesn't tell what it holds",
            );
        }
        if is_new(Signals::DEADLINE) && !self.settings.quiet {
            console::warning(
                "the deadline that was handed over has passed; the server decides whether the attempt goes on",
            );
        }
        if has(Signals::GONE) {
            self.stop(StopReason::Gone);
        } else if has(Signals::CANCEL_REQUESTED) && self.settings.on_cancel == OnCancel::Stop {
            self.stop(StopReason::Cancelled);
        } else if has(Signals::RESET) {
            self.stop(StopReason::Reset);
        } else if has(Signals::LEASE_LOST) && self.settings.on_lease_lost == OnLeaseLost::Stop {
            self.stop(StopReason::LeaseLost);
        }
        let (paused, was_paused) = (has(Signals::PAUSED), self.signals.contains(Signals::PAUSED));
        self.signals = signals;
        if paused != was_paused && self.settings.on_pause == OnPause::Freeze && self.stop.is_none() {
            if paused { self.freeze(Signal::SIGSTOP) } else { self.thaw() }
        }
    }

    fn stop(&mut self, why: StopReason) {
        // What is over can't be reported, whatever it was that we stopped for.
        if self.stop.is_none() || why == StopReason::Gone {
            self.stop = Some(why);
        }
        if self.kill_at.is_some() {
            return;
        }
        self.kill_at = Some(Instant::now() + self.settings.grace);
        if !self.settings.quiet {
            console::warning(&format!("{} is being stopped: {}", self.settings.name(), why.reason()));
        }
        self.group.signal(self.settings.stop_signal);
        // What is frozen couldn't hear it.
        self.thaw();
    }

    fn pass_on(&mut self, signal: Signal) {
        match signal {
            Signal::SIGTSTP => self.freeze(signal),
            Signal::SIGCONT => self.thaw(),
            _ => self.group.signal(signal),
        }
    }

    fn freeze(&mut self, signal: Signal) {
        self.group.signal(signal);
        self.frozen = true;
    }

    fn thaw(&mut self) {
        self.group.signal(Signal::SIGCONT);
        self.frozen = false;
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.forgive();
        }
    }

    fn look(&mut self) {
        if self.kill_at.is_some_and(|at| at <= Instant::now()) {
            self.group.signal(Signal::SIGKILL);
            // Once more if that should not have been enough: some wait in the kernel for a device.
            self.kill_at = Some(Instant::now() + self.settings.grace.max(FILE_PERIOD));
        }
        self.look_at_file();
        if !self.frozen && self.stop.is_none() && self.watchdog.as_mut().is_some_and(Watchdog::hangs) {
            self.stop(StopReason::Stalled);
        }
        if self.shows {
            SCREEN.show(&self.line());
        }
    }

    fn look_at_file(&mut self) {
        let said = match (&self.settings.progress_file, &self.settings.progress_size) {
            (Some(path), _) => progress::of_file(path),
            (None, Some(path)) => progress::of_size(path),
            (None, None) => None,
        };
        if said.is_some() && said != self.file_seen {
            self.file_seen = said;
            self.progress.record(self.file_seen.clone().unwrap_or_default());
        }
    }

    fn line(&self) -> String {
        let elapsed = humantime::format_duration(Duration::from_secs(self.started.elapsed().as_secs()));
        let mut parts = vec![self.title.clone(), elapsed.to_string()];
        if self.stop.is_some() {
            parts.push("being stopped".to_owned());
        } else if self.signals.contains(Signals::PAUSED) {
            parts.push("paused".to_owned());
        } else if self.signals.contains(Signals::LEASE_LOST) {
            parts.push("no heartbeat gets through".to_owned());
        }
        let newest = self.progress.newest();
        if !newest.is_empty() {
            parts.push(newest);
        }
        parts.join(" · ")
    }
}
