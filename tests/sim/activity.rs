//! The model of one activity: its attempts, its heartbeat timer, its details, and how it ends.

use std::time::Duration;

use prost::Message;

use super::{
    request::{Answer, Subject},
    temporal::Effect,
};
use crate::{
    model::{
        attempt::{Attempt, Ids},
        payload::Payloads,
    },
    proto::temporal::api::{
        failure::v1::{Failure, failure::FailureInfo},
        workflowservice::v1 as api,
    },
    sys::clock::Moment,
};

/// One activity.
#[derive(Clone, Debug)]
pub struct Activity {
    pub number: usize,
    /// Whether it is standalone. Otherwise it belongs to a workflow.
    pub is_standalone: bool,
    /// The heartbeat timeout; zero: none.
    pub timeout: Duration,
    /// The heartbeat timeout with which the activity was scheduled.
    pub timeout_at_first: Duration,
    /// The shortest heartbeat timeout so far, which the client may still take for the one in force.
    pub shortest_timeout: Duration,
    /// The most attempts; 0: no limit.
    pub most_attempts: i32,
    pub attempt: i32,
    /// Whether an operator has let the numbers start over, so that two attempts may have the same one.
    pub numbers_repeat: bool,
    /// When the attempt started, on the server's clock. Between two attempts it is zero for a workflow's activity, and the start of the
    /// previous attempt for a standalone activity.
    pub started: Duration,
    /// The same on the boot clock.
    pub began: Moment,
    /// The latest start of an attempt so far, and whether a later attempt has an earlier one because the server's clock was set back.
    latest_start: Duration,
    pub starts_go_back: bool,
    pub state: State,
    /// The state before the termination.
    pub state_at_close: State,
    /// Whether an attempt ran when the activity ended.
    pub ended_running: bool,
    pub details: Option<Payloads>,
    /// Whether they were sent with the token of the attempt that ran then. Otherwise they may be those of another attempt: by ids, and
    /// with the token of an earlier attempt that had the same number before a reset.
    pub details_are_fenced: bool,
    /// Whether an operator has deleted the details, and no others were sent since.
    pub details_were_erased: bool,
    /// The time of the attempt's last heartbeat. Without a heartbeat, the start of the attempt.
    beaten: Moment,
    /// The delay between the end of the heartbeat timeout and the event of its timer.
    timer: Duration,
    /// How often a standalone activity has changed, also by heartbeats.
    pub changes: u64,
    pub heartbeats: u64,
    /// Whether there was a heartbeat since details were deleted.
    pub has_beaten: bool,
    pub cancel_requested: bool,
    pub is_paused: bool,
    pub is_reset: bool,
    /// Whether the details are deleted before the next attempt.
    pub erases_details: bool,
    /// The identity that completed, failed or cancelled the activity. Before that, the identity that started the attempt.
    pub last_identity: String,
    /// The failure of the previous attempt.
    pub last_failure: Option<Failure>,
    /// When the next attempt may start.
    pub waits_until: Moment,
    /// The planned start of the next attempt.
    pub starts: Option<Moment>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    Running,
    /// Waits for the next attempt.
    Waiting,
    Completed,
    Failed,
    Cancelled,
    TimedOut,
    /// An operator ended the activity, or its workflow.
    Terminated,
}

impl State {
    pub fn is_pending(self) -> bool {
        matches!(self, State::Running | State::Waiting)
    }
}

/// How an attempt failed.
pub struct Failing<'a> {
    pub failure: Option<Failure>,
    pub is_retryable: bool,
    /// The least time before the next attempt.
    pub delay: Duration,
    pub identity: &'a str,
    /// The state of the activity if no attempt follows.
    pub over: State,
}

impl<'a> Failing<'a> {
    pub fn by_client(failure: Option<&Failure>, identity: &'a str) -> Self {
        let info = failure.and_then(|failure| failure.failure_info.as_ref());
        let info = info.map(|FailureInfo::ApplicationFailureInfo(info)| info);
        let delay = info.and_then(|info| info.next_retry_delay?.try_into().ok());
        Failing {
            failure: failure.cloned(),
            is_retryable: info.is_none_or(|info| !info.non_retryable),
            delay: delay.unwrap_or_default(),
            identity,
            over: State::Failed,
        }
    }
}

impl Activity {
    /// Schedules an activity. Its first attempt hasn't started.
    pub fn new(number: usize, is_standalone: bool, timeout: Duration, most_attempts: i32) -> Self {
        Activity {
            number,
            is_standalone,
            timeout,
            timeout_at_first: timeout,
            shortest_timeout: timeout,
            most_attempts,
            attempt: 1,
            numbers_repeat: false,
            started: Duration::ZERO,
            began: Moment::LONG_AGO,
            latest_start: Duration::ZERO,
            starts_go_back: false,
            state: State::Waiting,
            state_at_close: State::Waiting,
            ended_running: false,
            details: None,
            details_are_fenced: true,
            details_were_erased: false,
            beaten: Moment::LONG_AGO,
            timer: Duration::ZERO,
            changes: 1,
            heartbeats: 0,
            has_beaten: false,
            cancel_requested: false,
            is_paused: false,
            is_reset: false,
            erases_details: false,
            last_identity: String::new(),
            last_failure: None,
            waits_until: Moment::LONG_AGO,
            starts: None,
        }
    }

    pub fn may_start(&self, now: Moment) -> bool {
        self.state == State::Waiting && !self.is_paused && now >= self.waits_until
    }

