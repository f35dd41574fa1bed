//! Reads what a client sends.

use bytes::Bytes;
use prost::{Message, Name};

use super::temporal::record_in;
use crate::{
    model::{attempt::Ids, payload::Payloads, token::Token},
    proto::{
        google::rpc,
        temporal::api::{
            errordetails::v1::{NotFoundFailure, ResourceExhaustedFailure},
            failure::v1::Failure,
            workflowservice::v1 as api,
        },
    },
};

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

    pub fn not_found() -> Self {
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
    /// A heartbeat. By ids the server applies it to any running attempt.
    Heartbeat(Subject, Option<Payloads>),
    Complete(Subject, Ending),
    Fail(Subject, Ending, Option<Box<Failure>>),
    Cancel(Subject, Ending),
    Describe(Ids),
    /// The history of a workflow, the newest events first.
    History(usize),
    /// Waits until a standalone activity has changed since the answer with this token.
    NextChange {
        activity: usize,
        token: u64,
    },
    /// Waits for the events of a workflow's history after so many.
    NextEvents {
        activity: usize,
        after: usize,
    },
    /// A request with a token that can't be parsed, or with a failure without a kind.
    Malformed(&'static str),
    Other,
}

/// What ends an attempt.
pub struct Ending {
    pub identity: String,
    /// The result, the details of the cancellation, or of a failure the last heartbeat's details.
    pub payloads: Option<Payloads>,
}

/// The activity and the attempt that a request is for.
#[derive(Clone, Debug)]
pub struct Subject {
    pub activity: usize,
    /// The attempt in the token; `None`: the request has ids instead of a token.
    pub attempt: Option<i32>,
    /// When the attempt started, in ns of Unix time; 0: not in the token.
    pub started_at: i64,
}

impl Subject {
    /// Returns the subject of a token. For the activity of a workflow, the server compares the attempt only if the token contains the
    /// scheduled event.
    fn of_token(token: &[u8]) -> Option<Self> {
        let token = Token::read(token)?;
        let is_fenced = token.ids.workflow_id.is_empty() || token.scheduled_event_id != 0;
        Some(Subject {
            activity: number_of(&token.ids.activity_id),
            attempt: is_fenced.then_some(token.attempt.number),
            started_at: token.attempt.started_at,
        })
    }

    fn of_ids(activity_id: &str) -> Self {
        Subject { activity: number_of(activity_id), attempt: None, started_at: 0 }
    }
}

impl Request {
    /// Reads a request by the name of its method.
    pub fn read(method: &str, message: &[u8]) -> Self {
        Self::parse(method, message).unwrap_or_else(Request::Malformed)
    }

    fn parse(method: &str, message: &[u8]) -> Result<Self, &'static str> {
        let by_token = |token: &[u8]| Subject::of_token(token).ok_or("error deserializing task token");
        let by_id = Subject::of_ids;
        let ending = |identity, payloads| Ending { identity, payloads };
        Ok(match method {
            "GetSystemInfo" => Request::GetSystemInfo,
            "DescribeNamespace" => Request::DescribeNamespace,
            "RecordActivityTaskHeartbeat" => {
                let request: api::RecordActivityTaskHeartbeatRequest = decode(message);
                Request::Heartbeat(by_token(&request.task_token)?, request.details)
            }
            "RecordActivityTaskHeartbeatById" => {
                let request: api::RecordActivityTaskHeartbeatByIdRequest = decode(message);
                Request::Heartbeat(by_id(&request.activity_id), request.details)
            }
            "RespondActivityTaskCompleted" => {
                let request: api::RespondActivityTaskCompletedRequest = decode(message);
                Request::Complete(by_token(&request.task_token)?, ending(request.identity, request.result))
            }
            "RespondActivityTaskCompletedById" => {
                let request: api::RespondActivityTaskCompletedByIdRequest = decode(message);
                Request::Complete(by_id(&request.activity_id), ending(request.identity, request.result))
            }
            "RespondActivityTaskFailed" => {
                let request: api::RespondActivityTaskFailedRequest = decode(message);
                let end = ending(request.identity, request.last_heartbeat_details);
                Request::Fail(by_token(&request.task_token)?, end, of_a_kind(request.failure)?.map(Box::new))
            }
            "RespondActivityTaskFailedById" => {
                let request: api::RespondActivityTaskFailedByIdRequest = decode(message);
                let end = ending(request.identity, request.last_heartbeat_details);
                Request::Fail(by_id(&request.activity_id), end, request.failure.map(Box::new))
            }
            "RespondActivityTaskCanceled" => {
                let request: api::RespondActivityTaskCanceledRequest = decode(message);
                Request::Cancel(by_token(&request.task_token)?, ending(request.identity, request.details))
            }
            "RespondActivityTaskCanceledById" => {
                let request: api::RespondActivityTaskCanceledByIdRequest = decode(message);
                Request::Cancel(by_id(&request.activity_id), ending(request.identity, request.details))
            }
            "DescribeWorkflowExecution" => {
                let request: api::DescribeWorkflowExecutionRequest = decode(message);
                let workflow_id = request.execution.unwrap_or_default().workflow_id;
                // Each workflow has one activity, with the same number.
                let activity_id = format!("a{}", number_of(&workflow_id));
                Request::Describe(Ids { workflow_id, run_id: String::new(), activity_id })
            }
            "DescribeActivityExecution" => {
                let request: api::DescribeActivityExecutionRequest = decode(message);
                match number_in(&request.long_poll_token) {
                    None => Request::Describe(Ids { activity_id: request.activity_id, ..Ids::default() }),
                    Some(token) => Request::NextChange { activity: number_of(&request.activity_id), token },
                }
            }
            "GetWorkflowExecutionHistory" => {
                let request: api::GetWorkflowExecutionHistoryRequest = decode(message);
                let after = number_in(&request.next_page_token).unwrap_or(0);
                Request::NextEvents {
                    activity: number_of(&request.execution.unwrap_or_default().workflow_id),
                    after: usize::try_from(after).unwrap(),
                }
            }
            "GetWorkflowExecutionHistoryReverse" => {
                let request: api::GetWorkflowExecutionHistoryReverseRequest = decode(message);
                Request::History(number_of(&request.execution.unwrap_or_default().workflow_id))
            }
            _ => Request::Other,
        })
    }

    /// Returns the subject of a heartbeat or an ending. The library must keep these requests in order.
    pub fn ordered(&self) -> Option<&Subject> {
        match self {
            Request::Heartbeat(subject, _)
            | Request::Complete(subject, _)
            | Request::Fail(subject, ..)
            | Request::Cancel(subject, _) => Some(subject),
            _ => None,
        }
    }

    /// Returns the values of a heartbeat or an ending.
    pub fn payloads(&self) -> Option<&Payloads> {
        match self {
            Request::Heartbeat(_, details) => details.as_ref(),
            Request::Complete(_, ending) | Request::Fail(_, ending, _) | Request::Cancel(_, ending) => {
                ending.payloads.as_ref()
            }
            _ => None,
        }
    }

    /// Returns the activity of the request.
    pub fn activity(&self) -> Option<usize> {
        match self {
            Request::Describe(ids) => Some(number_of(&ids.activity_id)),
            Request::History(number) => Some(*number),
            Request::NextChange { activity, .. } | Request::NextEvents { activity, .. } => Some(*activity),
            _ => self.ordered().map(|subject| subject.activity),
        }
    }

    /// Returns whether the server may answer late, because it waits for news.
    pub fn is_long_poll(&self) -> bool {
        matches!(self, Request::NextChange { .. } | Request::NextEvents { .. })
    }

    /// Returns a short description for the trace.
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
            Request::Fail(subject, ending, _) => {
                format!("fail {} details {}", of(subject), shown(ending.payloads.as_ref()))
            }
            Request::Cancel(subject, _) => format!("cancel {}", of(subject)),
            Request::Describe(ids) => format!("describe {}", ids.activity_id),
            Request::History(number) => format!("history of a{number}"),
            Request::NextChange { activity, token } => format!("next change of a{activity} after {token}"),
            Request::NextEvents { activity, after } => format!("events of a{activity} after {after}"),
            Request::Malformed(why) => (*why).into(),
            Request::Other => "other".into(),
        }
    }
}

fn decode<M: Message + Default>(message: &[u8]) -> M {
    M::decode(message).unwrap()
}

/// Returns the failure, or why the server refuses it: with a token it only accepts application failures. By ids, no server checks this.
fn of_a_kind(failure: Option<Failure>) -> Result<Option<Failure>, &'static str> {
    match &failure {
        Some(Failure { failure_info: None, .. }) => Err("failure must have ApplicationFailureInfo"),
        _ => Ok(failure),
    }
}

fn shown(details: Option<&Payloads>) -> String {
    record_in(details).map_or("none".into(), |record| record.to_string())
}

/// Returns the token of a long poll.
pub fn token_of(number: u64) -> Bytes {
    number.to_string().into()
}

/// Returns the number in the token of a long poll, if there is one.
fn number_in(token: &[u8]) -> Option<u64> {
    std::str::from_utf8(token).ok()?.parse().ok()
}

/// The number in `a7`, `w7` or `r7`.
pub fn number_of(id: &str) -> usize {
    id.get(1..).and_then(|number| number.parse().ok()).unwrap_or(usize::MAX)
}
