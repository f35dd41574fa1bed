//! The functions that the activity's holder calls.

use std::sync::Arc;

use super::{Activity, BeatReason, DeadlineCheck, End, Info, InitialDetails, Lifecycle, Publication};
use crate::{
    model::{
        details::Details,
        encoded::Encoded,
        error::{Error, Result},
        payload::{Encoding, Payloads},
        signals::Signals,
        status::Status,
    },
    sys::clock::Moment,
};

impl Activity {
    /// Records details. Returns whether the activity is now due earlier than the scheduler knows.
    #[inline]
    pub fn record(
        &mut self,
        encoding: Encoding,
        data: &[u8],
        size_limit: usize,
        now: Moment,
    ) -> Result<bool> {
        self.check_usable()?;
        if self.encoder.is_some() {
            self.take_unencoded(encoding, data, size_limit)?;
            return Ok(self.recorded(now) | self.number_unencoded(now));
        }
        match &mut self.details {
            Some(details) => {
                encode_details(
                    details.without_codec_mut(),
                    encoding,
                    data,
                    size_limit,
                    self.require_encoded,
                )?;
            }
            None => {
                let mut first = Payloads::default();
                encode_details(&mut first, encoding, data, size_limit, self.require_encoded)?;
                self.details = Some(Encoded::without_codec(first));
            }
        }
        Ok(self.recorded(now))
    }

    /// Records details that [`encode_details`] has encoded, in exchange for the previous ones. Returns the same as
    /// [`Activity::record`].
    pub fn record_encoded(&mut self, details: &mut Payloads, now: Moment) -> Result<bool> {
        self.check_usable()?;
        if self.encoder.is_some() {
            self.replace_unencoded(std::mem::take(details));
            return Ok(self.recorded(now) | self.number_unencoded(now));
        }
        std::mem::swap(self.details.get_or_insert_default().without_codec_mut(), details);
        Ok(self.recorded(now))
    }

    #[inline]
    fn recorded(&mut self, now: Moment) -> bool {
        self.counts.records += 1;
        self.records.add();
        (self.last_progress, self.is_stalled) = (now, false);
        self.advance_due(now)
    }

    /// Notes progress without details. Returns the same as [`Activity::record`].
    pub fn touch(&mut self, now: Moment) -> Result<bool> {
        self.check_usable()?;
        let was_stalled = std::mem::take(&mut self.is_stalled);
        (self.last_progress, self.touch) = (now, BeatReason::Unsent);
        if self.pulse && !was_stalled {
            return Ok(false);
        }
        if !self.pulse {
            self.add_without_details();
        }
        Ok(self.advance_due(now))
    }

    /// Requests a beat with the newest details. Returns the same as [`Activity::record`].
    pub fn request_beat(&mut self, now: Moment) -> Result<bool> {
        self.check_usable()?;
        self.add_without_details();
        Ok(self.advance_due(now))
    }

    /// Counts a record that has no details of its own.
    fn add_without_details(&mut self) {
        self.records.add();
        let newest = self.records.newest();
        if let Some(encoder) = &mut self.encoder {
            encoder.note_record(newest);
        }
    }

    /// Counts a touch as a record if no beat was acknowledged since, so that a flush sends a beat.
    pub fn record_touch(&mut self) {
        if std::mem::take(&mut self.touch) != BeatReason::None {
            self.add_without_details();
        }
    }

    /// Requests that the newest record is sent at once. Returns the same as [`Activity::record`].
    pub fn request_flush(&mut self, now: Moment) -> bool {
        self.records.await_newest();
        self.advance_due(now) | self.advance_encoding(now)
    }

    /// Returns the current signals.
    #[inline]
    pub fn signals(&self, now: Moment) -> Signals {
        let is_over = self.is_over();
        self.asked
            | Signals::GONE.when(is_over && (self.lifecycle == Lifecycle::Gone || self.has_ended_by_stall()))
            | Signals::LEASE_LOST.when(!is_over && self.lease.is_lost(now))
            | Signals::STALLED.when(self.is_stalled && (!is_over || self.has_ended_by_stall()))
            | Signals::REFUSED.when(!is_over && self.refusal().is_some())
            | Signals::DEADLINE.when(self.deadline_check == DeadlineCheck::Passed)
            | Signals::UNSEEDED.when(!is_over && now > self.unseeded_at())
    }

    /// Returns when the signals change next without a call or an answer.
    pub fn next_change(&self, now: Moment) -> Moment {
        let times = [self.lease.end(), self.unseeded_at()];
        times.into_iter().filter(|time| *time >= now).min().unwrap_or(Moment::NEVER)
    }

