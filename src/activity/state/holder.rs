//! What the holder does.

use std::time::Duration;

use super::{Activity, End, Info, Lifecycle, rules::ended};
use crate::{
    model::{
        details::Details,
        error::{Error, Result},
        payload::Encoding,
        signals::Signals,
        status::Status,
    },
    sys::clock::Moment,
};

impl Activity {
    /// Takes new details. True when the sender must be told that there is something to do earlier than it thinks.
    #[inline]
    pub fn record(
        &mut self,
        encoding: Encoding,
        data: &[u8],
        size_limit: usize,
        now: Moment,
    ) -> Result<bool> {
        self.usable()?;
        self.replace_details(encoding, data, size_limit)?;
        self.records += 1;
        self.recorded = self.recorded.wrapping_add(1);
        self.last_progress = now;
        Ok(self.advance_due(now))
    }

    /// Progress without details. True as for [`Activity::record`].
    pub fn touch(&mut self, now: Moment) -> Result<bool> {
        self.usable()?;
        let stalled = self.is_stalled(now);
        self.last_progress = now;
        if self.pulse && !stalled {
            return Ok(false);
        }
        if !self.pulse {
            self.recorded = self.recorded.wrapping_add(1);
        }
        Ok(self.advance_due(now))
    }

    /// What is known is to go out once more. True as for [`Activity::record`].
    pub fn request_beat(&mut self, now: Moment) -> Result<bool> {
        self.usable()?;
        self.recorded = self.recorded.wrapping_add(1);
        Ok(self.advance_due(now))
    }

    /// What the holder must know now.
    #[inline]
    pub fn signals(&self, now: Moment) -> Signals {
        let over = matches!(self.lifecycle, Lifecycle::Ended | Lifecycle::Gone);
        self.asked
            | Signals::GONE.when(self.lifecycle == Lifecycle::Gone)
            | Signals::LEASE_LOST.when(!over && now > self.lease_end())
            | Signals::STALLED.when(!over && self.is_stalled(now))
            | Signals::REFUSED.when(!over && self.is_refused())
            | Signals::DEADLINE.when(now > self.deadline)
            | Signals::UNSEEDED.when(!over && self.is_unseeded(now))
    }

    /// When the signals change next by the mere passing of time.
    pub fn next_change(&self, now: Moment) -> Moment {
        let unseeded = if self.pulse && !self.knows_details() {
            self.lease_from.later(self.schedule().period)
        } else {
            Moment::NEVER
        };
        let times = [self.lease_end(), self.stalls_at(), self.deadline, unseeded];
        times.into_iter().filter(|time| *time > now).min().unwrap_or(Moment::NEVER)
    }

    /// The number of the newest record.
    pub fn newest(&self) -> u32 {
        self.recorded
    }

    /// Whether all that was recorded is acknowledged. An error when that can't come any more.
    pub fn is_flushed(&self) -> Result<bool> {
        self.is_flushed_to(self.recorded)
    }

    /// Whether this record is acknowledged, or a newer one: others may record without end.
    pub fn is_flushed_to(&self, record: u32) -> Result<bool> {
        match self.lifecycle {
            _ if self.is_acknowledged(record) => Ok(true),
            Lifecycle::Gone => Err(self.gone()),
            Lifecycle::Ended => Err(ended()),
            Lifecycle::Open | Lifecycle::Ending => Ok(false),
        }
    }

    /// An error when the server has refused what was pressed for, so that waiting on is of no use.
    pub fn check_flush(&self) -> Result<()> {
        if self.is_awaited() { Ok(()) } else { self.refusal() }
    }

    /// Has what was recorded sent without waiting for its time. True as for [`Activity::record`].
    pub fn request_flush(&mut self, now: Moment) -> bool {
        self.awaited = self.recorded;
        self.advance_due(now)
    }

