//! The details that wait for the codec. They are encoded aside from the beats: while the codec is slow or away, beats
//! resend the last encoded details, so that the lease is kept.

use std::time::Duration;

use super::{Activity, InitialDetails, Lifecycle, Schedule, TimeoutLookup, encode_details};
use crate::{
    client::rpc_error::{Retry, RpcError},
    model::{
        encoded::Encoded,
        error::{Error, Result},
        payload::{Encoding, Payloads},
        status::Status,
    },
    sys::clock::Moment,
};

/// How much longer than the last ones an encoding may take, so that its details are in time for the next beat.
const LEAD_FACTOR: u32 = 2;
const LEAD_MARGIN: Duration = Duration::from_millis(50);
/// How long a beat waits for an encoding if there is no lease to keep.
const WAIT_WITHOUT_LEASE: Duration = Duration::from_secs(10);

/// What the codec still has to encode of an activity, and the numbers of its records.
#[derive(Debug)]
pub struct Encoder {
    /// The newest details that aren't encoded.
    waiting: Option<Payloads>,
    /// The number of their record; 0 for details that were handed over.
    number: u64,
    /// Since when details have waited.
    since: Moment,
    /// The number of the record that is being encoded.
    in_flight: Option<u64>,
    began: Moment,
    /// How long the last encoding took.
    took: Duration,
    due: Moment,
    /// How many tries have failed since the last success.
    failed: u32,
    /// Why the last try failed.
    error: Option<Error>,
    /// The newest record whose details are encoded, or that needs no encoding.
    ready: u64,
    /// The newest record when the last beat was sent, and when the last acknowledged one was sent.
    announced: u64,
    seen: u64,
    /// Whether a beat waits for the encoding.
    delays_beat: bool,
}

impl Encoder {
    /// Creates an encoder without details.
    pub fn new() -> Self {
        Encoder {
            waiting: None,
            number: 0,
            since: Moment::LONG_AGO,
            in_flight: None,
            began: Moment::LONG_AGO,
            took: Duration::ZERO,
            due: Moment::NEVER,
            failed: 0,
            error: None,
            ready: 0,
            announced: 0,
            seen: 0,
            delays_beat: false,
        }
    }

    /// Takes details that a parent handed over.
    pub fn take_initial(&mut self, details: Payloads, now: Moment) {
        (self.waiting, self.since, self.due) = (Some(details), now, now);
    }

    /// Forgets these details, because the server holds newer ones. Keeps those of a record.
    pub fn forget_initial(&mut self) {
        if self.number == 0 {
            (self.waiting, self.due, self.failed, self.error) = (None, Moment::NEVER, 0, None);
        }
    }

    /// Returns why the codec can't encode the details, if retries don't help.
    pub fn refusal(&self) -> Option<&Error> {
        self.error.as_ref().filter(|error| !error.is_retryable())
    }

    /// Returns why the last try failed.
    pub fn last_error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// Returns how long details have waited.
    pub fn waiting_time(&self, now: Moment) -> Option<Duration> {
        self.waiting.as_ref().map(|_| now.since(self.since))
    }

    /// Returns when the scheduler must begin to encode.
    pub fn due(&self) -> Moment {
        if self.in_flight.is_none() { self.due } else { Moment::NEVER }
    }

    /// Notes that a beat is sent while `newest` is the newest record.
    pub fn announce(&mut self, newest: u64) {
        self.announced = newest;
    }

    /// Notes that this beat was acknowledged.
    pub fn acknowledged(&mut self) {
        self.seen = self.announced;
    }

    /// Notes a new record without details. It is ready with the details before it.
    pub fn note_record(&mut self, newest: u64) {
        if self.waiting.is_none() {
            self.ready = newest;
        }
    }

    /// The details of this record were encoded.
    fn succeed(&mut self, number: u64, newest: u64, now: Moment) {
        (self.failed, self.error) = (0, None);
        self.took = now.since(self.began);
        self.since = self.began;
        if self.number == number {
            self.waiting = None;
            self.ready = newest;
        } else {
            self.ready = number;
        }
    }

    /// The details of this record weren't encoded. Returns whether that was a refusal.
    fn fail(&mut self, failed: RpcError, number: u64, schedule: Schedule, now: Moment) -> bool {
        let is_too_large = failed.error.status() == Status::TooLarge;
        if is_too_large && self.number != number {
            // A newer record has replaced these details, and may be smaller.
            self.failed = 0;
            return false;
        }
        self.failed += 1;
        let backoff = schedule.backoff(false);
        let (is_refusal, pause) = match failed.retry {
            // The codec server may be mended, so the details are encoded again at the usual interval.
            Retry::Never | Retry::WithOtherCredentials => (true, schedule.jittered_period()),
            Retry::Soon => (false, backoff.pause(self.failed)),
            Retry::Slowly => (false, backoff.slow_pause(self.failed)),
        };
        // The same details stay too large.
        self.due = if is_too_large { Moment::NEVER } else { now.later(pause) };
        self.error = Some(if is_refusal { failed.error } else { failed.error.temporary(None) });
        is_refusal
    }
}

impl Activity {
    /// Takes the details of a new record.
    pub(super) fn take_unencoded(
        &mut self,
        encoding: Encoding,
        data: &[u8],
        size_limit: usize,
    ) -> Result<()> {
        let mut details = Payloads::default();
        encode_details(&mut details, encoding, data, size_limit, false)?;
        self.replace_unencoded(details);
        Ok(())
    }

