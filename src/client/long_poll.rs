//! Waits at the server for news of an activity or of a workflow. The long polls have a connection of their own.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;

use super::{
    Client, Effort,
    describe::execution,
    description::{Description, known},
    order::InOrder,
};
use crate::{
    client::rpc_error::RpcError,
    model::{attempt::Ids, conditions::Reasons, error::Error, method::Method},
    proto::temporal::api::{history::v1::history_event::Attributes, workflowservice::v1 as api},
    transport::{Frame, Predecessor, TryTime},
};

/// The time of one long poll. The server answers without news after 20 s, by default; a minute is the most that it
/// can be configured to.
const LONG_POLL: TryTime = TryTime { answer: Duration::from_secs(70), silence: Duration::from_secs(30) };

/// A change of a standalone activity.
pub struct Change {
    /// The activity after the change, without its details.
    pub description: Description,
    /// For the next long poll; empty if the server has no long polls of standalone activities.
    pub token: Bytes,
}

/// The next events of a workflow's history.
pub struct Events {
    /// The events that concern its activities.
    pub events: Vec<Event>,
    /// Whether there were no events at all.
    pub is_empty: bool,
    /// Whether there may be more events already.
    pub is_full: bool,
    /// The size of the answer.
    pub bytes: usize,
    /// For the next long poll; empty when the workflow is closed.
    pub token: Bytes,
}

/// Activities of a workflow.
pub struct Described {
    /// The activities.
    pub activities: Vec<Description>,
    /// The size of the answer.
    pub bytes: usize,
}

/// An event of a workflow's history.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The cancellation of the workflow was requested. Its code decides what that means for its activities.
    WorkflowCancelRequested(Reasons),
    /// The workflow's code has requested the cancellation of an activity.
    CancelRequested {
        /// The event that scheduled the activity.
        scheduled_event_id: i64,
    },
    /// An activity is over.
    Ended {
        /// The event that scheduled the activity.
        scheduled_event_id: i64,
    },
}

impl Client {
    /// Waits until a standalone activity has changed since the answer with `token`, or describes it at once if that is empty.
    /// Returns `None` if it hasn't changed after the server's time limit.
    pub async fn next_change(&self, ids: &Ids, token: Bytes) -> Result<Option<Change>, RpcError> {
        let Ids { run_id, activity_id, .. } = ids.clone();
        let request = api::DescribeActivityExecutionRequest {
            namespace: self.namespace.clone(),
            activity_id: activity_id.clone(),
            run_id: run_id.clone(),
            long_poll_token: token,
            ..Default::default()
        };
        let effort = Effort::Once(LONG_POLL.start());
        let (answer, _) = self.long_poll(&api::DESCRIBE_ACTIVITY_EXECUTION, &request, effort).await?;
        let Some(info) = answer.info else { return Ok(None) };
        let description = Description::standalone(activity_id, run_id, info).map_err(RpcError::permanent)?;
        Ok(Some(Change { description, token: answer.long_poll_token }))
    }

    /// Waits for the events of a workflow's history after the answer with `token`; if that is empty, returns the first ones.
    /// Returns no events after the server's time limit. An answer has about `page` events: the server keeps transactions
    /// whole.
    pub async fn next_events(&self, ids: &Ids, token: Bytes, page: i32) -> Result<Events, RpcError> {
        let request = api::GetWorkflowExecutionHistoryRequest {
            namespace: self.namespace.clone(),
            execution: Some(execution(ids)),
            maximum_page_size: page,
            next_page_token: token,
            wait_new_event: true,
            skip_archival: true,
        };
        let effort = Effort::Once(LONG_POLL.start());
        let (answer, bytes) = self.long_poll(&api::GET_WORKFLOW_EXECUTION_HISTORY, &request, effort).await?;
        let events = answer.history.unwrap_or_default().events;
        Ok(Events {
            is_empty: events.is_empty(),
            is_full: i32::try_from(events.len()).is_ok_and(|count| count >= page),
            events: events.into_iter().filter_map(|event| event.attributes.and_then(Event::read)).collect(),
            bytes,
            token: answer.next_page_token,
        })
    }

    /// Describes those activities of a workflow that `is_wanted` selects by their ids; none of a closed workflow. The connection is that of the long polls,
    /// because the answer contains the details of all activities of the workflow.
    pub async fn pending_activities(
        &self,
        ids: &Ids,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Described, RpcError> {
        let request = api::DescribeWorkflowExecutionRequest {
            namespace: self.namespace.clone(),
            execution: Some(execution(ids)),
        };
        let effort = Effort::Once(LONG_POLL.start());
        let (answer, bytes) = self.long_poll(&api::DESCRIBE_WORKFLOW_EXECUTION, &request, effort).await?;
        // A closed workflow still lists the activities that were pending when it closed.
        let is_closed = answer.workflow_execution_info.unwrap_or_default().close_time.is_some();
        let pending = if is_closed { Vec::new() } else { answer.pending_activities };
        let pending = pending.into_iter().filter(|info| is_wanted(&info.activity_id));
        let described =
            pending.map(|info| Description::pending(ids.workflow_id.clone(), ids.run_id.clone(), info));
        let activities = described.collect::<Result<_, Error>>().map_err(RpcError::permanent)?;
        Ok(Described { activities, bytes })
    }

    /// Makes one try of a call that the server may answer late. Also returns the size of the answer.
    pub(super) async fn long_poll<Request, Response>(
        &self,
        method: &Method<Request, Response>,
        request: &Request,
        effort: Effort<'_>,
    ) -> Result<(Response, usize), RpcError>
    where
        Request: Message,
        Response: Message + Default,
    {
        let call = method.call.long_poll();
        let mut predecessor = Predecessor::default();
        let order = &mut InOrder::alone(&mut predecessor);
        let answer = self.send_frame((call, Frame::plain(request)), effort, order).await?;
        let bytes = answer.len();
        match Response::decode(answer) {
            Ok(response) => Ok((response, bytes)),
            Err(why) => Err(RpcError::undecodable(call.name, &why)),
        }
    }
}

impl Event {
    fn read(attributes: Attributes) -> Option<Self> {
        Some(match attributes {
            Attributes::WorkflowExecutionCancelRequestedEventAttributes(requested) => {
                Event::WorkflowCancelRequested(Reasons {
                    cancel_reason: known(requested.cause),
                    cancel_identity: known(requested.identity),
                    ..Reasons::default()
                })
            }
            Attributes::ActivityTaskCancelRequestedEventAttributes(requested) => {
                Event::CancelRequested { scheduled_event_id: requested.scheduled_event_id }
            }
            Attributes::ActivityTaskCompletedEventAttributes(end) => {
                Event::Ended { scheduled_event_id: end.scheduled_event_id }
            }
            Attributes::ActivityTaskFailedEventAttributes(end) => {
                Event::Ended { scheduled_event_id: end.scheduled_event_id }
            }
            Attributes::ActivityTaskTimedOutEventAttributes(end) => {
                Event::Ended { scheduled_event_id: end.scheduled_event_id }
            }
            Attributes::ActivityTaskCanceledEventAttributes(end) => {
                Event::Ended { scheduled_event_id: end.scheduled_event_id }
            }
            Attributes::ActivityTaskScheduledEventAttributes(_)
            | Attributes::ActivityTaskStartedEventAttributes(_) => return None,
        })
    }
}
