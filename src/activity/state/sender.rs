//! What the sender does.

use std::time::Duration;

use super::{Activity, Life, News, Question, Step};
use crate::{
    activity::schedule::SLOW_PAUSE,
    client::{
        Found,
        rpc_error::{Cure, Setback},
    },
    model::{signals::Signals, status::Status},
    sys::clock::Moment,
};

impl Activity {
    /// What to do now.
    pub fn next_step(&mut self, now: Moment) -> Step {
        if self.life != Life::Open || self.in_flight {
            return Step::Nothing;
        }
        if self.due > now {
            return if self.due == Moment::NEVER { Step::Nothing } else { Step::At(self.due) };
        }
        let wanted = self.acknowledged != self.recorded;
        let seeding = self.wants_opening && !self.knows_opening() && !self.has_sent();
        // A first record doesn't wait for it.
        let asking = self.question == Question::Now && (self.has_sent() || !wanted);
        if !wanted && !seeding && !asking && (!self.pulse || self.is_stalled(now)) {
            self.due = Moment::NEVER;
            return Step::Nothing;
        }
        let time = self.schedule().try_time(self.lease_end().since(now), self.ran_out.into());
        self.in_flight = true;
        if seeding || asking || !self.knows() || !self.access.is_settled() {
            if self.question == Question::Now {
                let aside = asking && !seeding && self.knows() && self.access.is_settled();
                self.question = if aside { Question::UnderWay } else { Question::Later };
            }
            return Step::Describe { subject: self.access.subject(), time };
        }
        let replaced = self.recorded.wrapping_sub(self.sending).saturating_sub(1);
        self.sending = self.recorded;
        self.last_send = now;
        let target = self.access.target(self.holds_lease(now));
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
        self.access.acknowledged();
        self.note_answer(now.since(self.last_send));
        self.lease_from = self.last_send;
        self.acknowledged = self.sending;
        self.counts.beats += 1;
        self.tried(None);
        if self.asked.contains(Signals::PAUSED) {
            // The pause doesn't count as standing still.
            self.last_progress = now;
        }
        let sticky = Signals::CANCEL_REQUESTED | Signals::RESET;
        self.asked = asked | Signals::from_bits(self.asked.bits() & sticky.bits());
        if self.question == Question::Later {
            self.question = Question::Now;
        }
        self.due = if self.question == Question::Now { now } else { self.next_due(now) };
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
        self.access.found(description.ids, description.attempt, token);
        self.tried(None);
        if self.timeout_ms == 0 {
            let timeout = description.details.about().heartbeat_timeout.unwrap_or_default();
            self.timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        }
        let aside = self.question == Question::UnderWay;
        self.question = Question::No;
        if self.has_sent() {
            // What the server holds by now is ours.
            self.due = self.next_due(now);
            return;
        }
        // What was handed over was there at the start, whatever the server holds by now.
        if !self.knows_opening() {
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
    pub fn set_back(&mut self, setback: Setback, now: Moment) {
        self.in_flight = false;
        let may_pass = setback.cure != Cure::None;
        if self.question == Question::UnderWay {
            self.question = Question::Later;
            if self.has_sent() || !may_pass {
                // Beats can do without the answer, and come first; the next one is followed by another question. Also whether it
                // is over they tell themselves.
                self.question = if may_pass { Question::Later } else { Question::No };
                self.due = self.next_due(now);
                return;
            }
        }
        if setback.aborted {
            // Another request found the connection dead. All that were on it follow each other on the next one.
            self.due = now.later(self.schedule().spread());
            return;
        }
        self.counts.failed_tries += 1;
        self.failed = self.failed.saturating_add(1);
        if setback.late {
            self.ran_out = self.ran_out.saturating_add(1);
        }
        let status = setback.error.status();
        let schedule = self.schedule();
        if self.access.refused(status) {
            // The token that was made up may be why; without it the server is asked first, and that tells.
            self.due = now;
            return;
        }
        if status == Status::NotFound {
            self.go(setback.error);
            return;
        }
        let lasts = matches!(setback.cure, Cure::None | Cure::Renewal);
        let error = if lasts { setback.error } else { setback.error.temporary(None) };
        self.last_error = Some(error);
        let pause = match setback.cure {
            // What isn't allowed may be, so it is asked now and then; new credentials are there soon, or nothing helps. Who waits
            // has their answer.
            Cure::None | Cure::Renewal => {
                self.awaited = self.acknowledged;
                self.wants_opening = false;
                match setback.cure {
                    Cure::Renewal => schedule.pause(self.failed.into(), now > self.lease_end()),
                    _ => schedule.jittered_period(),
                }
            }
            Cure::Retry if setback.late => Duration::ZERO,
            Cure::Retry => schedule.pause(self.failed.into(), now > self.lease_end()),
            Cure::RetrySlowly => SLOW_PAUSE.max(schedule.pause(self.failed.into(), false)),
        };
        self.due = now.later(pause);
    }

    /// What has changed since this was asked last.
    pub fn news(&mut self, now: Moment) -> Option<News> {
        let signals = self.signals(now);
        let mut before = Signals::from_bits(self.announced.into());
        if matches!(self.life, Life::Ended | Life::Gone) {
            // What the end has taken away hasn't become better.
            before = Signals::from_bits(before.bits() & (signals | Signals::GONE).bits());
        }
        if signals == before {
            return None;
        }
        self.announced = u16::try_from(signals.bits()).unwrap_or(u16::MAX);
        let why = self.last_error.as_ref().map(|error| error.message().to_owned());
        Some(News { signals, before, ids: self.access.ids().unwrap_or_default(), why })
    }
}
