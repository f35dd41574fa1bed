//! Handles events while the command runs.

use std::{
    collections::VecDeque,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;
use temporal_heartbeat::{api::activity, model::signals::Signals};

use super::{
    args::{OnPause, RunArgs, StallAction, StopOrIgnore},
    reason::Reason,
    stall_report::StallReport,
    watchdog::{Stall, Watchdog},
};
use crate::{
    child::process_group::ProcessGroup,
    connection,
    console::{self, duration},
    output::{progress::Progress, progress_file::ProgressFile},
};

/// How often the progress file is read.
const FILE_PERIOD: Duration = Duration::from_secs(1);
/// How often, and how many times, to look for the reason of a pause. The server shows it later than the pause.
const REASON_PERIOD: Duration = Duration::from_secs(1);
const REASON_CHECKS: u32 = 10;
/// How often the status line is updated.
const STATUS_LINE_PERIOD: Duration = Duration::from_secs(1);

/// An event while the command runs.
#[derive(Debug)]
pub enum Event {
    /// The command has exited.
    Exited,
    /// The activity's signals have changed.
    ActivitySignals(Signals),
    /// This process received a signal.
    ProcessSignal(Signal),
    /// The worker stops its commands.
    Shutdown,
}

impl Event {
    /// Whether the event must be handled before a hung command is examined, which takes seconds.
    fn is_urgent(&self) -> bool {
        match self {
            Event::Exited | Event::ActivitySignals(_) | Event::Shutdown => true,
            Event::ProcessSignal(signal) => {
                matches!(signal, Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT | Signal::SIGTSTP)
            }
        }
    }
}

/// Why the command was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The activity was cancelled.
    Cancelled,
    /// The activity is over for this attempt.
    Gone,
    /// No heartbeat was acknowledged for the whole heartbeat timeout.
    LeaseLost,
    /// The activity was reset.
    Reset,
    /// The command hung.
    Stalled(Stall),
    /// The worker shuts down.
    Shutdown,
    /// This process received SIGTERM, and the command didn't end.
    Terminated,
}

impl StopReason {
    /// The text for messages.
    pub fn text(self, args: &RunArgs) -> String {
        match self {
            StopReason::Cancelled => "the activity was cancelled".to_owned(),
            StopReason::Gone => "the activity is over for this attempt".to_owned(),
            StopReason::LeaseLost => {
                "no heartbeat got through for as long as the heartbeat timeout".to_owned()
            }
            StopReason::Reset => "the activity was reset".to_owned(),
            StopReason::Stalled(Stall { missing, silent, has_seen_life }) => {
                let limit = duration(args.stall_timeout.unwrap_or_default());
                let hint = if has_seen_life { "" } else { args.unseen_output_hint() };
                let silent = duration(silent);
                format!(
                    "there was no sign of life ({missing}) for {silent}; --stall-timeout is {limit}{hint}"
                )
            }
            StopReason::Shutdown => "the worker is shutting down".to_owned(),
            StopReason::Terminated => {
                format!("it was still running {} (--grace) after SIGTERM", duration(args.grace))
            }
        }
    }
}

/// How the supervision of a command has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// Why the command was stopped, if it was.
    pub reason: Option<StopReason>,
    /// Why the activity was cancelled, if it was.
    pub cancellation: Reason,
    /// Whether this process was asked to exit, so that the report must be quick.
    pub must_exit: bool,
    /// What the command was doing when it hung, if that is reported.
    pub stall: Option<StallReport>,
}

/// A reason that the server shows later than the signal.
struct Awaited {
    check_at: Instant,
    checks: u32,
}

/// Supervises a running command.
pub struct Supervisor<'a> {
    args: &'a RunArgs,
    group: &'a ProcessGroup<'a>,
    progress: &'a Progress,
    watchdog: Option<Watchdog<'a>>,
    started: Instant,
    end: End,
    kill_at: Option<Instant>,
    /// The activity is paused, and the reason isn't known yet.
    pause_reason: Option<Awaited>,
    /// Whether the command is frozen by a pause or by SIGTSTP.
    is_frozen: bool,
    signals: Signals,
    file: Option<ProgressFile<'a>>,
    /// When to warn if there is no progress.
    warn_at: Option<Instant>,
    /// The name of the attempt in messages.
    title: &'a str,
    has_status_line: bool,
    /// Events that arrived while the hung command was examined.
    pending: VecDeque<Event>,
}

