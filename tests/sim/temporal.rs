//! A model of Temporal's activities: attempts, tokens, heartbeat timers, details, endings (see "What the model knows" in README.md).

use std::time::Duration;

use bytes::Bytes;
use prost::{Message, Name};

use crate::{
    model::{
        attempt::{Attempt, Ids},
        payload::Payloads,
        token::Token,
    },
    proto::{
        google::rpc,
        temporal::{
            api::{
                activity::v1::{ActivityExecutionInfo, ActivityOptions},
                common::v1::WorkflowExecution,
                enums::v1::{ActivityExecutionStatus, PendingActivityState},
                errordetails::v1::{NotFoundFailure, ResourceExhaustedFailure},
                failure::v1::Failure,
                history::v1::{self as history, history_event::Attributes},
                namespace::v1::{NamespaceInfo, namespace_info::Limits},
                workflow::v1::{PendingActivityInfo, WorkflowExecutionInfo},
                workflowservice::v1 as api,
            },
            server::api::token::v1::{ComponentRef, Task},
        },
    },
    sys::clock::Moment,
};

const NAMESPACE_ID: &str = "namespace-id";
/// The event that scheduled the activity of a workflow.
const SCHEDULED: i64 = 5;
const SIZE_LIMIT: i64 = 2 * 1024 * 1024;

/// All activities.
#[derive(Default)]
pub struct Temporal {
    pub activities: Vec<Activity>,
}

/// One activity.
#[derive(Clone, Debug)]
pub struct Activity {
    pub number: usize,
    /// Whether it is standalone; otherwise of a workflow.
    pub is_standalone: bool,
    pub timeout: Duration,
    pub attempt: i32,
    /// When the attempt started, on the server's clock.
    pub started: Duration,
    /// The same on the boot clock.
    pub began: Moment,
    pub state: State,
    pub details: Option<Payloads>,
    /// Whether they came by token: by ids they may be of another attempt's holder.
    pub details_are_fenced: bool,
    /// When the heartbeat timer fires.
    pub expires: Moment,
    pub cancel_requested: bool,
    pub is_paused: bool,
    pub is_reset: bool,
    /// Who completed, failed or cancelled the activity.
    pub identity_of_end: String,
    /// Why the attempt before failed.
    pub last_failure: Option<Failure>,
    /// When the start of the attempt that it waits for was planned.
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
}

/// What the server answers: a message, or an error.
pub type Answer = Result<Vec<u8>, Refusal>;

/// An error with its gRPC code and the encoded details of its status.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub code: i32,
    pub message: &'static str,
    pub details: Vec<u8>,
}

impl Refusal {
    pub fn plain(code: tonic::Code, message: &'static str) -> Self {
        Refusal { code: code as i32, message, details: Vec::new() }
    }

    fn with_detail<Detail: Name>(code: tonic::Code, message: &'static str) -> Self {
        let detail = prost_types::Any { type_url: Detail::type_url(), value: Vec::new() };
        let status = rpc::Status { details: vec![detail], ..rpc::Status::default() };
        Refusal { code: code as i32, message, details: status.encode_to_vec() }
    }

    fn not_found() -> Self {
        Self::with_detail::<NotFoundFailure>(tonic::Code::NotFound, "activity not found or already over")
    }

    pub fn rate_limited() -> Self {
        Self::with_detail::<ResourceExhaustedFailure>(tonic::Code::ResourceExhausted, "rate limit exceeded")
    }
}

/// A request that was read.
pub enum Request {
    GetSystemInfo,
    DescribeNamespace,
    /// A heartbeat. By ids it is for whatever attempt runs.
    Heartbeat(Subject, Option<Payloads>),
    Complete(Subject, String),
    Fail(Subject, String, Option<Payloads>, Option<Failure>),
    Cancel(Subject, String),
    Describe(Ids),
    /// The history of a workflow, the newest events first.
    History(usize),
    Other,
}

/// Whom a request is for.
#[derive(Clone, Debug)]
pub struct Subject {
    pub activity: usize,
    /// From a token; `None`: by ids.
    pub attempt: Option<i32>,
}

