//! A model of Temporal's activities: attempts, tokens, heartbeat timers, details, endings. `make sim-compare` compares it with real
//! servers.

use std::time::Duration;

use prost::Message;

use super::{activity::Failing, codec, request::Ending};
pub use super::{
    activity::{Activity, State},
    request::{Answer, Refusal, Request, Subject},
};
use crate::{
    model::payload::{DEFAULT_SIZE_LIMIT, Payloads},
    proto::temporal::api::{
        failure::v1::Failure,
        namespace::v1::{NamespaceInfo, namespace_info::Limits},
        workflowservice::v1 as api,
    },
    sys::clock::Moment,
};

pub const NAMESPACE_ID: &str = "namespace-id";
/// The event that scheduled the activity of a workflow.
pub const SCHEDULED: i64 = 5;
/// The newest server that the model knows: 1.32.
pub const NEWEST: u32 = 32;

/// All activities.
pub struct Temporal {
    pub activities: Vec<Activity>,
    /// The minor version of the server.
    pub version: u32,
    /// The limit on encoded payloads, in bytes.
    pub size_limit: usize,
}

impl Default for Temporal {
    fn default() -> Self {
        Temporal { activities: Vec::new(), version: NEWEST, size_limit: DEFAULT_SIZE_LIMIT }
    }
}

/// What a request changed.
pub enum Effect {
    Nothing,
    /// `before` are the details that it replaced.
    Heartbeat {
        before: Option<Payloads>,
        /// Whether both details were sent with tokens of the attempts that ran then.
        is_fenced: bool,
    },
    Ended,
}

impl Temporal {
    /// Applies a request. `timer` is the delay with which the heartbeat timer fires, if the request starts it.
    pub fn apply(&mut self, request: &Request, now: Moment, timer: Duration) -> (Answer, Effect) {
        let nothing = |answer| (answer, Effect::Nothing);
        let version = self.version;
        match request {
            Request::GetSystemInfo => nothing(Ok(api::GetSystemInfoResponse::default().encode_to_vec())),
            Request::DescribeNamespace => {
                let limits = Limits { blob_size_limit_error: i64::try_from(self.size_limit).unwrap() };
                let info = NamespaceInfo {
                    id: NAMESPACE_ID.into(),
                    limits: Some(limits),
                    ..NamespaceInfo::default()
                };
                nothing(Ok(api::DescribeNamespaceResponse { namespace_info: Some(info) }.encode_to_vec()))
            }
            Request::Describe(ids) => nothing(self.describe(ids)),
            Request::History(number) => nothing(self.history(*number)),
            Request::NextChange { activity, token } => nothing(self.next_change(*activity, *token)),
            Request::NextEvents { activity, after } => nothing(self.next_events(*activity, *after)),
            Request::Malformed(why) => nothing(Err(Refusal::plain(tonic::Code::InvalidArgument, why))),
            Request::Other => nothing(Err(Refusal::plain(tonic::Code::Unimplemented, "unknown"))),
            Request::Heartbeat(subject, details) => match self.fits(details.as_ref()) {
                false => {
                    let (failed, effect) =
                        self.fail(subject, "", "Heartbeat details exceed size limit.", now);
                    let answer = api::RecordActivityTaskHeartbeatResponse {
                        cancel_requested: true,
                        ..api::RecordActivityTaskHeartbeatResponse::default()
                    };
                    (failed.map(|_| answer.encode_to_vec()), effect)
                }
                true => match self.running(subject) {
                    None => nothing(Err(Refusal::not_found())),
                    Some(activity) => activity.beat(subject, details.clone(), now, timer),
                },
            },
            Request::Complete(subject, Ending { identity, payloads }) => match self.fits(payloads.as_ref()) {
                false => self.fail(subject, identity, "Complete result exceeds size limit.", now),
                true => match self.completable(subject) {
                    Err(refusal) => nothing(Err(refusal)),
                    Ok(activity) => {
                        activity.force_start();
                        activity.ended_by(State::Completed, identity)
                    }
                },
            },
            Request::Cancel(subject, Ending { identity, payloads }) => match self.fits(payloads.as_ref()) {
                false => self.fail(subject, identity, "Cancel details exceed size limit.", now),
                true => match self.running(subject) {
                    None => nothing(Err(Refusal::not_found())),
                    // For a standalone activity the server doesn't keep the identity that reported the cancellation.
                    Some(activity) if activity.cancel_requested && activity.is_standalone => {
                        activity.end(State::Cancelled);
                        (Ok(Vec::new()), Effect::Ended)
                    }
                    Some(activity) if activity.cancel_requested => {
                        activity.ended_by(State::Cancelled, identity)
                    }
                    Some(activity) => {
                        let code = match activity.is_standalone && version < 32 {
                            true => tonic::Code::FailedPrecondition,
                            false => tonic::Code::InvalidArgument,
                        };
                        nothing(Err(Refusal::plain(
                            code,
                            "the cancellation of the activity wasn't requested",
                        )))
                    }
                },
            },
            Request::Fail(subject, Ending { identity, payloads }, failure) => {
                let fits = self.fits(payloads.as_ref());
                let Some(activity) = self.running(subject) else {
                    return nothing(Err(Refusal::not_found()));
                };
                let (is_by_ids, is_standalone) = (subject.attempt.is_none(), activity.is_standalone);
                let mut failing = Failing::by_client(failure.as_deref(), identity);
                if version < 32
                    && is_standalone
                    && failure.as_ref().is_some_and(|it| it.failure_info.is_none())
                {
                    failing.is_retryable = false;
                }
                // Servers before 1.32 lose the details of a failure by ids, and of a standalone activity that is retried.
                let loses =
                    version < 32 && (is_by_ids || (is_standalone && activity.goes_on_after(&failing)));
                if let Some(details) = payloads.clone().filter(|_| fits && !loses) {
                    activity.details = Some(details);
                    activity.count_heartbeat();
                }
                activity.attempt_failed(failing, now);
                let failures = if fits { Vec::new() } else { vec![Failure::default()] };
                (Ok(api::RespondActivityTaskFailedResponse { failures }.encode_to_vec()), Effect::Ended)
            }
        }
    }

