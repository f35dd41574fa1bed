//! What the sender does.

use std::time::Duration;

use super::{Activity, Lifecycle, News, Step, TimeoutLookup};
use crate::{
    client::{
        Found,
        rpc_error::{Retry, RpcError},
    },
    model::{signals::Signals, status::Status},
    sys::clock::Moment,
};

impl Activity {
    /// What to do now.
    pub fn next_step(&mut self, now: Moment) -> Step {
        if self.lifecycle != Lifecycle::Open || self.in_flight {
            return Step::Nothing;
        }
        if self.due > now {
            return if self.due == Moment::NEVER { Step::Nothing } else { Step::At(self.due) };
        }
        let wanted = self.acknowledged != self.recorded;
        let seeding = self.wants_initial_details && !self.knows_initial_details() && !self.has_sent();
        // A first record doesn't wait for it.
        let asking = self.timeout_lookup == TimeoutLookup::Now && (self.has_sent() || !wanted);
        if !wanted && !seeding && !asking && (!self.pulse || self.is_stalled(now)) {
            self.due = Moment::NEVER;
            return Step::Nothing;
        }
        let time = self.schedule().try_time(self.lease_end().since(now), self.ran_out.into());
        self.in_flight = true;
        if seeding || asking || !self.knows_details() || !self.address.is_settled() {
            if self.timeout_lookup == TimeoutLookup::Now {
                let aside = asking && !seeding && self.knows_details() && self.address.is_settled();
                self.timeout_lookup = if aside { TimeoutLookup::UnderWay } else { TimeoutLookup::Later };
            }
            return Step::Describe { subject: self.address.subject(), time };
        }
        let replaced = self.recorded.wrapping_sub(self.sending).saturating_sub(1);
        self.sending = self.recorded;
        self.last_send = now;
        let target = self.address.target(self.holds_lease(now));
        Step::Beat { replaced, target, details: self.to_send(), time }
    }

    /// The server acknowledged the beat that is under way. What part of the lease was left by then, where there is one.
    pub fn acknowledge(&mut self, asked: Signals, now: Moment) -> Option<f64> {
        self.in_flight = false;
        let timeout = f64::from(self.timeout_ms) / 1000.0;
        let margin = (timeout > 0.0).then(|| self.lease_end().since(now).as_secs_f64() / timeout);
        if now > self.lease_end() {
            self.counts.leases_regained += 1;
        }
        self.address.acknowledged();
        self.note_answer(now.since(self.last_send));
        self.lease_from = self.last_send;
        self.acknowledged = self.sending;
        self.counts.beats += 1;
        self.clear_failures(None);
        if self.asked.contains(Signals::PAUSED) {
            // The pause doesn't count as standing still.
            self.last_progress = now;
        }
        let sticky = Signals::CANCEL_REQUESTED | Signals::RESET;
        self.asked = asked | Signals::from_bits(self.asked.bits() & sticky.bits());
        if self.timeout_lookup == TimeoutLookup::Later {
            self.timeout_lookup = TimeoutLookup::Now;
        }
        self.due = if self.timeout_lookup == TimeoutLookup::Now { now } else { self.next_due(now) };
        margin
    }

    /// Remembers the longest time of an answer, and forgets it over some tens of answers.
    fn note_answer(&mut self, took: Duration) {
        let took = u32::try_from(took.as_millis()).unwrap_or(u32::MAX).max(1);
        let known = self.longest_answer_ms;
        self.longest_answer_ms = took.max(known - known.div_ceil(16));
    }

    /// The server told what it holds of this attempt.
    pub fn described(&mut self, found: Found, now: Moment) {
        self.in_flight = false;
        let Found { description, token } = found;
        self.address.found(description.ids, description.attempt, token);
        self.clear_failures(None);
        if self.timeout_ms == 0 {
            let timeout = description.details.about().heartbeat_timeout.unwrap_or_default();
            self.timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        }
        let aside = self.timeout_lookup == TimeoutLookup::UnderWay;
        self.timeout_lookup = TimeoutLookup::No;
        if self.has_sent() {
            // What the server holds by now is ours.
            self.due = self.next_due(now);
            return;
        }
        // What was handed over was there at the start, whatever the server holds by now.
        if !self.knows_initial_details() {
            self.seed(description.details);
        }
        let wanted = self.acknowledged != self.recorded;
        self.due = if aside && self.pulse && !wanted {
            let first = self.lease_from.later(self.schedule().first_pulse());
            self.no_later_than_deadline_check(first).max(now)
        } else if wanted || self.pulse {
            now
        } else {
            Moment::NEVER
        };
    }

    /// The try that is under way failed.
    pub fn set_back(&mut self, rpc_error: RpcError, now: Moment) {
        self.in_flight = false;
        let may_pass = rpc_error.retry != Retry::Never;
        if self.timeout_lookup == TimeoutLookup::UnderWay {
            self.timeout_lookup = TimeoutLookup::Later;
            if self.has_sent() || !may_pass {
                // Beats can do without the answer, and come first; the next one is followed by another question. Also whether it
                // is over they tell themselves.
                self.timeout_lookup = if may_pass { TimeoutLookup::Later } else { TimeoutLookup::No };
                self.due = self.next_due(now);
                return;
            }
        }
        if rpc_error.connection_aborted {
            // Another request found the connection dead. All that were on it follow each other on the next one.
            self.due = now.later(self.schedule().spread());
            return;
        }
        self.counts.failed_tries += 1;
        self.failed = self.failed.saturating_add(1);
        if rpc_error.timed_out {
            self.ran_out = self.ran_out.saturating_add(1);
        }
        let status = rpc_error.error.status();
        let schedule = self.schedule();
        let backoff = schedule.backoff(now > self.lease_end());
        if self.address.refused(status) {
            // The token that was made up may be why; without it the server is asked first, and that tells.
            self.due = now;
            return;
        }
        if status == Status::NotFound {
            self.mark_gone(rpc_error.error);
            return;
        }
        let lasts = matches!(rpc_error.retry, Retry::Never | Retry::WithOtherCredentials);
        let error = if lasts { rpc_error.error } else { rpc_error.error.temporary(None) };
        self.last_error = Some(error);
        let pause = match rpc_error.retry {
            // What isn't allowed may be, so it is asked now and then; new credentials are there soon, or nothing helps. Who waits
            // has their answer.
            Retry::Never | Retry::WithOtherCredentials => {
                self.awaited = self.acknowledged;
                self.wants_initial_details = false;
                match rpc_error.retry {
                    Retry::WithOtherCredentials => backoff.pause(self.failed.into()),
                    _ => schedule.jittered_period(),
                }
            }
            Retry::Soon if rpc_error.timed_out => Duration::ZERO,
            Retry::Soon => backoff.pause(self.failed.into()),
            Retry::Slowly => backoff.slow_pause(self.failed.into()),
        };
        self.due = now.later(pause);
    }

    /// What has changed since this was asked last.
    pub fn news(&mut self, now: Moment) -> Option<News> {
        let signals = self.signals(now);
        let mut before = Signals::from_bits(self.announced.into());
        if matches!(self.lifecycle, Lifecycle::Ended | Lifecycle::Gone) {
            // What the end has taken away hasn't become better.
            before = Signals::from_bits(before.bits() & (signals | Signals::GONE).bits());
        }
        if signals == before {
            return None;
        }
        self.announced = u16::try_from(signals.bits()).unwrap_or(u16::MAX);
        let why = self.last_error.as_ref().map(|error| error.message().to_owned());
        Some(News { signals, before, ids: self.address.ids().unwrap_or_default(), why })
    }
}
