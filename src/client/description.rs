//! The server's description of an activity.

use crate::{
    model::{
        attempt::{Attempt, Ids},
        details::{About, Details},
        error::Result,
        time::{unix_ms, unix_ns},
    },
    proto::temporal::api::{
        activity::v1::ActivityExecutionInfo,
        enums::v1::{ActivityExecutionStatus, PendingActivityState},
        failure::v1::Failure,
        workflow::v1::PendingActivityInfo,
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
    /// Why the previous attempt ended.
    pub last_failure: Option<Failure>,
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
        let timeout = info.activity_options.and_then(|options| options.heartbeat_timeout);
        let about = About {
            attempt: info.attempt,
            recorded_at_unix_ms: unix_ms(info.last_heartbeat_time),
            heartbeat_timeout: timeout.and_then(|timeout| timeout.try_into().ok()),
        };
        Ok(Description {
            state: State::pending(info.state()),
            state_in_words: pending_in_words(info.state()),
            ids: Ids { workflow_id, run_id, activity_id: info.activity_id },
            attempt: Attempt { number: info.attempt, started_at: unix_ns(info.last_started_time) },
            details: Details::described(info.heartbeat_details, about)?,
            last_failure: info.last_failure,
            last_identity: String::new(),
        })
    }

    /// Converts the description of a standalone activity.
    pub fn standalone(activity_id: String, run_id: String, info: ActivityExecutionInfo) -> Result<Self> {
        let about = About {
            attempt: info.attempt,
            recorded_at_unix_ms: unix_ms(info.last_heartbeat_time),
            heartbeat_timeout: info.heartbeat_timeout.and_then(|timeout| timeout.try_into().ok()),
        };
        Ok(Description {
            state: State::standalone(info.status(), info.run_state()),
            state_in_words: standalone_in_words(info.status(), info.run_state()),
            ids: Ids { workflow_id: String::new(), run_id, activity_id },
            attempt: Attempt { number: info.attempt, started_at: unix_ns(info.last_started_time) },
            details: Details::described(info.heartbeat_details, about)?,
            last_failure: info.last_failure,
            last_identity: info.last_worker_identity,
        })
    }
}

impl State {
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
