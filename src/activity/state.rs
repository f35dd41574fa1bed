//! One open activity: what is known of it, what is to be sent next, and what its holder must know.
//!
//! Nothing here waits, sends, or asks the time: it is told what happened and when, and says what to do. So every rule of the
//! lease, the throttle and the pulse can be tested by telling a story.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use bytes::Bytes;
use zeroize::Zeroizing;

use super::{
    options::OpenOptions,
    schedule::{SLOW_PAUSE, Schedule},
};
use crate::{
    details::{About, Details},
    error::{Error, Result},
    payload::{Encoding, Payloads},
    secret,
    setback::{Cure, Setback},
    signals::Signals,
    status::Status,
    sys::clock::Moment,
    token::{self, Token},
};

/// An activity that a handle stands for.
#[derive(Debug)]
pub struct Activity {
    token: Zeroizing<Box<[u8]>>,
    /// Which workflow it is of, as a hash: beats to one workflow wait for each other at the server.
    pub workflow: u32,
    attempt: i32,
    /// Whether a watch wants to hear of its signals.
    pub watched: bool,
    /// The signals that those who look on were told last.
    announced: u16,
    life: Life,
    pulse: bool,
    refused: bool,
    in_flight: bool,
    /// Somebody waits for a beat, or for what was recorded until `pressed`, to be acknowledged.
    urgent: bool,
    wants_opening: bool,
    /// The heartbeat timeout isn't known, and the server may tell it; whether this is the moment to ask; whether it is being asked.
    asks: bool,
    ask_now: bool,
    asking: bool,
    failed: u8,
    ran_out: u8,
    timeout_ms: u32,
    poll_ms: u32,
    stall_ms: u32,
    /// What the server asked for last; cancel and reset stick.
    asked: Signals,
    /// Numbers of records: the newest, the one that is under way, the newest acknowledged.
    recorded: u32,
    sending: u32,
    acknowledged: u32,
    pressed: u32,
    /// The newest details; `None`: not known yet whether the server holds any.
    known: Option<Payloads>,
    /// Known, and there are none.
    known_none: bool,
    /// The details that there were when it was opened, once they are known; and whether that is known and there were none.
    opening: Option<Box<Details>>,
    opening_none: bool,
    /// From here on the lease counts: the send of the last acknowledged beat; before that, the start of the attempt.
    lease_from: Moment,
    /// `LONG_AGO` before the first one.
    last_send: Moment,
    last_progress: Moment,
    deadline: Moment,
    due: Moment,
    counts: Counts,
    last_error: Option<Box<Error>>,
}

/// How it stands with the activity.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Life {
    Open,
    /// A call that ends it is under way.
    Ending,
    /// It was ended through this handle.
    Ended,
    /// The server says that it is over.
    Gone,
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Records that the holder made.
    pub records: u64,
    /// Beats that the server acknowledged.
    pub beats: u32,
    /// Tries that failed.
    pub failed_tries: u32,
    /// Leases that were lost and won back.
    pub leases_regained: u32,
}

/// What the sender is to do now.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Send a beat, with these details or without.
    Beat {
        /// How many records will never go out, for these came after them.
        replaced: u32,
        /// The task token.
        token: Bytes,
        /// `None` only where there are none to be erased.
        details: Option<Payloads>,
        /// The try's time.
        patience: Duration,
    },
    /// Ask the server for the details that it holds.
    Describe {
        /// The task token.
        token: Bytes,
        /// The try's time.
        patience: Duration,
    },
    /// Come back then.
    At(Moment),
    /// Wait to be told.
    Nothing,
}

/// Details that the server doesn't have yet, if there are any.
pub struct Unsent(pub Option<Payloads>);

/// Signals that have changed, for those who look on.
pub struct News {
    /// Those by now.
    pub signals: Signals,
    /// Those before.
    pub before: Signals,
    /// Whose.
    pub token: Zeroizing<Box<[u8]>>,
    /// The last thing that went wrong.
    pub why: Option<String>,
}