    /// Starts the attempt that the activity waits for.
    pub fn start(&mut self, worker: &str, unix: Duration, now: Moment, timer: Duration) {
        self.state = State::Running;
        self.changes += 1;
        self.started = unix;
        self.starts_go_back |= unix < self.latest_start;
        self.latest_start = self.latest_start.max(unix);
        self.began = now;
        self.last_identity = worker.into();
        (self.beaten, self.timer) = (now, timer);
    }

    /// Marks an activity as started, because it is completed between two attempts.
    pub fn force_start(&mut self) {
        if self.state == State::Waiting {
            self.ended_running = true;
            self.started = Duration::from_nanos(1);
        }
    }

    /// Returns when the heartbeat timer fires. It never fires while a workflow's activity is paused.
    pub fn expires(&self) -> Moment {
        let holds = self.is_paused && !self.is_standalone;
        match self.state {
            State::Running if !self.timeout.is_zero() && !holds => {
                self.beaten.later(self.timeout + self.timer)
            }
            _ => Moment::NEVER,
        }
    }

    /// The heartbeat timer fires.
    pub fn time_out(&mut self, now: Moment) {
        let failure = Failure { message: "activity Heartbeat timeout".into(), ..Failure::default() };
        let identity = self.last_identity.clone();
        let failing = Failing {
            failure: Some(failure),
            is_retryable: true,
            delay: Duration::ZERO,
            identity: &identity,
            over: State::TimedOut,
        };
        self.attempt_failed(failing, now);
    }

    pub fn beat(
        &mut self,
        subject: &Subject,
        details: Option<Payloads>,
        now: Moment,
        timer: Duration,
    ) -> (Answer, Effect) {
        let is_of_this_attempt =
            subject.attempt.is_some() && subject.started_at == self.identity().started_at;
        let is_fenced =
            std::mem::replace(&mut self.details_are_fenced, is_of_this_attempt) && is_of_this_attempt;
        self.details_were_erased &= details.is_none();
        let before = std::mem::replace(&mut self.details, details);
        self.changes += 1;
        self.count_heartbeat();
        (self.beaten, self.timer) = (now, timer);
        // A standalone activity reports only one of the two.
        let shows = |flag, hides: bool| flag && !(self.is_standalone && hides);
        let answer = api::RecordActivityTaskHeartbeatResponse {
            cancel_requested: self.cancel_requested,
            activity_paused: shows(self.is_paused, self.is_reset),
            activity_reset: self.is_reset,
        };
        (Ok(answer.encode_to_vec()), Effect::Heartbeat { before, is_fenced })
    }

    /// Whether another attempt follows.
    pub fn goes_on_after(&self, failing: &Failing) -> bool {
        let is_retried = failing.is_retryable && !self.cancel_requested;
        let has_more = self.most_attempts == 0 || self.attempt < self.most_attempts;
        match self.is_standalone {
            true => self.is_reset || (is_retried && has_more),
            false => is_retried && (has_more || self.is_paused),
        }
    }

    /// The attempt is over, and the next one may follow.
    pub fn attempt_failed(&mut self, failing: Failing, now: Moment) {
        let goes_on = self.goes_on_after(&failing);
        self.last_failure = failing.failure;
        if !goes_on {
            self.end_by(failing.over, failing.identity);
            return;
        }
        self.state = State::Waiting;
        self.changes += 1;
        self.waits_until = now.later(failing.delay);
        if self.is_standalone && self.is_reset {
            self.restart();
            return;
        }
        self.attempt += 1;
        if !self.is_standalone {
            self.started = Duration::ZERO;
            // For a paused activity this happens when it is unpaused.
            if !self.is_paused {
                self.is_reset = false;
                self.erase_if_asked();
            }
        }
    }

    /// Applies the reset of a standalone activity.
    pub fn restart(&mut self) {
        self.restart_numbers();
        self.is_reset = false;
        self.waits_until = Moment::LONG_AGO;
        self.erase_if_asked();
    }

    pub fn restart_numbers(&mut self) {
        (self.attempt, self.numbers_repeat) = (1, true);
    }

    pub fn erase_if_asked(&mut self) {
        if std::mem::take(&mut self.erases_details) {
            self.erase();
        }
    }

    pub fn erase(&mut self) {
        (self.details, self.details_were_erased, self.has_beaten) = (None, true, false);
    }

    /// The activity is over.
    pub fn end(&mut self, state: State) {
        self.ended_running |= self.state == State::Running;
        self.changes += 1;
        self.state_at_close = std::mem::replace(&mut self.state, state);
    }

    fn end_by(&mut self, state: State, identity: &str) {
        self.end(state);
        identity.clone_into(&mut self.last_identity);
    }

    pub fn ended_by(&mut self, state: State, identity: &str) -> (Answer, Effect) {
        self.end_by(state, identity);
        (Ok(Vec::new()), Effect::Ended)
    }

    pub fn count_heartbeat(&mut self) {
        (self.heartbeats, self.has_beaten) = (self.heartbeats + 1, true);
    }

    /// Returns the time of the last heartbeat on the server's clock, if there was one.
    pub fn beaten_at(&self) -> Option<Duration> {
        self.has_beaten.then(|| self.started + self.beaten.since(self.began))
    }

    pub fn ids(&self) -> Ids {
        let number = self.number;
        let workflow_id = if self.is_standalone { String::new() } else { format!("w{number}") };
        Ids { workflow_id, run_id: format!("r{number}"), activity_id: format!("a{number}") }
    }

    pub fn identity(&self) -> Attempt {
        Attempt { number: self.attempt, started_at: i64::try_from(self.started.as_nanos()).unwrap() }
    }
}