    /// Returns the signals for the watches, if a watch waits for them.
    pub fn publish(&mut self, now: Moment) -> Option<Publication> {
        if !self.watched {
            return None;
        }
        self.publications += 1;
        let (signals, next_change) = (self.signals(now), self.next_change(now));
        Some(Publication { signals, number: self.publications, next_change })
    }

    /// Returns the number of the newest record.
    pub fn newest_record(&self) -> u64 {
        self.records.newest()
    }

    /// Returns whether all records are acknowledged. Fails if that can't happen any more.
    pub fn is_flushed(&self) -> Result<bool> {
        self.is_flushed_to(self.records.newest())
    }

    /// Returns whether this record or a newer one is acknowledged. Fails if that can't happen any more.
    pub fn is_flushed_to(&self, record: u64) -> Result<bool> {
        if self.records.is_acknowledged(record) {
            return Ok(true);
        }
        self.check_usable().map(|()| false)
    }

    /// Fails if the server has refused the record that a flush waits for.
    pub fn check_flush(&self) -> Result<()> {
        if self.records.is_awaited() { Ok(()) } else { self.check_refusal() }
    }

    /// Returns the details that the server held when the activity was opened. While they aren't known, returns `None`
    /// and requests them. If `asked_before` is set, fails if the server refused that request. The second value is that
    /// of [`Activity::record`].
    pub fn initial_details(
        &mut self,
        asked_before: bool,
        now: Moment,
    ) -> Result<(Option<Arc<Details>>, bool)> {
        if let Some(details) = self.known_details()? {
            return Ok((Some(details), false));
        }
        if asked_before && !matches!(self.initial_details, InitialDetails::Wanted) {
            self.check_refusal()?;
        }
        self.initial_details = InitialDetails::Wanted;
        Ok((None, self.advance_due(now)))
    }

    /// Returns why the last try failed: of the codec, if details wait for it, or else of the beats.
    pub fn last_error(&self) -> Option<&Error> {
        self.encoder.as_ref().and_then(|encoder| encoder.last_error()).or(self.tries.last_error())
    }

    /// Returns the last error if retries don't help against it.
    fn refusal(&self) -> Option<&Error> {
        self.encoder.as_ref().and_then(|encoder| encoder.refusal()).or(self.tries.refusal())
    }

    /// Returns the details that the server held when the activity was opened, if they are known. Fails if they can't
    /// become known any more.
    pub fn known_details(&self) -> Result<Option<Arc<Details>>> {
        if let InitialDetails::Known(details) = &self.initial_details {
            return Ok(Some(details.clone().unwrap_or_default()));
        }
        self.check_usable()?;
        if self.has_sent() {
            return Err(Error::new(
                Status::FailedPrecondition,
                "the initial details have been replaced: get them before the first record, or hand them \
                 over as initial_details",
            ));
        }
        Ok(None)
    }

    /// Fails if an ending call would fail without asking the server.
    pub fn check_may_end(&self) -> Result<()> {
        // After a failed call that may have ended the activity, the next one asks the server.
        if self.lifecycle == Lifecycle::Gone && self.has_failed_to_end { Ok(()) } else { self.check_usable() }
    }

    /// Begins an ending call. No beat begins after this.
    pub fn begin_ending(&mut self) -> Result<()> {
        match self.lifecycle {
            Lifecycle::Open => self.lifecycle = Lifecycle::Ending,
            Lifecycle::Ending => {
                return Err(Error::new(Status::Ended, "another thread is ending the activity"));
            }
            Lifecycle::Inactive | Lifecycle::Ended | Lifecycle::Gone => return self.check_may_end(),
        }
        Ok(())
    }

    /// Returns what the ending call sends. Returns `None` during a beat, because the beat must not arrive after the
    /// call.
    pub fn may_end(&mut self, now: Moment) -> Result<Option<End>> {
        self.note_reported();
        match self.lifecycle {
            Lifecycle::Gone if !self.has_failed_to_end => Err(self.gone()),
            _ if self.in_flight => Ok(None),
            _ => Ok(Some(End {
                target: self.address.ending_target(self.lease.is_held(now)),
                unsent: self.details_to_send().filter(|_| self.records.has_unacknowledged()),
                verify: self.verify,
            })),
        }
    }

    /// Returns whether the record must be sent before a failure instead of in it: Server 1.29 loses the details of a
    /// failure by ids.
    pub fn flushes_before_failing(&self) -> bool {
        self.address.ends_by_ids() && self.records.has_unacknowledged()
    }

    /// Returns whether a codec must have encoded all values.
    pub fn requires_encoded(&self) -> bool {
        self.require_encoded
    }

    /// Returns whether the caller must have encoded all values.
    pub fn refuses_readable(&self) -> bool {
        self.require_encoded && self.encoder.is_none()
    }