/// What a request changed.
pub enum Effect {
    Nothing,
    /// These were the details before.
    Heartbeat {
        before: Option<Payloads>,
        /// Whether both came by token.
        is_fenced: bool,
    },
    Ended,
}

impl Request {
    /// Reads a request by the name of its method.
    pub fn read(method: &str, message: &[u8]) -> Self {
        let by_token = |token: &[u8]| {
            let token = Token::read(token).unwrap();
            Subject { activity: activity_number(&token.ids), attempt: Some(token.attempt.number) }
        };
        let by_id = |activity_id: &str| Subject { activity: number_of(activity_id), attempt: None };
        match method {
            "GetSystemInfo" => Request::GetSystemInfo,
            "DescribeNamespace" => Request::DescribeNamespace,
            "RecordActivityTaskHeartbeat" => {
                let request = api::RecordActivityTaskHeartbeatRequest::decode(message).unwrap();
                Request::Heartbeat(by_token(&request.task_token), request.details)
            }
            "RecordActivityTaskHeartbeatById" => {
                let request = api::RecordActivityTaskHeartbeatByIdRequest::decode(message).unwrap();
                Request::Heartbeat(by_id(&request.activity_id), request.details)
            }
            "RespondActivityTaskCompleted" => {
                let request = api::RespondActivityTaskCompletedRequest::decode(message).unwrap();
                Request::Complete(by_token(&request.task_token), request.identity)
            }
            "RespondActivityTaskCompletedById" => {
                let request = api::RespondActivityTaskCompletedByIdRequest::decode(message).unwrap();
                Request::Complete(by_id(&request.activity_id), request.identity)
            }
            "RespondActivityTaskFailed" => {
                let request = api::RespondActivityTaskFailedRequest::decode(message).unwrap();
                let api::RespondActivityTaskFailedRequest {
                    identity, last_heartbeat_details, failure, ..
                } = request;
                Request::Fail(by_token(&request.task_token), identity, last_heartbeat_details, failure)
            }
            "RespondActivityTaskFailedById" => {
                let request = api::RespondActivityTaskFailedByIdRequest::decode(message).unwrap();
                let api::RespondActivityTaskFailedByIdRequest {
                    identity,
                    last_heartbeat_details,
                    failure,
                    ..
                } = request;
                Request::Fail(by_id(&request.activity_id), identity, last_heartbeat_details, failure)
            }
            "RespondActivityTaskCanceled" => {
                let request = api::RespondActivityTaskCanceledRequest::decode(message).unwrap();
                Request::Cancel(by_token(&request.task_token), request.identity)
            }
            "RespondActivityTaskCanceledById" => {
                let request = api::RespondActivityTaskCanceledByIdRequest::decode(message).unwrap();
                Request::Cancel(by_id(&request.activity_id), request.identity)
            }
            "DescribeWorkflowExecution" => {
                let request = api::DescribeWorkflowExecutionRequest::decode(message).unwrap();
                let workflow_id = request.execution.unwrap_or_default().workflow_id;
                // Each workflow has one activity, of its own number.
                let activity_id = format!("a{}", number_of(&workflow_id));
                Request::Describe(Ids { workflow_id, run_id: String::new(), activity_id })
            }
            "DescribeActivityExecution" => {
                let request = api::DescribeActivityExecutionRequest::decode(message).unwrap();
                Request::Describe(Ids { activity_id: request.activity_id, ..Ids::default() })
            }
            "GetWorkflowExecutionHistoryReverse" => {
                let request = api::GetWorkflowExecutionHistoryReverseRequest::decode(message).unwrap();
                Request::History(number_of(&request.execution.unwrap_or_default().workflow_id))
            }
            _ => Request::Other,
        }
    }

    /// Whose order this request belongs to: heartbeats and endings.
    pub fn ordered(&self) -> Option<&Subject> {
        match self {
            Request::Heartbeat(subject, _)
            | Request::Complete(subject, _)
            | Request::Fail(subject, ..)
            | Request::Cancel(subject, _) => Some(subject),
            _ => None,
        }
    }