    pub(super) fn replace_unencoded(&mut self, details: Payloads) {
        if let Some(encoder) = &mut self.encoder {
            encoder.waiting = Some(details);
        }
    }

    /// Numbers the details that were just taken. Returns whether they must be encoded earlier than the scheduler knows.
    pub(super) fn number_unencoded(&mut self, now: Moment) -> bool {
        let newest = self.records.newest();
        let Some(encoder) = &mut self.encoder else { return false };
        if encoder.number <= encoder.ready {
            encoder.since = now;
        }
        encoder.number = newest;
        if encoder.refusal().is_some_and(|error| error.status() == Status::TooLarge) {
            // The new details may be smaller, so they don't wait for a retry.
            encoder.failed = 0;
        }
        self.advance_encoding(now)
    }

    /// Makes the encoding due as early as necessary. Returns whether that is earlier than before.
    pub(super) fn advance_encoding(&mut self, now: Moment) -> bool {
        let is_awaited = self.records.is_awaited();
        let is_urgent = is_awaited || !self.has_sent() || self.due == Moment::NEVER;
        let next_beat = self.due;
        let Some(encoder) = &mut self.encoder else { return false };
        // A failed try is repeated after its pause. Only a refused one is repeated at once if a call waits for it.
        let waits_for_retry = encoder.failed > 0 && !(is_awaited && encoder.refusal().is_some());
        if encoder.waiting.is_none() || encoder.in_flight.is_some() || waits_for_retry {
            return false;
        }
        let lead = encoder.took * LEAD_FACTOR + LEAD_MARGIN;
        let due = if is_urgent { now } else { next_beat.earlier(lead).max(now) };
        let is_earlier = due < encoder.due;
        encoder.due = encoder.due.min(due);
        is_earlier
    }

    /// Returns the details to encode now.
    pub fn next_encoding(&mut self, now: Moment) -> Option<Payloads> {
        let is_over = self.is_over();
        let encoder = self.encoder.as_mut().filter(|encoder| !is_over && encoder.due() <= now)?;
        let details = encoder.waiting.clone()?;
        (encoder.in_flight, encoder.began) = (Some(encoder.number), now);
        Some(details)
    }

    /// Applies the outcome of an encoding. Returns when the scheduler must examine the activity.
    pub fn encoded(&mut self, outcome: std::result::Result<Encoded, RpcError>, now: Moment) -> Moment {
        let outcome = match outcome {
            Ok(details) if self.require_encoded => match details.payloads().refuse_readable("details") {
                Ok(()) => Ok(details),
                Err(error) => Err(RpcError::permanent(error)),
            },
            outcome => outcome,
        };
        let (newest, schedule) = (self.records.newest(), self.schedule());
        let Some(encoder) = &mut self.encoder else { return Moment::NEVER };
        let number = encoder.in_flight.take().unwrap_or_default();
        let delayed_beat = std::mem::take(&mut encoder.delays_beat);
        encoder.due = Moment::NEVER;
        match outcome {
            // The server holds newer details than those that were handed over.
            _ if encoder.waiting.is_none() => {}
            Ok(details) => {
                encoder.succeed(number, newest, now);
                self.details = Some(details);
            }
            Err(failed) => {
                if encoder.fail(failed, number, schedule, now) {
                    // Waiting calls return the error.
                    self.records.stop_waiting();
                }
            }
        }
        if self.lifecycle == Lifecycle::Open && !self.in_flight {
            if delayed_beat {
                self.due = now;
            } else {
                self.advance_due(now);
            }
        }
        self.advance_encoding(now);
        self.due()
    }

    /// Returns until when a due beat waits for the details that are being encoded: as long as the lease leaves time for a
    /// try. `None`: it doesn't wait.
    pub(super) fn waits_for_encoding(&mut self, now: Moment) -> Option<Moment> {
        // An unknown heartbeat timeout may be short. News don't depend on the details.
        let is_wanted = self.has_ready_record()
            || self.has_server_news()
            || matches!(self.initial_details, InitialDetails::Wanted)
            || self.timeout_lookup == TimeoutLookup::Due;
        let latest = self.lease.is_held(now).then(|| self.schedule().latest_try(self.lease.end()));
        let encoder = self.encoder.as_mut()?;
        let is_encoding = encoder.in_flight.is_some() || encoder.waiting.is_some() && encoder.due <= now;
        let latest = latest.unwrap_or(encoder.since.later(WAIT_WITHOUT_LEASE));
        if is_wanted || !is_encoding || encoder.failed > 0 || latest <= now {
            return None;
        }
        encoder.delays_beat = true;
        Some(latest)
    }

    /// Returns the newest record that may be sent.
    pub(super) fn ready(&self) -> u64 {
        self.encoder.as_ref().map_or(self.records.newest(), |encoder| encoder.ready)
    }

    /// Returns whether all records may be sent.
    pub fn is_ready(&self) -> bool {
        self.ready() == self.records.newest()
    }

    /// Returns whether a record may be sent that isn't acknowledged.
    pub(super) fn has_ready_record(&self) -> bool {
        !self.records.is_acknowledged(self.ready())
    }

    /// Returns whether a beat is due without a pulse: a record may be sent, or was made since the last acknowledged beat.
    pub(super) fn has_news(&self) -> bool {
        let newest = self.records.newest();
        self.has_ready_record() || self.encoder.as_ref().is_some_and(|encoder| encoder.seen != newest)
    }
}
