//! Missing progress: since when the activity is stalled, and what follows from that.
//!
//! The scheduler decides when to check. No clock alone sets `STALLED`: after the process was frozen, the scheduler first
//! excludes that time.

use std::time::Duration;

use super::{Activity, Lifecycle};
use crate::{
    activity::stall_options::{StackDump, StallAction, StallOptions},
    model::{
        attempt::Ids,
        error::{Error, Result},
        signals::Signals,
        status::Status,
    },
    sys::clock::Moment,
};

/// The longest status text.
pub const MAX_STATUS_BYTES: usize = 4096;
/// The pause after a failure that couldn't be reported.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// What most activities don't have. On the heap, so that a slot of the registry fits into four cache lines.
#[derive(Debug)]
pub struct Extras {
    /// The longest time between two beats, to receive signals sooner; 0: none.
    pub poll_ms: u32,
    /// 0: the activity never stalls.
    stall_ms: u32,
    action: StallAction,
    dump: Option<StackDump>,
    is_brief: bool,
    /// What the work is doing.
    status: Box<str>,
    /// When the scheduler reports the stall again, because it couldn't before.
    next_report: Moment,
    /// Whether the failure couldn't be reported. Then the pulse stops, so that the server times the attempt out.
    is_undelivered: bool,
    /// The newest record that the report carries.
    reported: u64,
    /// Whether the ending call in progress reports the stall, or the ending call that has ended the activity.
    ends_by_stall: bool,
}

impl Extras {
    fn new(poll_ms: u32, stall_ms: u32, options: &StallOptions) -> Self {
        Extras {
            poll_ms,
            stall_ms,
            action: options.action,
            dump: options.dump,
            is_brief: options.is_brief,
            status: Box::default(),
            next_report: Moment::NEVER,
            is_undelivered: false,
            reported: 0,
            ends_by_stall: false,
        }
    }

    /// Returns what the options need; `None` if that is nothing.
    pub fn of(poll_ms: u32, stall_ms: u32, options: &StallOptions) -> Option<Box<Self>> {
        (poll_ms > 0 || stall_ms > 0).then(|| Box::new(Self::new(poll_ms, stall_ms, options)))
    }
}

/// What is known about a stall.
#[derive(Debug)]
pub struct StallFacts {
    /// What to do.
    pub action: StallAction,
    /// How long nothing was recorded.
    pub silent: Duration,
    /// The option `stall_timeout_ms`.
    pub timeout: Duration,
    /// What the work is doing, as its holder has reported; empty if it hasn't.
    pub status: String,
    /// How to get the stacks of the process.
    pub dump: Option<StackDump>,
    /// Whether the failure has neither the status nor the stacks.
    pub is_brief: bool,
    /// Whether readable texts must not be sent, because the values are encoded.
    pub is_encrypted: bool,
    /// Whether the library encodes values itself.
    pub has_codec: bool,
}

impl Activity {
    /// Returns when the scheduler must check for a stall.
    pub fn stall_due(&self) -> Moment {
        match &self.extras {
            Some(extras) if self.lifecycle == Lifecycle::Open => match self.is_stalled {
                true => extras.next_report,
                false => self.stalls_at(extras),
            },
            _ => Moment::NEVER,
        }
    }

    fn stalls_at(&self, extras: &Extras) -> Moment {
        if extras.stall_ms == 0 || self.asked.contains(Signals::PAUSED) {
            return Moment::NEVER;
        }
        self.last_progress.later_ms(extras.stall_ms)
    }

    /// Checks for a stall. Returns what to do if the activity stalls now, or if that must be repeated.
    pub fn check_stall(&mut self, now: Moment) -> Option<StallAction> {
        if self.stall_due() > now {
            return None;
        }
        let extras = self.extras.as_mut()?;
        if !std::mem::replace(&mut self.is_stalled, true) {
            extras.is_undelivered = false;
        }
        extras.next_report = Moment::NEVER;
        Some(extras.action)
    }

    /// Returns what happens in a stall.
    pub(super) fn stall_action(&self) -> StallAction {
        self.extras.as_ref().map_or(StallAction::Stop, |extras| extras.action)
    }

    /// Excludes time in which the process didn't run.
    pub fn exclude_from_stall(&mut self, time: Duration, now: Moment) {
        if !self.is_stalled {
            self.last_progress = self.last_progress.later(time).min(now);
        }
    }

