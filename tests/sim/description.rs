//! The server's descriptions of an activity: the task of a poll, the answer to Describe, and the history.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;

use super::{
    request::{Answer, Refusal, Request, number_of, token_of},
    temporal::{Activity, NAMESPACE_ID, SCHEDULED, State, Temporal},
};
use crate::{
    model::attempt::Ids,
    proto::temporal::{
        api::{
            activity::v1::{ActivityExecutionInfo, ActivityOptions},
            common::v1::WorkflowExecution,
            enums::v1::{ActivityExecutionStatus, PendingActivityState},
            history::v1::{self as history, history_event::Attributes},
            workflow::v1::{
                PendingActivityInfo, WorkflowExecutionInfo,
                pending_activity_info::{
                    PauseInfo,
                    pause_info::{Manual, PausedBy},
                },
            },
            workflowservice::v1 as api,
        },
        server::api::token::v1::{ComponentRef, Task},
    },
};

impl Temporal {
    pub fn describe(&self, ids: &Ids) -> Answer {
        let activity = self.activities.get(number_of(&ids.activity_id)).ok_or_else(Refusal::not_found)?;
        match (activity.is_standalone, ids.workflow_id.is_empty()) {
            (true, true) => Ok(activity.describe_standalone(self.version)),
            (false, false) => Ok(activity.describe_workflow()),
            _ => Err(Refusal::not_found()),
        }
    }

    /// Returns whether a long poll is answered now.
    pub fn has_news(&self, request: &Request) -> bool {
        let find = |number: usize| self.activities.get(number);
        match *request {
            Request::NextChange { activity, token } => find(activity).is_none_or(|it| it.changes != token),
            Request::NextEvents { activity, after } => {
                find(activity).is_none_or(|it| it.events().len() > after || it.state == State::Terminated)
            }
            _ => true,
        }
    }

    /// Describes a standalone activity if it has changed since the answer with this token.
    pub fn next_change(&self, number: usize, token: u64) -> Answer {
        let activity = self.activities.get(number).filter(|activity| activity.is_standalone);
        let activity = activity.ok_or_else(Refusal::not_found)?;
        match activity.changes == token {
            true => Ok(api::DescribeActivityExecutionResponse::default().encode_to_vec()),
            false => Ok(activity.describe_standalone(self.version)),
        }
    }

    /// Returns the events of a workflow's history after so many. The token is empty if the workflow is closed.
    pub fn next_events(&self, number: usize, after: usize) -> Answer {
        let activity = self.activities.get(number).filter(|activity| !activity.is_standalone);
        let activity = activity.ok_or_else(Refusal::not_found)?;
        let events = activity.events().split_off(after);
        let next_page_token = match activity.state {
            State::Terminated => Bytes::new(),
            _ => token_of((after + events.len()) as u64),
        };
        let history = (!events.is_empty()).then_some(history::History { events });
        Ok(api::GetWorkflowExecutionHistoryResponse { history, next_page_token }.encode_to_vec())
    }

    pub fn history(&self, number: usize) -> Answer {
        let activity = self.activities.get(number).ok_or_else(Refusal::not_found)?;
        Ok(activity.history())
    }
}

impl Activity {
    fn describe_standalone(&self, version: u32) -> Vec<u8> {
        let status = match self.state {
            State::Waiting if self.is_paused => ActivityExecutionStatus::Paused,
            State::Running | State::Waiting => ActivityExecutionStatus::Running,
            State::Completed => ActivityExecutionStatus::Completed,
            State::Failed => ActivityExecutionStatus::Failed,
            State::Cancelled => ActivityExecutionStatus::Canceled,
            State::TimedOut => ActivityExecutionStatus::TimedOut,
            State::Terminated => ActivityExecutionStatus::Terminated,
        };
        let info = ActivityExecutionInfo {
            status: status as i32,
            run_state: self.pending_state(self.state) as i32,
            heartbeat_timeout: prost_types::Duration::try_from(self.timeout).ok(),
            heartbeat_details: self.details.clone(),
            last_started_time: self.started_time(),
            attempt: self.attempt,
            last_worker_identity: self.last_identity.clone(),
            last_failure: self.last_failure.clone(),
            last_heartbeat_time: self.beaten_at().map(timestamp),
            state_transition_count: i64::try_from(self.changes).unwrap(),
            total_heartbeat_count: if version < 32 { 0 } else { i64::try_from(self.heartbeats).unwrap() },
            ..ActivityExecutionInfo::default()
        };
        let run_id = self.ids().run_id;
        let long_poll_token = token_of(self.changes);
        api::DescribeActivityExecutionResponse { run_id, info: Some(info), long_poll_token }.encode_to_vec()
    }

    fn describe_workflow(&self) -> Vec<u8> {
        let Ids { workflow_id, run_id, activity_id } = self.ids();
        // A workflow that was terminated still lists the activity.
        let is_closed = self.state == State::Terminated;
        let state = if is_closed { self.state_at_close } else { self.state };
        let pending = PendingActivityInfo {
            activity_id,
            state: self.pending_state(state) as i32,
            heartbeat_details: self.details.clone(),
            last_started_time: self.started_time(),
            attempt: self.attempt,
            activity_options: Some(ActivityOptions {
                heartbeat_timeout: prost_types::Duration::try_from(self.timeout).ok(),
                ..ActivityOptions::default()
            }),
            last_failure: self.last_failure.clone(),
            last_heartbeat_time: self.beaten_at().map(timestamp),
            pause_info: self.is_paused.then(pause_info),
            ..PendingActivityInfo::default()
        };
        let answer = api::DescribeWorkflowExecutionResponse {
            workflow_execution_info: Some(WorkflowExecutionInfo {
                execution: Some(WorkflowExecution { workflow_id, run_id }),
                close_time: is_closed.then(prost_types::Timestamp::default),
            }),
            pending_activities: if state.is_pending() { vec![pending] } else { Vec::new() },
        };
        answer.encode_to_vec()
    }