/// What can be told about it, beside its signals.
#[derive(Debug, PartialEq)]
pub struct Info {
    /// The attempt, from 1; 0 when unknown.
    pub attempt: i32,
    /// `open`, `ending`, `ended` or `gone`.
    pub life: &'static str,
    /// The heartbeat timeout; zero when unknown or none.
    pub heartbeat_timeout: Duration,
    /// What is left of the lease, where there is one.
    pub lease_left: Option<Duration>,
    /// How long ago the last acknowledged beat was sent.
    pub since_acknowledged: Option<Duration>,
    /// Whether something recorded isn't acknowledged.
    pub pending: bool,
    /// Until the next beat.
    pub next_beat: Option<Duration>,
    /// What has happened so far.
    pub counts: Counts,
    /// The last thing that went wrong.
    pub last_error: Option<Error>,
}

impl Activity {
    /// One that was opened now.
    pub fn open(token: &[u8], read: Option<&Token>, options: OpenOptions, now: Moment) -> Result<Self> {
        let ms = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let opening = options.initial_details.map(Details::handed_over).transpose()?;
        let mut activity = Activity {
            token: Zeroizing::new(token.into()),
            workflow: workflow_hash(read),
            attempt: read.map_or(0, |read| read.attempt),
            watched: false,
            announced: 0,
            life: Life::Open,
            pulse: options.pulse,
            refused: false,
            in_flight: false,
            urgent: false,
            wants_opening: false,
            asks: read.is_some() && options.heartbeat_timeout.is_zero(),
            ask_now: false,
            asking: false,
            failed: 0,
            ran_out: 0,
            timeout_ms: ms(options.heartbeat_timeout),
            poll_ms: ms(options.cancel_poll),
            stall_ms: ms(options.stall_timeout),
            asked: Signals::default(),
            recorded: 0,
            sending: 0,
            acknowledged: 0,
            pressed: 0,
            known: None,
            known_none: false,
            opening: None,
            opening_none: false,
            lease_from: now.earlier(options.age),
            last_send: Moment::LONG_AGO,
            last_progress: now,
            deadline: options.attempt_remaining.map_or(Moment::NEVER, |left| now.later(left)),
            due: Moment::NEVER,
            counts: Counts::default(),
            last_error: None,
        };
        if let Some(opening) = opening {
            activity.seed(opening);
        }
        if activity.pulse {
            // Who doesn't know how long there is, must know it before he can wait.
            activity.ask_now = activity.asks;
            let first = activity.lease_from.later(activity.schedule().first_pulse());
            activity.due = if activity.asks { now } else { first.max(now) };
        }
        Ok(activity)
    }

    /// The task token.
    pub fn token(&self) -> &[u8] {
        &self.token
    }

    /// When the sender is to look at it next.
    pub fn due(&self) -> Moment {
        self.due
    }

    fn schedule(&self) -> Schedule {
        let ms = |ms: u32| Duration::from_millis(ms.into());
        Schedule::new(ms(self.timeout_ms), ms(self.poll_ms))
    }

