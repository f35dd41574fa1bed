//! Returns the scheduler's next request, and applies the outcome of a request.

use std::time::Duration;

use super::{
    Activity, DeadlineCheck, Effects, InitialDetails, Lifecycle, Outcome, SignalChange, Step, TimeoutLookup,
};
use crate::{
    client::{
        Acknowledgement, Found,
        rpc_error::{Retry, RpcError},
    },
    model::{error::Error, signals::Signals, status::Status},
    sys::clock::Moment,
};

/// The server's timers may fire this much too late. A beat that is sent sooner after the deadline may find the attempt
/// still running.
const LONGEST_TIMER_DELAY: Duration = Duration::from_secs(1);

/// The request to send now.
enum Request {
    Beat,
    Describe,
}

impl Activity {
    /// Returns what to do now.
    pub fn next_step(&mut self, now: Moment) -> Step {
        if self.lifecycle != Lifecycle::Open || self.in_flight || self.due == Moment::NEVER {
            return Step::Nothing;
        }
        if self.due > now {
            return Step::At(self.due());
        }
        if self.deadline_question() <= now {
            self.timeout_lookup = TimeoutLookup::Due;
        }
        if let Some(latest) = self.waits_for_encoding(now) {
            self.due = latest;
            return Step::At(self.due());
        }
        let (schedule, left, ran_out) = (self.schedule(), self.lease.remaining(now), self.tries.timed_out());
        let time = if self.can_beat() {
            schedule.try_time(left, ran_out)
        } else {
            schedule.look_time(left, ran_out)
        };
        match self.next_request() {
            None => {
                self.due = Moment::NEVER;
                Step::Nothing
            }
            Some(Request::Describe) => {
                self.begin_try(now);
                if self.timeout_lookup == TimeoutLookup::Due {
                    let is_aside = self.can_beat() && !self.wants_initial_details();
                    self.timeout_lookup =
                        if is_aside { TimeoutLookup::InFlight } else { TimeoutLookup::AfterNextBeat };
                }
                Step::Describe { subject: self.address.subject(), time }
            }
            Some(Request::Beat) => {
                self.begin_try(now);
                self.last_send = now;
                self.touch.send();
                if let Some(view) = &mut self.server {
                    view.news.send();
                }
                let newest = self.records.newest();
                if let Some(encoder) = &mut self.encoder {
                    encoder.announce(newest);
                }
                Step::Beat {
                    replaced: self.records.send(self.ready()),
                    target: self.address.target(self.lease.is_held(now)),
                    details: self.details_to_send(),
                    time,
                }
            }
        }
    }

    fn begin_try(&mut self, now: Moment) {
        (self.in_flight, self.is_given_up, self.try_began) = (true, false, now);
    }

    fn next_request(&self) -> Option<Request> {
        // The first record doesn't wait for the lookup of the timeout.
        let looks_up_timeout =
            self.timeout_lookup == TimeoutLookup::Due && (self.has_sent() || !self.has_ready_record());
        if looks_up_timeout || self.wants_initial_details() {
            return Some(Request::Describe);
        }
        if !self.has_news() && !self.has_server_news() && (!self.pulse || self.stall_stops_pulse()) {
            return None;
        }
        Some(if self.can_beat() { Request::Beat } else { Request::Describe })
    }

    /// Returns whether a beat can be sent: the attempt is known, and so are the details that the beat must not erase.
    pub(super) fn can_beat(&self) -> bool {
        self.knows_details() && self.address.is_settled()
    }

    fn wants_initial_details(&self) -> bool {
        matches!(self.initial_details, InitialDetails::Wanted) && !self.has_sent()
    }

    /// Applies the outcome of the request in flight.
    pub fn complete(&mut self, outcome: Outcome, now: Moment) -> Effects {
        self.in_flight = false;
        let mut lease_margin = None;
        match outcome {
            Outcome::Acknowledged(answer) => lease_margin = self.acknowledged(answer, now),
            Outcome::Described(found) => self.described(*found, now),
            Outcome::Failed(error) => self.failed(error, now),
            Outcome::GivenUp => self.given_up(now),
        }
        let due = if self.may_be_followed() { now } else { self.due.min(self.stall_due()) };
        Effects { due, lease_margin }
    }

