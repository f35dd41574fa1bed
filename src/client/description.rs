//! The server's description of an activity.

use std::time::Duration;

use prost_types::Timestamp;

use crate::{
    model::{
        attempt::{Attempt, Ids},
        conditions::{Conditions, Reasons},
        details::{About, Details},
        error::Result,
        time::{unix_ms, unix_ns},
    },
    proto::temporal::api::{
        activity::v1::{ActivityExecutionInfo, ActivityOptions},
        enums::v1::{ActivityExecutionStatus, PendingActivityState},
        failure::v1::Failure,
        workflow::v1::{
            PendingActivityInfo,
            pending_activity_info::{PauseInfo, pause_info::PausedBy},
        },
    },
};

/// An activity as the server describes it.
#[derive(Clone, Debug)]
pub struct Description {
    /// The activity's ids, with its run.
    pub ids: Ids,
    /// The current attempt. Before it has started, `started_at` is that of the previous attempt.
    pub attempt: Attempt,
    /// The activity's state.
    pub state: State,
    /// The activity's state in words, with more distinctions.
    #[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "only the command-line program prints it"))]
    pub state_in_words: &'static str,
    /// The heartbeat details.
    pub details: Details,
    /// The timeouts in force, and what was requested of the activity.
    pub conditions: Conditions,
    /// Why the previous attempt ended.
    pub last_failure: Option<Failure>,
    /// How often a standalone activity has changed, not counting heartbeats; `None` if the server doesn't count them.
    pub changes: Option<i64>,
    /// For a standalone activity: the identity that completed or failed it, or else started it.
    pub last_identity: String,
}

/// The state of an activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The attempt waits for its start.
    Waiting,
    /// The attempt is running.
    Running,
    /// A standalone activity was completed.
    Completed,
    /// A standalone activity has failed and isn't retried.
    Failed,
    /// A standalone activity was cancelled.
    Cancelled,
    /// A standalone activity ended in another way.
    Over,
}

impl Description {
    /// Converts the description of an activity of a workflow.
    pub fn pending(workflow_id: String, run_id: String, info: PendingActivityInfo) -> Result<Self> {
        type Timeout = Option<prost_types::Duration>;
        let options = info.activity_options;
        let timeout =
            |read: fn(ActivityOptions) -> Timeout| options.and_then(|options| duration(read(options)));
        let state = info.state();
        let start_to_close_timeout = timeout(|options| options.start_to_close_timeout);
        let conditions = Conditions {
            heartbeat_timeout: timeout(|options| options.heartbeat_timeout),
            start_to_close_timeout,
            schedule_to_close_timeout: timeout(|options| options.schedule_to_close_timeout),
            attempt_limit: attempt_limit(
                start_to_close_timeout,
                info.last_started_time,
                info.expiration_time,
            ),
            cancel_requested: state == PendingActivityState::CancelRequested,
            paused: info.paused
                || matches!(state, PendingActivityState::Paused | PendingActivityState::PauseRequested),
            reasons: pause_reasons(info.pause_info),
        };
        let about = About {
            attempt: info.attempt,
            recorded_at_unix_ms: unix_ms(info.last_heartbeat_time),
            heartbeat_timeout: conditions.heartbeat_timeout,
        };
        Ok(Description {
            state: State::pending(state),
            state_in_words: pending_in_words(state),
            ids: Ids { workflow_id, run_id, activity_id: info.activity_id },
            attempt: Attempt { number: info.attempt, started_at: unix_ns(info.last_started_time) },
            details: Details::described(info.heartbeat_details, about)?,
            conditions,
            last_failure: info.last_failure,
            changes: None,
            last_identity: String::new(),
        })
    }