    /// Applies the outcome of the ending call. Returns the same as [`Activity::record`].
    pub fn finish_ending(&mut self, outcome: &Result<()>, now: Moment) -> bool {
        self.lifecycle = match outcome.as_ref().map_err(Error::status) {
            Ok(()) | Err(Status::InDoubt) => Lifecycle::Ended,
            Err(Status::NotFound) => Lifecycle::Gone,
            Err(_) => {
                self.has_failed_to_end = true;
                if self.lifecycle == Lifecycle::Gone { Lifecycle::Gone } else { Lifecycle::Open }
            }
        };
        if self.lifecycle == Lifecycle::Ended {
            self.address.ended();
        }
        self.is_finished = self.is_over();
        self.repeat_stall_report(now);
        self.due = Moment::NEVER;
        let continues = self.pulse || self.has_news();
        if continues
            && self.lifecycle == Lifecycle::Open
            && self.has_sent()
            && self.lease.start() != self.last_send
        {
            // The last beat wasn't acknowledged, so the next one must not wait for its usual time.
            self.due = now;
            return true;
        }
        continues && self.advance_due(now)
    }

    /// Returns the facts of `thb_activity_get_info`.
    pub fn info(&self, now: Moment) -> Info {
        let until = |moment: Moment| (moment != Moment::NEVER).then(|| moment.since(now));
        Info {
            attempt: self.address.attempt_number(),
            addressed_by: self.address.addressed_by(),
            state: match self.lifecycle {
                Lifecycle::Open => "open",
                Lifecycle::Ending => "ending",
                Lifecycle::Inactive => "inactive",
                Lifecycle::Ended => "ended",
                Lifecycle::Gone => "gone",
            },
            heartbeat_timeout: self.lease.timeout(),
            lease_left: until(self.lease.end()),
            since_acknowledged: (self.counts.beats > 0).then(|| now.since(self.lease.start())),
            pending: self.records.has_unacknowledged(),
            unencoded: self.encoder.as_ref().and_then(|encoder| encoder.waiting_time(now)),
            next_beat: until(self.due),
            counts: self.counts,
            last_error: self.last_error().cloned(),
            status: self.status().to_owned(),
            since_progress: now.since(self.last_progress),
            server: self.server.as_ref().map(|view| view.info()).unwrap_or_default(),
        }
    }

    /// Fails if the activity is over.
    #[inline]
    pub fn check_usable(&self) -> Result<()> {
        match self.lifecycle {
            Lifecycle::Open | Lifecycle::Ending | Lifecycle::Inactive => Ok(()),
            Lifecycle::Ended => Err(self.ended()),
            Lifecycle::Gone => Err(self.gone()),
        }
    }

    fn ended(&self) -> Error {
        Error::new(
            Status::Ended,
            match self.has_ended_by_stall() {
                true => {
                    "the library has failed the attempt, because nothing was recorded for stall_timeout_ms (stall_action): stop the work"
                }
                false => "this handle has ended the activity",
            },
        )
    }

    fn gone(&self) -> Error {
        let unexplained = || Error::new(Status::NotFound, "the activity is over");
        self.tries.last_error().cloned().unwrap_or_else(unexplained)
    }

    fn check_refusal(&self) -> Result<()> {
        self.refusal().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Returns whether the activity is over, as far as known.
    #[inline]
    pub fn is_over(&self) -> bool {
        matches!(self.lifecycle, Lifecycle::Ended | Lifecycle::Gone)
    }

    /// Returns whether an ending call has found the activity over, or has ended it: its holder does no more work for it.
    pub fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Returns when `UNSEEDED` is set: a pulse was due, but the details that the server holds aren't known.
    #[inline]
    fn unseeded_at(&self) -> Moment {
        if !self.pulse || self.knows_details() {
            return Moment::NEVER;
        }
        self.lease.start().later(self.schedule().period)
    }
}

/// Checks the details of a record, and encodes them into `details`. Reuses the memory of `details`.
#[inline]
pub fn encode_details(
    details: &mut Payloads,
    encoding: Encoding,
    data: &[u8],
    size_limit: usize,
    require_encoded: bool,
) -> Result<()> {
    if encoding == Encoding::None || encoding == Encoding::Payloads && data.is_empty() {
        return Err(Error::argument(
            "a beat without details (THB_ENCODING_NONE, or no PAYLOADS) would erase the progress; touch reports progress without details",
        ));
    }
    if require_encoded {
        refuse_readable(encoding, data)?;
    }
    details.replace("details", encoding, data, size_limit)
}

/// Refuses values that no codec has encoded.
#[cold]
fn refuse_readable(encoding: Encoding, data: &[u8]) -> Result<()> {
    Payloads::from_caller("details", encoding, data)?
        .map_or(Ok(()), |details| details.refuse_readable("details"))
}