    /// Applies an acknowledged beat. Returns the fraction of the lease that was left.
    fn acknowledged(&mut self, answer: Acknowledgement, now: Moment) -> Option<f64> {
        if let Some(conditions) = answer.conditions {
            self.apply(*conditions, now);
        }
        let margin = self.lease.remaining_fraction(now);
        if self.lease.is_lost(now) {
            self.counts.leases_regained += 1;
        }
        self.lease.renew(self.last_send);
        self.address.acknowledged();
        self.records.acknowledge_sent();
        if let Some(encoder) = &mut self.encoder {
            encoder.acknowledged();
        }
        self.touch.acknowledge();
        if let Some(view) = &mut self.server {
            view.news.acknowledge();
        }
        self.counts.beats += 1;
        self.tries.note_answer(now.since(self.last_send), self.lease.timeout());
        self.tries.succeed();
        if (self.asked | answer.signals).contains(Signals::PAUSED) {
            // Time during a pause doesn't count as time without progress.
            (self.last_progress, self.is_stalled) = (now, false);
        }
        let sticky = Signals::CANCEL_REQUESTED | Signals::RESET;
        self.asked = answer.signals | Signals::from_bits(self.asked.bits() & sticky.bits());
        if self.timeout_lookup == TimeoutLookup::AfterNextBeat {
            self.timeout_lookup = TimeoutLookup::Due;
        }
        self.due = if self.timeout_lookup == TimeoutLookup::Due { now } else { self.next_due(now) };
        margin
    }

    fn described(&mut self, found: Found, now: Moment) {
        let Found { description, token } = found;
        self.address.found(description.ids, description.attempt, token);
        self.tries.succeed();
        self.apply(description.conditions, now);
        let was_aside = self.timeout_lookup == TimeoutLookup::InFlight;
        self.timeout_lookup = TimeoutLookup::NotNeeded;
        if self.has_sent() {
            // This library's beats have replaced the server's first details, so these are no longer needed.
            self.due = self.next_due(now);
            return;
        }
        // Details from the hand-off count as the initial ones, even if the server holds other details now.
        if matches!(self.initial_details, InitialDetails::Known(_)) {
            self.keep(&description.details);
        } else {
            self.seed(description.details);
        }
        self.due = match self.has_ready_record() {
            true => now,
            false if self.has_server_news() => now,
            false if was_aside && self.pulse => self.first_pulse().max(now),
            false if self.pulse => now,
            false => self.deadline_question(),
        };
    }

    fn failed(&mut self, error: RpcError, now: Moment) {
        let may_succeed = error.retry != Retry::Never;
        if self.timeout_lookup == TimeoutLookup::InFlight {
            self.timeout_lookup = TimeoutLookup::AfterNextBeat;
            if self.has_sent() || !may_succeed {
                // Beats don't depend on the timeout, and their answers show whether the activity is over.
                if !may_succeed {
                    self.timeout_lookup = TimeoutLookup::NotNeeded;
                    self.deadline_check = DeadlineCheck::Impossible;
                }
                self.due = self.next_due(now);
                return;
            }
        }
        if error.connection_aborted {
            // Another request found the connection dead. All requests of that connection are retried on the next one.
            self.due = now.later(self.schedule().spread());
            return;
        }
        self.counts.failed_tries += 1;
        self.tries.fail(error.timed_out);
        if self.address.refused(error.error.status()) {
            // The derived token may be wrong, so it isn't used again. The next beat checks the attempt by its ids
            // first, and the answer shows whether the activity is over.
            self.due = now;
            return;
        }
        if error.error.status() == Status::NotFound {
            self.mark_gone(error.error);
            return;
        }
        let schedule = self.schedule();
        let backoff = schedule.backoff(self.lease.is_lost(now));
        let failed = self.tries.failed();
        let pause = match error.retry {
            // The permission may be granted later, so the beat is retried at the usual interval.
            Retry::Never => schedule.jittered_period(),
            Retry::Soon if error.timed_out => Duration::ZERO,
            Retry::Soon | Retry::WithOtherCredentials => backoff.pause(failed),
            Retry::Slowly => backoff.slow_pause(failed),
        };
        let is_refusal = matches!(error.retry, Retry::Never | Retry::WithOtherCredentials);
        if is_refusal {
            // Waiting calls return the error.
            self.records.stop_waiting();
            if matches!(self.initial_details, InitialDetails::Wanted) {
                self.initial_details = InitialDetails::Unknown;
            }
        }
        self.tries.set_error(if is_refusal { error.error } else { error.error.temporary(None) });
        self.due = now.later(pause);
    }