    /// The activity that it is about.
    pub fn activity(&self) -> Option<usize> {
        match self {
            Request::Describe(ids) => Some(number_of(&ids.activity_id)),
            Request::History(number) => Some(*number),
            _ => self.ordered().map(|subject| subject.activity),
        }
    }

    /// A few words for the trace.
    pub fn words(&self) -> String {
        let of = |subject: &Subject| match subject.attempt {
            Some(attempt) => format!("a{} attempt {attempt}", subject.activity),
            None => format!("a{} by ids", subject.activity),
        };
        match self {
            Request::GetSystemInfo => "get system info".into(),
            Request::DescribeNamespace => "describe namespace".into(),
            Request::Heartbeat(subject, details) => {
                format!("beat {} details {}", of(subject), shown(details.as_ref()))
            }
            Request::Complete(subject, _) => format!("complete {}", of(subject)),
            Request::Fail(subject, _, details, _) => {
                format!("fail {} details {}", of(subject), shown(details.as_ref()))
            }
            Request::Cancel(subject, _) => format!("cancel {}", of(subject)),
            Request::Describe(ids) => format!("describe {}", ids.activity_id),
            Request::History(number) => format!("history of a{number}"),
            Request::Other => "other".into(),
        }
    }
}

impl Temporal {
    /// Applies a request. `timer` is how long after the timeout the heartbeat timer fires that it starts.
    pub fn apply(&mut self, request: &Request, now: Moment, timer: Duration) -> (Answer, Effect) {
        match request {
            Request::GetSystemInfo => {
                (Ok(api::GetSystemInfoResponse::default().encode_to_vec()), Effect::Nothing)
            }
            Request::DescribeNamespace => {
                let limits = Limits { blob_size_limit_error: SIZE_LIMIT };
                let info = NamespaceInfo { id: NAMESPACE_ID.into(), limits: Some(limits) };
                let answer = api::DescribeNamespaceResponse { namespace_info: Some(info) };
                (Ok(answer.encode_to_vec()), Effect::Nothing)
            }
            Request::Describe(ids) => (self.describe(ids), Effect::Nothing),
            Request::History(number) => (self.history(*number), Effect::Nothing),
            Request::Other => (Err(Refusal::plain(tonic::Code::Unimplemented, "unknown")), Effect::Nothing),
            Request::Heartbeat(subject, _)
            | Request::Complete(subject, _)
            | Request::Fail(subject, ..)
            | Request::Cancel(subject, _) => {
                let Some(activity) = self.running(subject) else {
                    return (Err(Refusal::not_found()), Effect::Nothing);
                };
                activity.apply(request, now, timer)
            }
        }
    }

    fn running(&mut self, subject: &Subject) -> Option<&mut Activity> {
        let activity = self.activities.get_mut(subject.activity)?;
        let is_it = subject.attempt.is_none_or(|attempt| attempt == activity.attempt);
        (activity.state == State::Running && is_it).then_some(activity)
    }