    /// The details that there were when it was opened; `None` while they aren't known, and then they are asked for. Who has
    /// asked before gets an error when the server has refused since.
    pub fn initial_details(&mut self, asked: bool, now: Moment) -> Result<(Option<Details>, bool)> {
        if self.knows_initial_details() {
            return Ok((Some(self.initial_details.as_deref().cloned().unwrap_or_default()), false));
        }
        match self.lifecycle {
            Lifecycle::Gone => return Err(self.gone()),
            Lifecycle::Ended => return Err(ended()),
            Lifecycle::Open | Lifecycle::Ending => {}
        }
        if self.has_sent() {
            return Err(Error::new(
                Status::FailedPrecondition,
                "the details that there were at the start have been replaced: get them before the first record, or hand them \
                 over as initial_details",
            ));
        }
        if asked && !self.wants_initial_details {
            self.refusal()?;
        }
        self.wants_initial_details = true;
        Ok((None, self.advance_due(now)))
    }

    /// Why the last try failed, for a caller who gives up waiting.
    pub fn last_error(&self) -> Option<&Error> {
        self.last_error.as_ref()
    }

    /// Begins an ending call: no beat is begun any more.
    pub fn begin_ending(&mut self) -> Result<()> {
        match self.lifecycle {
            Lifecycle::Open => {
                self.lifecycle = Lifecycle::Ending;
                Ok(())
            }
            Lifecycle::Gone => Err(self.gone()),
            Lifecycle::Ended => Err(ended()),
            Lifecycle::Ending => Err(Error::new(Status::Ended, "another thread is ending the activity")),
        }
    }

    /// Whether the ending call may be sent: not while a beat is under way, which must not land after it. With it go the details
    /// that the server doesn't have yet.
    pub fn may_end(&self, now: Moment) -> Result<Option<End>> {
        match self.lifecycle {
            Lifecycle::Gone => Err(self.gone()),
            _ if self.in_flight => Ok(None),
            _ => Ok(Some(End {
                target: self.address.ending_target(self.holds_lease(now)),
                unsent: self.to_send().filter(|_| self.acknowledged != self.recorded),
                verify: self.verify,
            })),
        }
    }

    /// Whether what was recorded is to be sent before a failure, and not with it: Server 1.29 loses the details of a failure by ids.
    pub fn flushes_before_failing(&self) -> bool {
        self.address.ends_by_ids() && self.acknowledged != self.recorded
    }

    /// Whether nothing is to be sent that anybody can read.
    pub fn requires_encoded(&self) -> bool {
        self.require_encoded
    }

    /// What became of it. True as for [`Activity::record`].
    pub fn finish_ending(&mut self, outcome: &Result<()>, now: Moment) -> bool {
        self.lifecycle = match outcome.as_ref().map_err(Error::status) {
            Ok(()) | Err(Status::InDoubt) => Lifecycle::Ended,
            Err(Status::NotFound) => Lifecycle::Gone,
            Err(_) => Lifecycle::Open,
        };
        self.due = Moment::NEVER;
        let goes_on = self.pulse || self.acknowledged != self.recorded;
        goes_on && self.advance_due(now)
    }

    /// What can be told about it.
    pub fn info(&self, now: Moment) -> Info {
        let some = |moment: Moment| (moment != Moment::NEVER).then(|| moment.since(now));
        Info {
            attempt: self.address.attempt_number(),
            addressed_by: self.address.addressed_by(),
            state: match self.lifecycle {
                Lifecycle::Open => "open",
                Lifecycle::Ending => "ending",
                Lifecycle::Ended => "ended",
                Lifecycle::Gone => "gone",
            },
            heartbeat_timeout: Duration::from_millis(self.timeout_ms.into()),
            lease_left: some(self.lease_end()),
            since_acknowledged: (self.counts.beats > 0).then(|| now.since(self.lease_from)),
            pending: self.acknowledged != self.recorded,
            next_beat: some(self.due),
            records: self.records,
            counts: self.counts,
            last_error: self.last_error.clone(),
        }
    }
}