    fn pending_state(&self, state: State) -> PendingActivityState {
        match state {
            State::Running if self.cancel_requested => PendingActivityState::CancelRequested,
            State::Running if self.is_paused => PendingActivityState::PauseRequested,
            State::Running => PendingActivityState::Started,
            State::Waiting if self.is_paused => PendingActivityState::Paused,
            State::Waiting => PendingActivityState::Scheduled,
            _ => PendingActivityState::Unspecified,
        }
    }

    /// The server writes the start of an attempt to the history when the activity ends.
    fn history(&self) -> Vec<u8> {
        let mut events = self.events();
        events.reverse();
        let history = history::History { events };
        let answer = api::GetWorkflowExecutionHistoryReverseResponse {
            history: Some(history),
            ..api::GetWorkflowExecutionHistoryReverseResponse::default()
        };
        answer.encode_to_vec()
    }

    fn events(&self) -> Vec<history::HistoryEvent> {
        // If no attempt was running, the activity was cancelled between two attempts.
        let identity = if self.ended_running { self.last_identity.clone() } else { String::new() };
        let (scheduled_event_id, started_event_id) = (SCHEDULED, SCHEDULED + 1);
        let end = match if self.state == State::Terminated { self.state_at_close } else { self.state } {
            State::Running | State::Waiting | State::Terminated => None,
            State::Completed => Some(Attributes::ActivityTaskCompletedEventAttributes(
                history::ActivityTaskCompletedEventAttributes {
                    scheduled_event_id,
                    started_event_id,
                    identity,
                },
            )),
            State::Failed => Some(Attributes::ActivityTaskFailedEventAttributes(
                history::ActivityTaskFailedEventAttributes { scheduled_event_id, started_event_id, identity },
            )),
            State::Cancelled => Some(Attributes::ActivityTaskCanceledEventAttributes(
                history::ActivityTaskCanceledEventAttributes {
                    scheduled_event_id,
                    started_event_id,
                    identity,
                },
            )),
            State::TimedOut => Some(Attributes::ActivityTaskTimedOutEventAttributes(
                history::ActivityTaskTimedOutEventAttributes { scheduled_event_id },
            )),
        };
        let started =
            history::ActivityTaskStartedEventAttributes { scheduled_event_id, attempt: self.attempt };
        let start = end
            .as_ref()
            .filter(|_| self.ended_running)
            .map(|_| Attributes::ActivityTaskStartedEventAttributes(started));
        let activity_id = self.ids().activity_id;
        let scheduled =
            Attributes::ActivityTaskScheduledEventAttributes(history::ActivityTaskScheduledEventAttributes {
                activity_id,
            });
        let cancel_requested = Attributes::ActivityTaskCancelRequestedEventAttributes(
            history::ActivityTaskCancelRequestedEventAttributes { scheduled_event_id },
        );
        let cancel_requested = self.cancel_requested.then_some(cancel_requested);
        // In the order in which they are written; the numbers don't matter.
        let events = [
            (SCHEDULED, Some(scheduled)),
            (SCHEDULED + 3, cancel_requested),
            (SCHEDULED + 1, start),
            (SCHEDULED + 2, end),
        ];
        let events = events.into_iter().filter_map(|(event_id, attributes)| {
            let event_time = self.started_time();
            attributes.map(|attributes| history::HistoryEvent {
                event_id,
                event_time,
                attributes: Some(attributes),
            })
        });
        events.collect()
    }

    /// Returns the heartbeat timeout in the task of the attempt. For the activity of a workflow it is the one with which the activity was
    /// scheduled, even after an operator has changed it.
    pub fn polled_timeout(&self) -> Duration {
        if self.is_standalone { self.timeout } else { self.timeout_at_first }
    }

    /// Returns the task of the attempt, as a poll gets it.
    pub fn task(&self) -> api::PollActivityTaskQueueResponse {
        let timeout = self.polled_timeout();
        api::PollActivityTaskQueueResponse {
            task_token: self.token(),
            attempt: self.attempt,
            heartbeat_details: self.details.clone(),
            heartbeat_timeout: prost_types::Duration::try_from(timeout).ok(),
            ..api::PollActivityTaskQueueResponse::default()
        }
    }

    /// The task token of the attempt.
    pub fn token(&self) -> bytes::Bytes {
        let ids = self.ids();
        let task = Task {
            namespace_id: NAMESPACE_ID.into(),
            attempt: self.attempt,
            scheduled_event_id: SCHEDULED,
            started_time: self.started_time(),
            ..Task::default()
        };
        let task = match self.is_standalone {
            true => {
                let component = ComponentRef {
                    business_id: ids.activity_id,
                    run_id: ids.run_id,
                    ..ComponentRef::default()
                };
                Task { component_ref: component.encode_to_vec().into(), scheduled_event_id: 0, ..task }
            }
            false => Task {
                workflow_id: ids.workflow_id,
                run_id: ids.run_id,
                activity_id: ids.activity_id,
                ..task
            },
        };
        task.encode_to_vec().into()
    }

    fn started_time(&self) -> Option<prost_types::Timestamp> {
        (!self.started.is_zero()).then(|| timestamp(self.started))
    }
}

fn timestamp(unix: Duration) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: i64::try_from(unix.as_secs()).unwrap(),
        nanos: i32::try_from(unix.subsec_nanos()).unwrap(),
    }
}

fn pause_info() -> PauseInfo {
    let manual = Manual { identity: "operator".into(), reason: "to look at it".into() };
    PauseInfo { paused_by: Some(PausedBy::Manual(manual)) }
}