impl<'a> Supervisor<'a> {
    /// Supervises a command that was just started.
    pub fn new(
        args: &'a RunArgs,
        group: &'a ProcessGroup<'a>,
        progress: &'a Progress,
        watchdog: Option<Watchdog<'a>>,
        title: &'a str,
        has_status_line: bool,
    ) -> Self {
        let started = Instant::now();
        Supervisor {
            args,
            group,
            progress,
            watchdog,
            started,
            end: End { reason: None, cancellation: Reason::default(), must_exit: false, stall: None },
            kill_at: None,
            pause_reason: None,
            is_frozen: false,
            signals: Signals::default(),
            file: args.progress_from_file(),
            warn_at: args.no_progress_warning(false).map(|_| started + args.no_progress_delay()),
            title,
            has_status_line,
            pending: VecDeque::new(),
        }
    }

    /// Handles events until the command has exited. `signals` are the activity's signals at the start.
    pub fn run(mut self, signals: Signals, events: &Receiver<Event>) -> End {
        self.handle_activity_signals(signals);
        let period = self.period();
        loop {
            let now = Instant::now();
            let check_at = period.map(|period| now + period);
            let reread_at = self.file.as_ref().and_then(ProgressFile::next_read);
            let reason_at = self.pause_reason.as_ref().map(|awaited| awaited.check_at);
            let wake_at =
                [check_at, self.kill_at, self.warn_at, reread_at, reason_at].into_iter().flatten().min();
            let event = match wake_at {
                _ if !self.pending.is_empty() => self.pending.pop_front().ok_or(RecvTimeoutError::Timeout),
                Some(wake_at) => events.recv_timeout(wake_at.saturating_duration_since(now)),
                None => events.recv().map_err(RecvTimeoutError::from),
            };
            match event {
                Ok(Event::Exited) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(Event::ActivitySignals(signals)) => self.handle_activity_signals(signals),
                Ok(Event::ProcessSignal(signal)) => self.forward(signal),
                Ok(Event::Shutdown) => {
                    self.end.must_exit = true;
                    self.stop(StopReason::Shutdown);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.check(events);
        }
        // The command may have written the file after the last check.
        self.read_progress_file(true);
        console::clear_status_line();
        self.end
    }

    /// How often to call [`check`](Self::check) if there are no events.
    fn period(&self) -> Option<Duration> {
        let file = self.args.progress_path().map(|_| FILE_PERIOD);
        let watchdog = self.watchdog.as_ref().map(Watchdog::period);
        let status_line = self.has_status_line.then_some(STATUS_LINE_PERIOD);
        [file, watchdog, status_line].into_iter().flatten().min()
    }

    /// Acts on the activity's signals.
    ///
    /// DEADLINE stops nothing: the deadline is only a hint from the parent, and the server decides. The library asks the server soon after
    /// the deadline, and sets GONE if the attempt is over. LEASE_LOST stops the command by the clock of this machine, because another
    /// attempt may be running. LEASE_LOST doesn't depend on a handed-over time: `exec` starts the command after an acknowledged heartbeat,
    /// and `work` opens the activity without an age.
    fn handle_activity_signals(&mut self, signals: Signals) {
        let has = |signal| signals.contains(signal);
        let is_new = |signal| has(signal) && !self.signals.contains(signal);
        if is_new(Signals::REFUSED) {
            let trouble = self.trouble();
            console::warning(&format!("{}: the server refuses the heartbeats{trouble}", self.title));
        }
        if is_new(Signals::LEASE_LOST) && !has(Signals::GONE) {
            let trouble = self.trouble();
            console::notice(&format!("{}: the server acknowledges no heartbeat{trouble}", self.title));
        }
        if is_new(Signals::UNSEEDED) {
            console::warning(
                "no heartbeat is sent, because it might erase progress: the server doesn't return the current details",
            );
        }
        if is_new(Signals::DEADLINE) {
            console::notice(&format!(
                "{}: the deadline of the attempt has passed; the server decides whether it continues",
                self.title
            ));
        }
        if is_new(Signals::CANCEL_REQUESTED) && self.args.on_cancel == StopOrIgnore::Ignore {
            console::notice(&format!(
                "{}: cancellation was requested{}; the command continues (--on-cancel ignore)",
                self.title,
                Reason::of_cancellation(self.progress.handle()).suffix()
            ));
        }
        if has(Signals::GONE) {
            self.stop(StopReason::Gone);
        } else if has(Signals::CANCEL_REQUESTED) && self.args.on_cancel == StopOrIgnore::Stop {
            self.stop(StopReason::Cancelled);
        } else if has(Signals::RESET) {
            self.stop(StopReason::Reset);
        } else if has(Signals::LEASE_LOST) && self.args.on_lease_lost == StopOrIgnore::Stop {
            self.stop(StopReason::LeaseLost);
        }
        let (is_paused, was_paused) = (has(Signals::PAUSED), self.signals.contains(Signals::PAUSED));
        self.signals = signals;
        if is_paused != was_paused && self.kill_at.is_none() {
            self.pause(is_paused);
        }
    }

    /// Describes why heartbeats fail: since when, and the last error.
    fn trouble(&self) -> String {
        let info = activity::info(self.progress.handle()).ok();
        let info: Value = info.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        let time = |key| info.get(key).and_then(Value::as_u64).map(|ms| duration(Duration::from_millis(ms)));
        let mut text = String::new();
        if let (Some(since), Some(timeout)) = (time("since_acknowledged_ms"), time("heartbeat_timeout_ms")) {
            text = format!(", the last one {since} ago; the heartbeat timeout is {timeout}");
        }
        if let Some(why) = info.pointer("/last_error/message").and_then(Value::as_str) {
            text.push_str(&format!(": {}", connection::with_flags(why)));
        }
        text
    }

    /// Acts on a pause of the activity, or on its end.
    fn pause(&mut self, is_paused: bool) {
        let freezes = self.args.on_pause == OnPause::Freeze;
        let state = if is_paused { "paused" } else { "no longer paused" };
        let command = if is_paused && freezes { "is frozen" } else { "continues" };
        let reason = if is_paused { Reason::of_pause(self.progress.handle()) } else { Reason::default() };
        self.pause_reason = (is_paused && reason.is_unknown())
            .then(|| Awaited { check_at: Instant::now() + REASON_PERIOD, checks: REASON_CHECKS });
        console::notice(&format!(
            "{}: the activity is {state}{}; the command {command} (--on-pause {})",
            self.title,
            reason.suffix(),
            if freezes { "freeze" } else { "ignore" }
        ));
        match (freezes, is_paused) {
            (true, true) => self.freeze(Signal::SIGSTOP),
            (true, false) => self.resume(),
            (false, _) => {}
        }
    }

    /// Prints the reason of the pause once the server has shown it.
    fn check_pause_reason(&mut self) {
        let Some(awaited) = &mut self.pause_reason else { return };
        if awaited.check_at > Instant::now() {
            return;
        }
        (awaited.check_at, awaited.checks) = (Instant::now() + REASON_PERIOD, awaited.checks - 1);
        let is_last = awaited.checks == 0;
        let reason = Reason::of_pause(self.progress.handle());
        if !reason.is_unknown() {
            console::notice(&format!("{}: the activity was paused{}", self.title, reason.suffix()));
        }
        if is_last || !reason.is_unknown() {
            self.pause_reason = None;
        }
    }

    fn stop(&mut self, reason: StopReason) {
        let is_first = self.end.reason.is_none();
        // GONE replaces an earlier reason, because then nothing can be reported.
        if is_first || reason == StopReason::Gone {
            self.end.reason = Some(reason);
        }
        if !is_first {
            return;
        }
        self.kill_after_grace();
        if reason == StopReason::Cancelled {
            self.end.cancellation = Reason::of_cancellation(self.progress.handle());
        }
        let why = reason.text(self.args) + &self.end.cancellation.suffix();
        console::notice(&format!("{} is being stopped: {why}", self.title));
        self.group.signal(self.args.stop_signal);
        // A frozen process doesn't handle the signal.
        self.resume();
    }

    /// The grace period starts with the first reason to stop.
    fn kill_after_grace(&mut self) {
        self.kill_at.get_or_insert(Instant::now() + self.args.grace);
    }

    fn forward(&mut self, signal: Signal) {
        match signal {
            Signal::SIGTSTP => self.freeze(signal),
            Signal::SIGCONT => self.resume(),
            // The sender of SIGTERM kills this process if it doesn't end in time. Then nothing would be reported.
            Signal::SIGTERM => {
                self.end.must_exit = true;
                if self.kill_at.is_none() {
                    let grace = duration(self.args.grace);
                    console::notice(&format!(
                        "{}: SIGTERM is forwarded to the command, which is killed after {grace} (--grace)",
                        self.title
                    ));
                }
                self.kill_after_grace();
                self.group.signal(signal);
                self.resume();
            }
            _ => self.group.signal(signal),
        }
    }

    fn freeze(&mut self, signal: Signal) {
        self.group.signal(signal);
        self.is_frozen = true;
    }

    fn resume(&mut self) {
        self.group.signal(Signal::SIGCONT);
        self.is_frozen = false;
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.restart();
        }
    }

    fn check(&mut self, events: &Receiver<Event>) {
        if self.kill_at.is_some_and(|at| at <= Instant::now()) {
            if self.end.reason.is_none() {
                self.stop(StopReason::Terminated);
            }
            self.group.signal(Signal::SIGKILL);
            // Repeated, for processes that join the group later.
            self.kill_at = Some(Instant::now() + self.args.grace.max(FILE_PERIOD));
        }
        self.read_progress_file(false);
        self.check_pause_reason();
        if self.warn_at.is_some_and(|at| at <= Instant::now()) {
            self.warn_at = None;
            self.progress.warn_if_none(self.args.no_progress_warning(false).as_deref());
        }
        // A command that is being stopped isn't examined, because that takes time.
        if !self.is_frozen
            && self.kill_at.is_none()
            && self.pending.is_empty()
            && let Some(watchdog) = &mut self.watchdog
            && let Some(stall) = watchdog.check()
        {
            self.stalled(stall, events);
        }
        if self.has_status_line {
            console::set_status_line(&self.status_line());
        }
    }

    fn stalled(&mut self, stall: Stall, events: &Receiver<Event>) {
        let reason = StopReason::Stalled(stall);
        if self.args.stall_action == StallAction::Stop {
            return self.stop(reason);
        }
        // The heartbeats continue while this thread examines the command. After an urgent event the examination is repeated.
        let pending = &mut self.pending;
        let is_given_up = || {
            pending.extend(events.try_iter());
            pending.iter().any(Event::is_urgent)
        };
        let report = StallReport::of(self.group, self.args.on_stall.as_deref(), is_given_up);
        let Some(report) = report else { return };
        if report.has_ended || !self.watchdog.as_mut().is_some_and(Watchdog::still_hangs) {
            return;
        }
        console::report(&format!("{}: {}", self.title, reason.text(self.args)), &report.text);
        if self.args.stall_action == StallAction::Fail {
            self.end.stall = Some(report);
            return self.stop(reason);
        }
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.restart();
        }
    }

    fn read_progress_file(&mut self, is_final: bool) {
        let read = self.file.as_mut().and_then(|file| file.read(Instant::now(), is_final));
        if let Some(progress) = read {
            self.progress.record(progress);
        }
    }

    fn status_line(&self) -> String {
        let elapsed = duration(Duration::from_secs(self.started.elapsed().as_secs()));
        let mut parts = vec![self.title.to_owned(), elapsed];
        if self.kill_at.is_some() {
            parts.push("being stopped".to_owned());
        } else if self.signals.contains(Signals::PAUSED) {
            parts.push("paused".to_owned());
        } else if self.signals.contains(Signals::LEASE_LOST) {
            parts.push("no heartbeat gets through".to_owned());
        }
        let progress = self.progress.latest();
        if !progress.is_empty() {
            parts.push(progress);
        }
        parts.join(" · ")
    }
}