    fn given_up(&mut self, now: Moment) {
        if self.timeout_lookup == TimeoutLookup::InFlight {
            self.timeout_lookup = TimeoutLookup::AfterNextBeat;
        }
        // The next try gets more time, because the server may be slow.
        self.tries.fail(true);
        self.due = self.next_due(now);
    }

    fn mark_gone(&mut self, why: Error) {
        self.lifecycle = Lifecycle::Gone;
        self.due = Moment::NEVER;
        self.tries.set_error(why);
    }

    /// Returns when the next beat is due if no call waits for it.
    fn usual_due(&self) -> Moment {
        let due = match self.has_sent() {
            // At once, also if beats without a record were sent before.
            _ if self.is_first_unsent() || self.has_server_news() => self.lease.start(),
            _ if !self.has_news() && !self.pulse => return self.deadline_question(),
            true => self.last_send.later(self.schedule().jittered_period()),
            false => self.lease.start().later(self.schedule().period),
        };
        self.no_later_than_deadline_check(due)
    }

    /// Returns `due`, but not later than the question whether the deadline was moved, and the beat that checks whether the
    /// attempt timed out. That beat is sent once, soon after the deadline.
    pub(super) fn no_later_than_deadline_check(&self, due: Moment) -> Moment {
        let check = self.deadline.later(LONGEST_TIMER_DELAY);
        let due = if self.last_send < check { due.min(check) } else { due };
        due.min(self.deadline_question())
    }

    /// Makes the next beat due as early as the timeouts in force require. Returns whether that is earlier than before.
    pub(super) fn advance_to_usual_due(&mut self, now: Moment) -> bool {
        if self.in_flight || self.lifecycle != Lifecycle::Open || self.tries.failed() > 0 {
            return false;
        }
        let due = self.usual_due().max(now);
        let is_earlier = due < self.due;
        self.due = self.due.min(due);
        is_earlier
    }

    /// Returns whether there is a record that may be sent, and no beat has carried one yet.
    fn is_first_unsent(&self) -> bool {
        self.records.is_none_sent() && self.ready() > 0
    }

    /// Returns whether the first beat doesn't have to wait for the codec.
    fn may_begin(&self) -> bool {
        self.is_ready() || self.ready() > 0
    }

    /// Returns when the next beat is due after a request.
    fn next_due(&self, now: Moment) -> Moment {
        if self.records.is_awaited_up_to(self.ready()) { now } else { self.usual_due() }
    }

    /// Makes the next beat due as early as allowed. Returns whether that is earlier than before.
    #[inline]
    pub(super) fn advance_due(&mut self, now: Moment) -> bool {
        if self.in_flight || self.lifecycle != Lifecycle::Open {
            return false;
        }
        let is_awaited = self.records.is_awaited_up_to(self.ready())
            || matches!(self.initial_details, InitialDetails::Wanted);
        let is_scheduled = self.due != Moment::NEVER;
        // A failed beat is retried after its backoff. Only a refused beat is retried at once if a call waits for it.
        let is_retry = self.tries.failed() > 0 && is_scheduled;
        if is_retry && !(is_awaited && self.tries.refusal().is_some()) {
            return false;
        }
        let due = match is_scheduled {
            _ if is_awaited || self.has_server_news() => now,
            _ if !self.has_sent() && self.may_begin() || self.is_first_unsent() => now,
            true => return false,
            false => self.usual_due().max(now),
        };
        let is_earlier = due < self.due;
        if is_earlier {
            self.due = due;
        }
        is_earlier
    }

    /// Returns how the signals have changed since the last call of this function.
    pub fn take_signal_change(&mut self, now: Moment) -> Option<SignalChange> {
        let signals = self.signals(now);
        let mut before = self.published;
        if matches!(self.lifecycle, Lifecycle::Ended | Lifecycle::Gone) {
            // The end of the activity clears most signals. This isn't reported: only the remaining signals are compared.
            before = Signals::from_bits(before.bits() & (signals | Signals::GONE).bits());
        }
        if signals == before {
            return None;
        }
        self.published = signals;
        Some(SignalChange {
            signals,
            before,
            ids: self.address.ids().unwrap_or_default(),
            why: self.tries.last_error().map(|error| error.message().to_owned()),
            stall_action: self.stall_action(),
        })
    }
}