    /// Converts the description of a standalone activity.
    pub fn standalone(activity_id: String, run_id: String, info: ActivityExecutionInfo) -> Result<Self> {
        let (status, state) = (info.status(), info.run_state());
        let start_to_close_timeout = duration(info.start_to_close_timeout);
        let conditions = Conditions {
            heartbeat_timeout: duration(info.heartbeat_timeout),
            start_to_close_timeout,
            schedule_to_close_timeout: duration(info.schedule_to_close_timeout),
            attempt_limit: attempt_limit(
                start_to_close_timeout,
                info.last_started_time,
                info.expiration_time,
            ),
            cancel_requested: state == PendingActivityState::CancelRequested,
            paused: status == ActivityExecutionStatus::Paused
                || matches!(state, PendingActivityState::Paused | PendingActivityState::PauseRequested),
            reasons: Reasons { cancel_reason: known(info.canceled_reason), ..Reasons::default() },
        };
        let about = About {
            attempt: info.attempt,
            recorded_at_unix_ms: unix_ms(info.last_heartbeat_time),
            heartbeat_timeout: conditions.heartbeat_timeout,
        };
        let counts_heartbeats = info.total_heartbeat_count > 0 || info.last_heartbeat_time.is_none();
        Ok(Description {
            changes: counts_heartbeats.then_some(info.state_transition_count - info.total_heartbeat_count),
            state: State::standalone(status, state),
            state_in_words: standalone_in_words(status, state),
            ids: Ids { workflow_id: String::new(), run_id, activity_id },
            attempt: Attempt { number: info.attempt, started_at: unix_ns(info.last_started_time) },
            details: Details::described(info.heartbeat_details, about)?,
            conditions,
            last_failure: info.last_failure,
            last_identity: info.last_worker_identity,
        })
    }
}

impl State {
    /// Returns whether the activity is over. One of a workflow isn't described then.
    pub fn is_over(self) -> bool {
        match self {
            State::Waiting | State::Running => false,
            State::Completed | State::Failed | State::Cancelled | State::Over => true,
        }
    }

    fn pending(state: PendingActivityState) -> Self {
        match state {
            PendingActivityState::Scheduled | PendingActivityState::Paused => State::Waiting,
            // If the server doesn't report the state, the attempt's number and start decide.
            PendingActivityState::Unspecified
            | PendingActivityState::Started
            | PendingActivityState::CancelRequested
            | PendingActivityState::PauseRequested => State::Running,
        }
    }

    fn standalone(status: ActivityExecutionStatus, state: PendingActivityState) -> Self {
        match status {
            ActivityExecutionStatus::Completed => State::Completed,
            ActivityExecutionStatus::Failed => State::Failed,
            ActivityExecutionStatus::Canceled => State::Cancelled,
            ActivityExecutionStatus::Terminated | ActivityExecutionStatus::TimedOut => State::Over,
            ActivityExecutionStatus::Unspecified
            | ActivityExecutionStatus::Running
            | ActivityExecutionStatus::Paused => Self::pending(state),
        }
    }
}

fn duration(timeout: Option<prost_types::Duration>) -> Option<Duration> {
    timeout.and_then(|timeout| timeout.try_into().ok())
}

/// Returns how long an attempt may take. All times are of the server's clock.
fn attempt_limit(
    start_to_close: Option<Duration>,
    started: Option<Timestamp>,
    expires: Option<Timestamp>,
) -> Option<Duration> {
    let until_expired = match (unix_ns(started), unix_ns(expires)) {
        (0, _) | (_, 0) => None,
        (started, expires) => {
            Some(Duration::from_nanos(expires.saturating_sub(started).max(0).unsigned_abs()))
        }
    };
    let start_to_close = start_to_close.filter(|timeout| !timeout.is_zero());
    start_to_close.into_iter().chain(until_expired).min()
}

fn pause_reasons(info: Option<PauseInfo>) -> Reasons {
    let (identity, reason) = match info.and_then(|info| info.paused_by) {
        Some(PausedBy::Manual(manual)) => (manual.identity, manual.reason),
        Some(PausedBy::Rule(rule)) => (rule.identity, rule.reason),
        None => return Reasons::default(),
    };
    Reasons { pause_identity: known(identity), pause_reason: known(reason), ..Reasons::default() }
}

/// Returns the text, or `None` if it is empty: the server doesn't know it.
pub fn known(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn pending_in_words(state: PendingActivityState) -> &'static str {
    match state {
        PendingActivityState::Unspecified => "pending",
        PendingActivityState::Scheduled => "waiting for the start of the attempt",
        PendingActivityState::Started => "running",
        PendingActivityState::CancelRequested => "running, and its cancellation was requested",
        PendingActivityState::Paused => "paused, and not running",
        PendingActivityState::PauseRequested => "running, and paused",
    }
}

fn standalone_in_words(status: ActivityExecutionStatus, state: PendingActivityState) -> &'static str {
    match status {
        ActivityExecutionStatus::Completed => "completed",
        ActivityExecutionStatus::Failed => "failed",
        ActivityExecutionStatus::Canceled => "cancelled",
        ActivityExecutionStatus::Terminated => "terminated",
        ActivityExecutionStatus::TimedOut => "timed out",
        ActivityExecutionStatus::Unspecified
        | ActivityExecutionStatus::Running
        | ActivityExecutionStatus::Paused => pending_in_words(state),
    }
}
