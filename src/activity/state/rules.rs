//! When a beat is due, and what the clock says.

use std::time::Duration;

use super::{Activity, Lifecycle};
use crate::{
    activity::schedule::Schedule,
    model::{
        details::{About, Details},
        error::{Error, Result},
        payload::{Encoding, Payloads},
        signals::Signals,
        status::Status,
    },
    sys::clock::Moment,
};

/// How late a timer of the server may fire. A beat that comes earlier after the deadline may find the attempt still running.
const LONGEST_TIMER_DELAY: Duration = Duration::from_secs(1);

impl Activity {
    pub(super) fn schedule(&self) -> Schedule {
        let ms = |ms: u32| Duration::from_millis(ms.into());
        Schedule::new(ms(self.timeout_ms), ms(self.poll_ms), ms(self.longest_answer_ms))
    }

    #[inline]
    pub(super) fn usable(&self) -> Result<()> {
        match self.lifecycle {
            Lifecycle::Open | Lifecycle::Ending => Ok(()),
            Lifecycle::Ended => Err(ended()),
            Lifecycle::Gone => Err(self.gone()),
        }
    }

    #[inline]
    pub(super) fn replace_details(
        &mut self,
        encoding: Encoding,
        data: &[u8],
        size_limit: usize,
    ) -> Result<()> {
        if encoding == Encoding::None || encoding == Encoding::Payloads && data.is_empty() {
            return Err(Error::argument(
                "a beat without details (THB_ENCODING_NONE, or no PAYLOADS) would erase the progress; touch tells progress without details",
            ));
        }
        if self.require_encoded {
            refuse_readable(encoding, data)?;
        }
        match &mut self.known {
            Some(known) => known.replace("details", encoding, data, size_limit)?,
            None => {
                let mut first = Payloads::default();
                first.replace("details", encoding, data, size_limit)?;
                self.known = Some(first);
            }
        }
        Ok(())
    }

    /// Whether a record of this number, or a newer one, is acknowledged.
    pub(super) fn is_acknowledged(&self, record: u32) -> bool {
        self.acknowledged.wrapping_sub(record) <= u32::MAX / 2
    }

    /// Whether somebody waits for something to be acknowledged.
    pub(super) fn is_awaited(&self) -> bool {
        !self.is_acknowledged(self.awaited)
    }

    /// Whether the server refuses, and trying again won't help.
    pub(super) fn is_refused(&self) -> bool {
        self.last_error.as_ref().is_some_and(|why| !why.is_retryable())
    }

    /// Whether it is known what the server holds, or what it is to hold.
    pub(super) fn knows_details(&self) -> bool {
        self.known.is_some()
    }

    /// What a beat carries: no details only where there are none to be erased.
    pub(super) fn to_send(&self) -> Option<Payloads> {
        self.known.clone().filter(|details| !details.encoded().is_empty())
    }

    pub(super) fn knows_initial_details(&self) -> bool {
        self.has_no_initial_details || self.initial_details.is_some()
    }

    pub(super) fn has_sent(&self) -> bool {
        self.last_send != Moment::LONG_AGO
    }

    /// Takes what the server holds at the start; what was recorded meanwhile is newer.
    pub(super) fn seed(&mut self, details: Details) {
        if !self.knows_details() {
            let there_are = !details.values().is_empty();
            self.known = Some(if there_are { details.payloads().clone() } else { Payloads::default() });
        }
        self.has_no_initial_details = details.payloads().encoded().is_empty();
        self.initial_details =
            (!self.has_no_initial_details || details.about() != About::default()).then(|| Box::new(details));
        self.wants_initial_details = false;
    }

    /// When the next beat is due in the normal course of things.
    pub(super) fn usual_due(&self) -> Moment {
        let wanted = self.acknowledged != self.recorded;
        let due = match self.has_sent() {
            _ if !wanted && !self.pulse => return Moment::NEVER,
            true => self.last_send.later(self.schedule().jittered_period()),
            false if wanted => self.lease_from,
            false => self.lease_from.later(self.schedule().period),
        };
        self.no_later_than_deadline_check(due)
    }

    /// Returns `due`, or the time of the beat that asks the server about a deadline that has passed, if that beat is still to be sent and
    /// is due earlier.
    pub(super) fn no_later_than_deadline_check(&self, due: Moment) -> Moment {
        let check = self.deadline.later(LONGEST_TIMER_DELAY);
        if self.last_send < check { due.min(check) } else { due }
    }

    /// When the next beat is due now that nothing is under way any more: at once, where somebody waits for it.
    pub(super) fn next_due(&self, now: Moment) -> Moment {
        if self.is_awaited() { now } else { self.usual_due() }
    }

    /// Makes the next beat due as early as it may be. True when that is earlier than it was.
    #[inline]
    pub(super) fn advance_due(&mut self, now: Moment) -> bool {
        if self.in_flight || self.lifecycle != Lifecycle::Open {
            return false;
        }
        let awaited = self.is_awaited() || self.wants_initial_details;
        // A beat that is being tried again keeps its pause, unless it was refused and somebody waits for it.
        if self.failed > 0 && self.due != Moment::NEVER && !(awaited && self.is_refused()) {
            return false;
        }
        let due = if awaited || !self.has_sent() {
            now
        } else if self.due != Moment::NEVER {
            return false;
        } else {
            self.usual_due().max(now)
        };
        let earlier = due < self.due;
        if earlier {
            self.due = due;
        }
        earlier
    }

    #[inline]
    pub(super) fn lease_end(&self) -> Moment {
        if self.timeout_ms == 0 {
            return Moment::NEVER;
        }
        self.lease_from.later_ms(self.timeout_ms)
    }

    /// Whether there is a lease, and it isn't lost.
    pub(super) fn holds_lease(&self, now: Moment) -> bool {
        self.timeout_ms > 0 && now <= self.lease_end()
    }

    #[inline]
    pub(super) fn stalls_at(&self) -> Moment {
        if self.stall_ms == 0 || self.asked.contains(Signals::PAUSED) {
            return Moment::NEVER;
        }
        self.last_progress.later_ms(self.stall_ms)
    }

    #[inline]
    pub(super) fn is_stalled(&self, now: Moment) -> bool {
        now > self.stalls_at()
    }

    #[inline]
    pub(super) fn is_unseeded(&self, now: Moment) -> bool {
        self.pulse && !self.knows_details() && now > self.lease_from.later(self.schedule().period)
    }

    pub(super) fn clear_failures(&mut self, error: Option<Error>) {
        self.failed = 0;
        self.ran_out = 0;
        self.last_error = error;
    }

    pub(super) fn mark_gone(&mut self, why: Error) {
        self.lifecycle = Lifecycle::Gone;
        self.due = Moment::NEVER;
        self.last_error = Some(why);
    }

    /// An error while the server refuses for good.
    pub(super) fn refusal(&self) -> Result<()> {
        match &self.last_error {
            Some(why) if !why.is_retryable() => Err(why.clone()),
            _ => Ok(()),
        }
    }

    pub(super) fn gone(&self) -> Error {
        let otherwise = || Error::new(Status::NotFound, "the activity is over");
        self.last_error.clone().unwrap_or_else(otherwise)
    }
}

/// Refuses what anybody can read.
#[cold]
fn refuse_readable(encoding: Encoding, data: &[u8]) -> Result<()> {
    Payloads::from_caller("details", encoding, data)?
        .map_or(Ok(()), |details| details.refuse_readable("details"))
}

/// For who wants something of an activity that was ended.
pub fn ended() -> Error {
    Error::new(Status::Ended, "the activity was ended through this handle")
}