    /// Returns whether the pulse has stopped because of a stall.
    pub(super) fn stall_stops_pulse(&self) -> bool {
        self.is_stalled
            && self.extras.as_ref().is_none_or(|extras| match extras.action {
                StallAction::Stop => true,
                StallAction::Warn => false,
                // A beat may be due while the stacks are read.
                StallAction::Fail => extras.is_undelivered,
            })
    }

    /// Returns what is known about the stall. Returns `None` if progress was made since.
    pub fn stall_facts(&self, now: Moment) -> Option<StallFacts> {
        let extras = self.extras.as_ref().filter(|_| self.is_stalled && self.lifecycle == Lifecycle::Open)?;
        Some(StallFacts {
            action: extras.action,
            silent: now.since(self.last_progress),
            timeout: Duration::from_millis(extras.stall_ms.into()),
            status: extras.status.to_string(),
            dump: extras.dump,
            is_brief: extras.is_brief,
            is_encrypted: self.is_encrypted(),
            has_codec: self.encoder.is_some(),
        })
    }

    /// Returns whether values are encoded, so that texts about the work must not be readable either.
    pub fn is_encrypted(&self) -> bool {
        self.require_encoded || self.encoder.is_some()
    }

    /// Begins the ending call that reports the stall, unless progress was made since.
    pub fn begin_stall_ending(&mut self) -> Result<()> {
        if !self.is_stalled {
            return Err(Error::new(Status::FailedPrecondition, "progress was made since the stall"));
        }
        self.begin_ending()?;
        if let Some(extras) = &mut self.extras {
            extras.ends_by_stall = true;
        }
        Ok(())
    }

    /// Notes which record an ending carries that is sent now.
    pub(super) fn note_reported(&mut self) {
        let newest = self.ready();
        if let Some(extras) = &mut self.extras {
            extras.reported = newest;
        }
    }

    /// Has the stall reported again after an ending call that failed: it may have replaced the report.
    pub(super) fn repeat_stall_report(&mut self, now: Moment) {
        if let Some(extras) = &mut self.extras
            && self.is_stalled
            && self.lifecycle == Lifecycle::Open
        {
            extras.next_report = now;
        }
    }

    /// Returns whether a record was made after the report of the stall was sent, which has ended the attempt.
    pub fn has_lost_record(&self) -> bool {
        let is_newer = |extras: &Extras| self.records.newest() > extras.reported;
        self.has_ended_by_stall() && self.extras.as_deref().is_some_and(is_newer)
    }

    /// Schedules another report of the stall, because this one failed.
    pub fn stall_report_failed(&mut self, now: Moment) {
        if let Some(extras) = &mut self.extras {
            extras.ends_by_stall = false;
            extras.is_undelivered = true;
            extras.next_report = now.later(RETRY_PAUSE);
        }
    }

    /// Returns whether this library has ended the activity because of a stall.
    pub(super) fn has_ended_by_stall(&self) -> bool {
        self.lifecycle == Lifecycle::Ended && self.extras.as_ref().is_some_and(|extras| extras.ends_by_stall)
    }

    /// Sets which thread does the work, for the stacks of a stall.
    pub fn set_thread(&mut self, thread: i32) {
        if let Some(dump) = self.extras.as_mut().and_then(|extras| extras.dump.as_mut()) {
            dump.thread = thread;
        }
    }

    /// Sets what the work is doing. `thread` is the caller's.
    pub fn set_status(&mut self, text: &str, thread: i32) -> Result<()> {
        if text.len() > MAX_STATUS_BYTES {
            let why =
                format!("the status is {} bytes long; at most {MAX_STATUS_BYTES} are accepted", text.len());
            return Err(Error::new(Status::TooLarge, why));
        }
        if self.is_inactive() {
            return Ok(());
        }
        let extras = self.extras.get_or_insert_with(|| Box::new(Extras::new(0, 0, &StallOptions::default())));
        extras.status = text.into();
        self.set_thread(thread);
        Ok(())
    }

    /// Returns the activity's ids; empty when they can't be read.
    pub fn ids(&self) -> Ids {
        self.address.ids().unwrap_or_default()
    }

    /// Returns what the work is doing, as its holder has reported; empty if it hasn't.
    pub(super) fn status(&self) -> &str {
        self.extras.as_ref().map_or("", |extras| &extras.status)
    }
}