    // ---- what the holder does ----

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
        self.counts.records += 1;
        self.recorded = self.recorded.wrapping_add(1);
        self.last_progress = now;
        Ok(self.hurry(now))
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
        Ok(self.hurry(now))
    }

    /// What the holder must know now.
    #[inline]
    pub fn signals(&self, now: Moment) -> Signals {
        let over = matches!(self.life, Life::Ended | Life::Gone);
        self.asked
            | Signals::GONE.when(self.life == Life::Gone)
            | Signals::LEASE_LOST.when(!over && now > self.lease_end())
            | Signals::STALLED.when(!over && self.is_stalled(now))
            | Signals::REFUSED.when(self.refused && !over)
            | Signals::DEADLINE.when(now > self.deadline)
            | Signals::UNSEEDED.when(!over && self.is_unseeded(now))
    }

    /// When the signals change next by the mere passing of time.
    pub fn next_change(&self, now: Moment) -> Moment {
        let unseeded = if self.pulse && !self.knows() {
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

    /// How many beats the server has acknowledged.
    pub fn beats(&self) -> u32 {
        self.counts.beats
    }

    /// An error once it is over.
    pub fn check_open(&self) -> Result<()> {
        self.usable()
    }

    /// Whether all that was recorded is acknowledged. An error when that can't come any more.
    pub fn is_flushed(&self) -> Result<bool> {
        self.is_flushed_to(self.recorded)
    }

    /// Whether this record is acknowledged, or a newer one: others may record without end.
    pub fn is_flushed_to(&self, record: u32) -> Result<bool> {
        match self.life {
            _ if self.has_landed(record) => Ok(true),
            Life::Gone => Err(self.gone()),
            Life::Ended => Err(ended()),
            Life::Open | Life::Ending => Ok(false),
        }
    }

    /// An error when the server has refused what was pressed for, so that waiting on is of no use.
    pub fn check_press(&self) -> Result<()> {
        if self.urgent { Ok(()) } else { self.refusal() }
    }

    /// Has what was recorded sent without waiting for its time. True as for [`Activity::record`].
    pub fn press(&mut self, now: Moment) -> bool {
        self.urgent = true;
        self.pressed = self.recorded;
        self.hurry(now)
    }

    /// The details that there were when it was opened; `None` while they aren't known, and then they are asked for. Who has
    /// asked before gets an error when the server has refused since.
    pub fn opening(&mut self, asked: bool, now: Moment) -> Result<(Option<Details>, bool)> {
        if self.knows_opening() {
            return Ok((Some(self.opening.as_deref().cloned().unwrap_or_default()), false));
        }
        match self.life {
            Life::Gone => return Err(self.gone()),
            Life::Ended => return Err(ended()),
            Life::Open | Life::Ending => {}
        }
        if self.has_sent() {
            return Err(Error::new(
                Status::FailedPrecondition,
                "the details that there were at the start have been replaced: get them before the first record, or hand them \
                 over as initial_details",
            ));
        }
        if asked && !self.wants_opening {
            self.refusal()?;
        }
        self.wants_opening = true;
        Ok((None, self.hurry(now)))
    }

    /// Why the last try failed, for a caller who gives up waiting.
    pub fn last_error(&self) -> Option<&Error> {
        self.last_error.as_deref()
    }

    /// Begins an ending call: no beat is begun any more.
    pub fn begin_ending(&mut self) -> Result<()> {
        match self.life {
            Life::Open => {
                self.life = Life::Ending;
                Ok(())
            }
            Life::Gone => Err(self.gone()),
            Life::Ended => Err(ended()),
            Life::Ending => Err(Error::new(Status::Ended, "another thread is ending the activity")),
        }
    }

    /// Whether the ending call may be sent: not while a beat is under way, which must not land after it. With it go the details
    /// that the server doesn't have yet.
    pub fn may_end(&self) -> Result<Option<Unsent>> {
        match self.life {
            Life::Gone => Err(self.gone()),
            _ if self.in_flight => Ok(None),
            _ => Ok(Some(Unsent(self.known.clone().filter(|_| self.acknowledged != self.recorded)))),
        }
    }

    /// What became of it. True as for [`Activity::record`].
    pub fn finish_ending(&mut self, outcome: &Result<()>, now: Moment) -> bool {
        self.life = match outcome.as_ref().map_err(Error::status) {
            Ok(()) | Err(Status::InDoubt) => Life::Ended,
            Err(Status::NotFound) => Life::Gone,
            Err(_) => Life::Open,
        };
        self.due = Moment::NEVER;
        let goes_on = self.pulse || self.acknowledged != self.recorded;
        goes_on && self.hurry(now)
    }

    /// What can be told about it.
    pub fn info(&self, now: Moment) -> Info {
        let some = |moment: Moment| (moment != Moment::NEVER).then(|| moment.since(now));
        Info {
            attempt: self.attempt,
            life: match self.life {
                Life::Open => "open",
                Life::Ending => "ending",
                Life::Ended => "ended",
                Life::Gone => "gone",
            },
            heartbeat_timeout: Duration::from_millis(self.timeout_ms.into()),
            lease_left: some(self.lease_end()),
            since_acknowledged: (self.counts.beats > 0).then(|| now.since(self.lease_from)),
            pending: self.acknowledged != self.recorded,
            next_beat: some(self.due),
            counts: self.counts,
            last_error: self.last_error.as_deref().cloned(),
        }
    }

    // ---- what the sender does ----

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
        let asking = self.ask_now && (self.has_sent() || !wanted);
        if !wanted && !seeding && !asking && !self.urgent && (!self.pulse || self.is_stalled(now)) {
            self.due = Moment::NEVER;
            return Step::Nothing;
        }
        let token = secret::shared(self.token.as_ref());
        let patience = self.schedule().patience(self.ran_out.into());
        self.in_flight = true;
        if seeding || asking || !self.knows() {
            self.ask_now = false;
            self.asking = asking && !seeding && self.knows();
            return Step::Describe { token, patience };
        }
        let replaced = self.recorded.wrapping_sub(self.sending).saturating_sub(1);
        self.sending = self.recorded;
        self.last_send = now;
        Step::Beat { replaced, token, details: self.known.clone(), patience }
    }

    /// The server acknowledged the beat that is under way. What part of the lease was left by then, where there is one.
    pub fn acknowledge(&mut self, asked: Signals, now: Moment) -> Option<f64> {
        self.in_flight = false;
        let timeout = f64::from(self.timeout_ms) / 1000.0;
        let margin = (timeout > 0.0).then(|| self.lease_end().since(now).as_secs_f64() / timeout);
        if now > self.lease_end() {
            self.counts.leases_regained += 1;
        }
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
        self.urgent &= !self.has_landed(self.pressed);
        self.due = self.usual_due();
        self.ask_now = self.asks;
        if self.urgent || self.ask_now {
            self.due = now;
        }
        margin
    }

    /// The server told what it holds.
    pub fn described(&mut self, details: Details, now: Moment) {
        self.in_flight = false;
        let about = details.about();
        if about.attempt != self.attempt && self.attempt > 0 {
            self.go(Error::new(
                Status::NotFound,
                format!("another attempt has taken over: the server is at attempt {}", about.attempt),
            ));
            return;
        }
        self.tried(None);
        if self.timeout_ms == 0 {
            let timeout = about.heartbeat_timeout.unwrap_or_default();
            self.timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        }
        self.asks = false;
        if self.has_sent() {
            // What the server holds by now is ours.
            self.asking = false;
            self.due = if self.urgent { now } else { self.usual_due() };
            return;
        }
        self.seed(details);
        let wanted = self.acknowledged != self.recorded || self.urgent;
        self.due = if std::mem::take(&mut self.asking) && self.pulse && !wanted {
            self.lease_from.later(self.schedule().first_pulse()).max(now)
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
        if std::mem::take(&mut self.asking)
            && setback.error.status() != Status::NotFound
            && (self.has_sent() || !may_pass)
        {
            // Beats can do without the answer, and come first; the next one is followed by another question.
            self.asks = may_pass;
            self.due = self.usual_due();
            return;
        }
        self.counts.failed_tries += 1;
        self.failed = self.failed.saturating_add(1);
        if setback.late {
            self.ran_out = self.ran_out.saturating_add(1);
        }
        let status = setback.error.status();
        let schedule = self.schedule();
        if status == Status::NotFound {
            self.go(setback.error);
            return;
        }
        self.last_error = Some(Box::new(setback.error));
        self.refused = setback.cure == Cure::None;
        let pause = match setback.cure {
            // Credentials and permissions may be mended, so it is asked now and then. Who waits has their answer.
            Cure::None => {
                self.urgent = false;
                self.wants_opening = false;
                schedule.jittered_period()
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
        let before = Signals::from_bits(self.announced.into());
        if signals == before {
            return None;
        }
        self.announced = u16::try_from(signals.bits()).unwrap_or(u16::MAX);
        let why = self.last_error.as_deref().map(|error| error.message().to_owned());
        Some(News { signals, before, token: self.token.clone(), why })
    }

    // ---- rules ----

    #[inline]
    fn usable(&self) -> Result<()> {
        match self.life {
            Life::Open | Life::Ending => Ok(()),
            Life::Ended => Err(ended()),
            Life::Gone => Err(self.gone()),
        }
    }

    #[inline]
    fn replace_details(&mut self, encoding: Encoding, data: &[u8], size_limit: usize) -> Result<()> {
        if encoding == Encoding::None {
            return Err(Error::argument(
                "a beat without details (THB_ENCODING_NONE) would erase the progress; touch tells progress without details",
            ));
        }
        match &mut self.known {
            Some(known) => known.replace("details", encoding, data, size_limit)?,
            None => {
                let mut first = Payloads::default();
                first.replace("details", encoding, data, size_limit)?;
                self.known = Some(first);
                self.known_none = false;
            }
        }
        Ok(())
    }

    /// Whether a record of this number, or a newer one, is acknowledged.
    fn has_landed(&self, record: u32) -> bool {
        self.acknowledged.wrapping_sub(record) <= u32::MAX / 2
    }

    /// Whether it is known what the server holds, or what it is to hold.
    fn knows(&self) -> bool {
        self.known_none || self.known.is_some()
    }

    fn knows_opening(&self) -> bool {
        self.opening_none || self.opening.is_some()
    }

    fn has_sent(&self) -> bool {
        self.last_send != Moment::LONG_AGO
    }

    /// Takes what the server holds at the start; what was recorded meanwhile is newer.
    fn seed(&mut self, details: Details) {
        if !self.knows() {
            if details.values().is_empty() {
                self.known_none = true;
            } else {
                self.known = Some(details.payloads().clone());
            }
        }
        self.opening_none = details.payloads().encoded().is_empty();
        self.opening = (!self.opening_none || details.about() != About::default()).then(|| Box::new(details));
        self.wants_opening = false;
    }

    /// When the next beat is due in the normal course of things.
    fn usual_due(&self) -> Moment {
        let wanted = self.acknowledged != self.recorded;
        match self.has_sent() {
            _ if !wanted && !self.pulse => Moment::NEVER,
            true => self.last_send.later(self.schedule().jittered_period()),
            false if wanted => self.lease_from,
            false => self.lease_from.later(self.schedule().period),
        }
    }

    /// Makes the next beat due as early as it may be. True when that is earlier than it was.
    #[inline]
    fn hurry(&mut self, now: Moment) -> bool {
        if self.in_flight || self.life != Life::Open {
            return false;
        }
        // A beat that is being tried again keeps its pause, unless it was refused and somebody waits for it.
        let awaited = self.refused && (self.urgent || self.wants_opening);
        if self.failed > 0 && self.due != Moment::NEVER && !awaited {
            return false;
        }
        let due = if !self.has_sent() || self.urgent || self.wants_opening {
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
    fn lease_end(&self) -> Moment {
        if self.timeout_ms == 0 {
            return Moment::NEVER;
        }
        self.lease_from.later_ms(self.timeout_ms)
    }

    #[inline]
    fn stalls_at(&self) -> Moment {
        if self.stall_ms == 0 || self.asked.contains(Signals::PAUSED) {
            return Moment::NEVER;
        }
        self.last_progress.later_ms(self.stall_ms)
    }

    #[inline]
    fn is_stalled(&self, now: Moment) -> bool {
        now > self.stalls_at()
    }

    #[inline]
    fn is_unseeded(&self, now: Moment) -> bool {
        self.pulse && !self.knows() && now > self.lease_from.later(self.schedule().period)
    }

    fn tried(&mut self, error: Option<Box<Error>>) {
        self.failed = 0;
        self.ran_out = 0;
        self.refused = false;
        self.last_error = error;
    }

    fn go(&mut self, why: Error) {
        self.life = Life::Gone;
        self.due = Moment::NEVER;
        self.last_error = Some(Box::new(why));
    }

    /// An error while the server refuses for good.
    fn refusal(&self) -> Result<()> {
        match &self.last_error {
            Some(why) if self.refused => Err(Error::clone(why)),
            _ => Ok(()),
        }
    }

    fn gone(&self) -> Error {
        let otherwise = || Error::new(Status::NotFound, "the activity is over");
        self.last_error.as_deref().cloned().unwrap_or_else(otherwise)
    }
}

/// A hash of the activity's workflow, or of nothing in particular.
fn workflow_hash(token: Option<&Token>) -> u32 {
    let mut hasher = DefaultHasher::new();
    match token.map(|token| &token.activity) {
        Some(token::Activity::OfWorkflow { workflow_id, .. }) => workflow_id.hash(&mut hasher),
        Some(token::Activity::Standalone { activity_id, .. }) => activity_id.hash(&mut hasher),
        None => fastrand::u64(..).hash(&mut hasher),
    }
    u32::try_from(hasher.finish() >> 32).unwrap_or(0)
}

fn ended() -> Error {
    Error::new(Status::Ended, "the activity was ended through this handle")
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
