//! Calls that end an activity. A retry of such a call may find that an earlier try has already ended it.

use std::pin::pin;

use prost::Message;
use zeroize::Zeroizing;

use super::{
    Acknowledgement, Client, Effort, admit::Way, encoding::EncodedEnding, order::InOrder, rounds::Rounds,
};
use crate::{
    client::{description::State, retry, rpc_error::RpcError},
    model::{
        attempt::{Attempt, Ids, Target},
        deadline::{Deadline, Start},
        encoded::Encoded,
        error::Error,
        failure::Report,
        method::Call,
        payload::Payloads,
        status::Status,
        token::Token,
    },
    proto::temporal::api::workflowservice::v1 as api,
    transport::Frame,
};

/// How to end an activity.
#[derive(Clone, Debug)]
pub enum Ending {
    /// With a result.
    Complete(Option<Payloads>),
    /// This attempt with a failure.
    Fail(Report),
    /// As cancelled, after a cancellation request.
    Cancel(Option<Payloads>),
}

impl Ending {
    /// Returns the state of an activity that ended so.
    pub(super) fn state(&self) -> State {
        match self {
            Ending::Complete(_) => State::Completed,
            Ending::Fail(_) => State::Failed,
            Ending::Cancel(_) => State::Cancelled,
        }
    }
}

impl Client {
    /// Ends the activity. With `verify`, checks the outcome if it is in doubt. The heartbeat details of a
    /// standalone activity's failure are sent in a heartbeat first. If that fails, this fails too, and the activity
    /// wasn't ended. `start` begins when the ending itself is sent, and can prevent that.
    pub async fn end(
        &self,
        target: &Target,
        ending: &EncodedEnding,
        verify: bool,
        deadline: &Deadline,
        start: &Start,
    ) -> Result<(), Error> {
        let lost_details = details_lost_with(target, ending);
        let ending = ending.ending();
        match ending {
            Ending::Complete(result) => self.look_at_size("result", result.as_ref()),
            // `heartbeat` checks the size of the details that it sends.
            Ending::Fail(_) if lost_details.is_some() => {}
            Ending::Fail(report) => self.look_at_size("heartbeat_details", report.heartbeat_details.as_ref()),
            Ending::Cancel(details) => self.look_at_size("details", details.as_ref()),
        }
        let recorded = match lost_details {
            Some(details) => self.beat(target, Some(details), Effort::Until(deadline)).await,
            None => Ok(Acknowledgement::default()),
        };
        let tried = match recorded {
            Ok(_) => {
                let mut permit = self.in_order(target, Effort::Until(deadline)).await?;
                self.end_in_rounds(target, (ending, start), deadline, &mut permit.in_order()).await
            }
            // Only a heartbeat may have been applied, not the ending.
            Err(failed) => Err(RpcError { outcome_unknown: false, ..failed }),
        };
        let Err(failed) = tried else { return Ok(()) };
        if failed.outcome_unknown {
            self.note_doubt(target);
        }
        // Always look it up when the library itself closed the connection: that must not leave the caller in doubt.
        let verify = verify || failed.connection_aborted;
        if failed.error.status() == Status::NotFound && self.in_doubt.has(&self.doubt_key(target)) {
            return match self.verdict(target, ending, verify, deadline).await {
                Some(true) => Ok(()),
                Some(false) => Err(failed.error),
                None => Err(failed.error.as_status(Status::InDoubt).with_context(
                    "but the answer to an earlier try was lost, which may have ended the activity: check the outcome \
                     before you undo anything",
                )),
            };
        }
        if failed.outcome_unknown && failed.error.status() != Status::NotFound {
            return Err(failed
                .error
                .with_context("the request may have been applied; the call may be repeated"));
        }
        Err(match target {
            Target::Token(token) => self.explain(failed.error, token),
            Target::Checked { .. } => failed.error,
        })
    }

    /// Notes that the caller of [`Client::end`] got no outcome, so that the ending may have been applied.
    pub fn note_doubt(&self, target: &Target) {
        self.in_doubt.add(self.doubt_key(target));
    }

    /// Returns the key under which a doubt is remembered: the server, and the ids and the number of the attempt. A
    /// handle that was opened by ids sends some of its requests by a token, so the key must not depend on that.
    fn doubt_key(&self, target: &Target) -> Zeroizing<Vec<u8>> {
        let by_ids = |ids: &Ids, attempt: Attempt| format!("{ids:?} {}", attempt.number).into_bytes();
        let key = match target {
            Target::Token(token) => match Token::read(token) {
                Some(read) => by_ids(&read.ids, read.attempt),
                None => token.to_vec(),
            },
            Target::Checked { ids, attempt, .. } => by_ids(ids, *attempt),
        };
        Zeroizing::new([self.transport.peer().as_bytes(), &key].concat())
    }

    /// Sends the ending and retries it, each time after a new check of the activity. A request by ids ends any
    /// attempt the server has, so it must not be retried without a check: this library's attempt may have ended
    /// since.
    async fn end_in_rounds(
        &self,
        target: &Target,
        (ending, start): (&Ending, &Start),
        deadline: &Deadline,
        order: &mut InOrder<'_>,
    ) -> Result<(), RpcError> {
        let mut start = Some(start);
        let mut rounds = Rounds::new(self.retry, Effort::Until(deadline));
        loop {
            match self.end_if_admitted(target, (ending, &mut start), deadline, order).await {
                Ok(()) => return Ok(()),
                Err(failed) => rounds.next(failed).await?,
            }
        }
    }