    fn describe(&self, ids: &Ids) -> Answer {
        let activity = self.activities.get(number_of(&ids.activity_id)).ok_or_else(Refusal::not_found)?;
        let started = prost_types::Timestamp {
            seconds: i64::try_from(activity.started.as_secs()).unwrap(),
            nanos: i32::try_from(activity.started.subsec_nanos()).unwrap(),
        };
        let timeout = prost_types::Duration::try_from(activity.timeout).ok();
        let state = match activity.state {
            State::Running if activity.cancel_requested => PendingActivityState::CancelRequested,
            State::Running if activity.is_paused => PendingActivityState::PauseRequested,
            State::Running => PendingActivityState::Started,
            _ => PendingActivityState::Scheduled,
        };
        let is_over = !matches!(activity.state, State::Running | State::Waiting);
        if ids.workflow_id.is_empty() {
            let status = match activity.state {
                State::Running | State::Waiting => ActivityExecutionStatus::Running,
                State::Completed => ActivityExecutionStatus::Completed,
                State::Failed => ActivityExecutionStatus::Failed,
                State::Cancelled => ActivityExecutionStatus::Canceled,
                State::TimedOut => ActivityExecutionStatus::TimedOut,
            };
            let info = ActivityExecutionInfo {
                status: status as i32,
                run_state: if is_over { 0 } else { state as i32 },
                heartbeat_timeout: timeout,
                heartbeat_details: activity.details.clone(),
                last_started_time: Some(started),
                attempt: activity.attempt,
                last_worker_identity: activity.identity_of_end.clone(),
                last_failure: activity.last_failure.clone(),
                ..ActivityExecutionInfo::default()
            };
            let run_id = activity.ids().run_id;
            return Ok(api::DescribeActivityExecutionResponse { run_id, info: Some(info) }.encode_to_vec());
        }
        let pending = PendingActivityInfo {
            activity_id: ids.activity_id.clone(),
            state: state as i32,
            heartbeat_details: activity.details.clone(),
            last_started_time: Some(started),
            attempt: activity.attempt,
            activity_options: Some(ActivityOptions { heartbeat_timeout: timeout }),
            last_failure: activity.last_failure.clone(),
            ..PendingActivityInfo::default()
        };
        let Ids { workflow_id, run_id, .. } = activity.ids();
        let answer = api::DescribeWorkflowExecutionResponse {
            workflow_execution_info: Some(WorkflowExecutionInfo {
                execution: Some(WorkflowExecution { workflow_id, run_id }),
                close_time: None,
            }),
            pending_activities: if is_over { Vec::new() } else { vec![pending] },
        };
        Ok(answer.encode_to_vec())
    }
}

impl Temporal {
    /// The start of an attempt is written when the activity ends.
    fn history(&self, number: usize) -> Answer {
        let activity = self.activities.get(number).ok_or_else(Refusal::not_found)?;
        let identity = activity.identity_of_end.clone();
        let (scheduled_event_id, started_event_id) = (SCHEDULED, SCHEDULED + 1);
        let end = match activity.state {
            State::Running | State::Waiting => None,
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
            history::ActivityTaskStartedEventAttributes { scheduled_event_id, attempt: activity.attempt };
        let start = end.as_ref().map(|_| Attributes::ActivityTaskStartedEventAttributes(started));
        let activity_id = activity.ids().activity_id;
        let scheduled =
            Attributes::ActivityTaskScheduledEventAttributes(history::ActivityTaskScheduledEventAttributes {
                activity_id,
            });
        let newest_first = [(SCHEDULED + 2, end), (SCHEDULED + 1, start), (SCHEDULED, Some(scheduled))];
        let events = newest_first.into_iter().filter_map(|(event_id, attributes)| {
            attributes.map(|attributes| history::HistoryEvent { event_id, attributes: Some(attributes) })
        });
        let history = history::History { events: events.collect() };
        let answer = api::GetWorkflowExecutionHistoryReverseResponse {
            history: Some(history),
            ..api::GetWorkflowExecutionHistoryReverseResponse::default()
        };
        Ok(answer.encode_to_vec())
    }
}

impl Activity {
    /// Schedules an activity, whose first attempt is still to be started.
    pub fn new(number: usize, is_standalone: bool, timeout: Duration) -> Self {
        Activity {
            number,
            is_standalone,
            timeout,
            attempt: 1,
            started: Duration::ZERO,
            began: Moment::LONG_AGO,
            state: State::Waiting,
            details: None,
            details_are_fenced: true,
            expires: Moment::NEVER,
            cancel_requested: false,
            is_paused: false,
            is_reset: false,
            identity_of_end: String::new(),
            last_failure: None,
            starts: None,
        }
    }

    /// Starts the attempt that the activity waits for.
    pub fn start(&mut self, unix: Duration, now: Moment, timer: Duration) {
        self.state = State::Running;
        self.started = unix;
        self.began = now;
        self.renew(now, timer);
    }

    /// The attempt is over, and the next one may follow.
    pub fn end_attempt(&mut self) {
        self.state = State::Waiting;
        self.attempt += 1;
        self.expires = Moment::NEVER;
        self.is_reset = false;
    }

