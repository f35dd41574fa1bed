//! What the server tells of an activity that it is asked for.

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

/// An activity as the server sees it.
#[derive(Clone, Debug)]
pub struct Description {
    /// Which one, with its run.
    pub ids: Ids,
    /// The attempt that it has now. Before that has started, it has the start of the one before.
    pub attempt: Attempt,
    /// How it stands.
    pub state: State,
    /// What it holds of its progress.
    pub details: Details,
    /// Why the attempt before ended.
    pub last_failure: Option<Failure>,
    /// Of a standalone activity: who completed or failed it; before that, who took it.
    pub last_identity: String,
}

/// How it stands with an activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits for its attempt.
    Waiting,
    /// The attempt runs.
    Running,
    /// A standalone activity that was completed, has failed for good, was cancelled.
    Completed,
    /// As above.
    Failed,
    /// As above.
    Cancelled,
    /// A standalone activity that is over in another way.
    Over,
}

impl Description {
    /// An activity of the workflow.
    pub fn pending(workflow_id: String, run_id: String, info: PendingActivityInfo) -> Result<Self> {
        let timeout = info.activity_options.and_then(|options| options.heartbeat_timeout);
        let about = About {
            attempt: info.attempt,
            recorded_at_unix_ms: unix_ms(info.last_heartbeat_time),
            heartbeat_timeout: timeout.and_then(|timeout| timeout.try_into().ok()),
        };
        Ok(Description {
            state: State::pending(info.state()),
            ids: Ids { workflow_id, run_id, activity_id: info.activity_id },
            attempt: Attempt { number: info.attempt, started_at: unix_ns(info.last_started_time) },
            details: Details::described(info.heartbeat_details, about)?,
            last_failure: info.last_failure,
            last_identity: String::new(),
        })
    }

    /// A standalone activity.
    pub fn standalone(activity_id: String, run_id: String, info: ActivityExecutionInfo) -> Result<Self> {
        let about = About {
            attempt: info.attempt,
            recorded_at_unix_ms: unix_ms(info.last_heartbeat_time),
            heartbeat_timeout: info.heartbeat_timeout.and_then(|timeout| timeout.try_into().ok()),
        };
        Ok(Description {
            state: State::standalone(info.status(), info.run_state()),
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
            // A server that doesn't tell lets the attempt's number and start decide.
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