    async fn end_if_admitted(
        &self,
        target: &Target,
        (ending, start): (&Ending, &mut Option<&Start>),
        deadline: &Deadline,
        order: &mut InOrder<'_>,
    ) -> Result<(), RpcError> {
        // A description without an answer isn't an ending that may have been applied.
        let admitted = self.admit(target, Effort::Until(deadline)).await;
        let way = admitted.map_err(|failed| RpcError { outcome_unknown: false, ..failed })?.way;
        let by_ids = way.is_by_ids();
        let effort = match by_ids {
            true => Effort::Once(retry::time_of_try(deadline, self.transport.longest_answer()).start()),
            false => Effort::Until(deadline),
        };
        // Until it has begun.
        if start.take().is_some_and(|start| !start.begin()) {
            return Err(RpcError { outcome_unknown: false, ..RpcError::cancelled() });
        }
        let sent = pin!(self.send_ending(ending, way, effort, order));
        let sent = deadline.unless_cancelled(sent).await;
        match sent.unwrap_or_else(|| Err(RpcError::cancelled())) {
            Ok(()) => Ok(()),
            Err(failed) => Err(self.confirm(target, by_ids, failed, Effort::Until(deadline)).await),
        }
    }

    async fn send_ending(
        &self,
        ending: &Ending,
        way: Way,
        effort: Effort<'_>,
        order: &mut InOrder<'_>,
    ) -> Result<(), RpcError> {
        let (call, request) = self.request_of(ending.clone(), way);
        let answer = self.send_frame((call, request), effort, order).await?;
        // It has nothing that is needed.
        <()>::decode(answer).map_err(|why| RpcError::undecodable(call.name, &why))
    }

    fn request_of(&self, ending: Ending, way: Way) -> (Call, Frame) {
        let (identity, namespace) = (self.identity.clone(), self.namespace.clone());
        let resource_id = way.resource_id();
        match (ending, way) {
            (Ending::Complete(result), Way::Token(task_token)) => {
                let request = api::RespondActivityTaskCompletedRequest {
                    task_token,
                    result,
                    identity,
                    namespace,
                    resource_id,
                };
                (api::RESPOND_ACTIVITY_TASK_COMPLETED.call, Frame::plain(&request))
            }
            (Ending::Complete(result), Way::Ids(Ids { workflow_id, run_id, activity_id })) => {
                let request = api::RespondActivityTaskCompletedByIdRequest {
                    namespace,
                    workflow_id,
                    run_id,
                    activity_id,
                    result,
                    identity,
                    resource_id,
                };
                (api::RESPOND_ACTIVITY_TASK_COMPLETED_BY_ID.call, Frame::plain(&request))
            }
            // The responses' `failures` report details over the size limit; such details were refused before.
            (Ending::Fail(report), Way::Token(task_token)) => {
                let request = api::RespondActivityTaskFailedRequest {
                    task_token,
                    failure: Some(*report.failure),
                    identity,
                    namespace,
                    last_heartbeat_details: report.heartbeat_details,
                    resource_id,
                };
                (api::RESPOND_ACTIVITY_TASK_FAILED.call, Frame::plain(&request))
            }
            (Ending::Fail(report), Way::Ids(Ids { workflow_id, run_id, activity_id })) => {
                let request = api::RespondActivityTaskFailedByIdRequest {
                    namespace,
                    workflow_id,
                    run_id,
                    activity_id,
                    failure: Some(*report.failure),
                    identity,
                    last_heartbeat_details: report.heartbeat_details,
                    resource_id,
                };
                (api::RESPOND_ACTIVITY_TASK_FAILED_BY_ID.call, Frame::plain(&request))
            }
            (Ending::Cancel(details), Way::Token(task_token)) => {
                let request = api::RespondActivityTaskCanceledRequest {
                    task_token,
                    details,
                    identity,
                    namespace,
                    resource_id,
                };
                (api::RESPOND_ACTIVITY_TASK_CANCELED.call, Frame::plain(&request))
            }
            (Ending::Cancel(details), Way::Ids(Ids { workflow_id, run_id, activity_id })) => {
                let request = api::RespondActivityTaskCanceledByIdRequest {
                    namespace,
                    workflow_id,
                    run_id,
                    activity_id,
                    details,
                    identity,
                    resource_id,
                };
                (api::RESPOND_ACTIVITY_TASK_CANCELED_BY_ID.call, Frame::plain(&request))
            }
        }
    }
}

/// Returns heartbeat details that the server would lose if only the failure carried them, so that a heartbeat sends
/// them first: Server 1.31 ignores those of a standalone activity.
fn details_lost_with(target: &Target, ending: &EncodedEnding) -> Option<Encoded> {
    let Target::Token(token) = target else { return None };
    let details = ending.heartbeat_details()?;
    Token::read(token)?.ids.workflow_id.is_empty().then_some(details)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{config::Options, runtime::Runtime};

    #[test]
    fn a_doubt_by_a_derived_token_is_one_by_ids_too() {
        let options = Options::read(br#"{"address":"127.0.0.1:1"}"#).unwrap();
        let io_thread = Runtime::new().io_thread();
        let client =
            Client::new(&options, Arc::default(), Arc::default(), io_thread, Arc::default()).unwrap();
        let ids = Ids { workflow_id: "w".into(), run_id: "r".into(), activity_id: "a".into() };
        let token = |number| {
            let attempt = Attempt { number, started_at: 0 };
            Token { namespace_id: "n".into(), ids: ids.clone(), scheduled_event_id: 5, attempt }.derived()
        };
        client.note_doubt(&Target::Token(token(2)));

        let attempt = Attempt { number: 2, started_at: 1_700_000_000 };
        let checked = Target::Checked { ids: ids.clone(), attempt, token: None };
        assert!(client.in_doubt.has(&client.doubt_key(&checked)));
        assert!(!client.in_doubt.has(&client.doubt_key(&Target::Token(token(3)))));
    }
}