    /// The activity is over.
    pub fn end(&mut self, state: State) {
        self.state = state;
        self.expires = Moment::NEVER;
    }

    fn renew(&mut self, now: Moment, timer: Duration) {
        self.expires = if self.timeout.is_zero() { Moment::NEVER } else { now.later(self.timeout + timer) };
    }

    fn apply(&mut self, request: &Request, now: Moment, timer: Duration) -> (Answer, Effect) {
        match request {
            Request::Heartbeat(subject, details) => {
                let is_fenced = self.details_are_fenced && subject.attempt.is_some();
                self.details_are_fenced = subject.attempt.is_some();
                let before = std::mem::replace(&mut self.details, details.clone());
                self.renew(now, timer);
                let answer = api::RecordActivityTaskHeartbeatResponse {
                    cancel_requested: self.cancel_requested,
                    activity_paused: self.is_paused,
                    activity_reset: self.is_reset,
                };
                (Ok(answer.encode_to_vec()), Effect::Heartbeat { before, is_fenced })
            }
            Request::Complete(_, identity) => {
                self.end_by(State::Completed, identity);
                (Ok(Vec::new()), Effect::Ended)
            }
            Request::Fail(_, identity, details, failure) => {
                if details.is_some() {
                    self.details.clone_from(details);
                }
                self.last_failure.clone_from(failure);
                if self.cancel_requested {
                    self.end_by(State::Failed, identity)
                } else {
                    self.end_attempt()
                }
                (Ok(Vec::new()), Effect::Ended)
            }
            Request::Cancel(_, identity) if self.cancel_requested => {
                self.end_by(State::Cancelled, identity);
                (Ok(Vec::new()), Effect::Ended)
            }
            _ => {
                let why = "the cancellation of the activity wasn't requested";
                (Err(Refusal::plain(tonic::Code::InvalidArgument, why)), Effect::Nothing)
            }
        }
    }

    fn end_by(&mut self, state: State, identity: &str) {
        self.end(state);
        identity.clone_into(&mut self.identity_of_end);
    }

    pub fn ids(&self) -> Ids {
        let number = self.number;
        let workflow_id = if self.is_standalone { String::new() } else { format!("w{number}") };
        Ids { workflow_id, run_id: format!("r{number}"), activity_id: format!("a{number}") }
    }

    pub fn identity(&self) -> Attempt {
        Attempt { number: self.attempt, started_at: i64::try_from(self.started.as_nanos()).unwrap() }
    }

    /// The task token of the attempt.
    pub fn token(&self) -> Bytes {
        let ids = self.ids();
        let started_time = Some(prost_types::Timestamp {
            seconds: i64::try_from(self.started.as_secs()).unwrap(),
            nanos: i32::try_from(self.started.subsec_nanos()).unwrap(),
        });
        let task = Task {
            namespace_id: NAMESPACE_ID.into(),
            attempt: self.attempt,
            scheduled_event_id: SCHEDULED,
            started_time,
            ..Task::default()
        };
        let task = match self.is_standalone {
            true => {
                let component = ComponentRef {
                    business_id: ids.activity_id,
                    run_id: ids.run_id,
                    ..ComponentRef::default()
                };
                Task { component_ref: component.encode_to_vec().into(), ..task }
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
}

/// The number that the details hold, which grows with each record of an activity; `None`: there are none.
pub fn record_in(details: Option<&Payloads>) -> Option<u64> {
    let values = details?.values().unwrap();
    std::str::from_utf8(&values.first()?.data).unwrap().parse().ok()
}

fn shown(details: Option<&Payloads>) -> String {
    record_in(details).map_or("none".into(), |record| record.to_string())
}

fn activity_number(ids: &Ids) -> usize {
    number_of(&ids.activity_id)
}

/// The number in `a7`, `w7` or `r7`.
fn number_of(id: &str) -> usize {
    id.get(1..).and_then(|number| number.parse().ok()).unwrap_or(usize::MAX)
}