    fn fits(&self, payloads: Option<&Payloads>) -> bool {
        payloads.is_none_or(|payloads| payloads.encoded_len() <= self.size_limit)
    }

    /// Fails the attempt, as a frontend does when the values are over its size limit.
    fn fail(&mut self, subject: &Subject, identity: &str, message: &str, now: Moment) -> (Answer, Effect) {
        let Some(activity) = self.running(subject) else {
            return (Err(Refusal::not_found()), Effect::Nothing);
        };
        let failing = Failing {
            failure: Some(Failure { message: message.into(), ..Failure::default() }),
            is_retryable: false,
            delay: Duration::ZERO,
            identity,
            over: State::Failed,
        };
        activity.attempt_failed(failing, now);
        (Ok(Vec::new()), Effect::Ended)
    }

    fn addressed(&mut self, subject: &Subject) -> Option<&mut Activity> {
        let version = self.version;
        let activity = self.activities.get_mut(subject.activity)?;
        let is_it = match subject.attempt {
            // For a standalone activity, Server 1.31 accepts ids only during the first attempt.
            None => !activity.is_standalone || version >= 32 || activity.attempt == 1,
            Some(attempt) => {
                attempt == activity.attempt
                    && (!activity.is_standalone || subject.started_at == activity.identity().started_at)
            }
        };
        is_it.then_some(activity)
    }

    fn running(&mut self, subject: &Subject) -> Option<&mut Activity> {
        self.addressed(subject).filter(|activity| activity.state == State::Running)
    }

    /// By ids, an activity can also be completed between two attempts. Before Server 1.32, a standalone activity can't.
    fn completable(&mut self, subject: &Subject) -> Result<&mut Activity, Refusal> {
        let version = self.version;
        let activity = self.addressed(subject).ok_or_else(Refusal::not_found)?;
        let is_forced = subject.attempt.is_none() && (!activity.is_standalone || version >= 32);
        match activity.state {
            State::Running => Ok(activity),
            State::Waiting if is_forced => Ok(activity),
            // If a standalone activity is over, the server doesn't check the attempt.
            _ if is_forced && activity.is_standalone => {
                Err(Refusal::plain(tonic::Code::FailedPrecondition, "invalid transition"))
            }
            _ => Err(Refusal::not_found()),
        }
    }
}

/// Returns the number in the details, which grows with each record of an activity; `None`: there are no details.
pub fn record_in(details: Option<&Payloads>) -> Option<u64> {
    let values = details?.values().unwrap();
    std::str::from_utf8(codec::decoded(values.first()?)).unwrap().parse().ok()
}
