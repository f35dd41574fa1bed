//! Asks the server what it holds of an activity.

use bytes::Bytes;

use super::{
    Client, Effort,
    admit::{check, check_attempt, over},
    order::InOrder,
    rounds::Rounds,
    unreadable,
};
use crate::{
    client::{
        description::Description,
        rpc_error::{Retry, RpcError},
    },
    model::{
        attempt::{Attempt, Ids, Subject, Target},
        details::Details,
        error::Error,
        status::Status,
        token::Token,
    },
    proto::temporal::api::{common::v1::WorkflowExecution, workflowservice::v1 as api},
    transport::Predecessor,
};

/// The description of an attempt.
pub struct Found {
    /// The server's description.
    pub description: Description,
    /// A token derived from the description, for an activity of a workflow that was identified by ids.
    pub token: Option<Bytes>,
}

/// Returns the run of an activity's workflow.
pub fn execution(ids: &Ids) -> WorkflowExecution {
    WorkflowExecution { workflow_id: ids.workflow_id.clone(), run_id: ids.run_id.clone() }
}

impl Client {
    /// Returns the details that the server holds for the token's activity.
    pub async fn details(&self, token: &[u8], effort: Effort<'_>) -> Result<Details, RpcError> {
        Ok(self.description(token, effort).await?.details)
    }

    /// Returns the server's description of the token's activity, of whichever attempt.
    pub async fn description(&self, token: &[u8], effort: Effort<'_>) -> Result<Description, RpcError> {
        let read = self.read(token, effort).await?;
        let mut rounds = Rounds::new(self.retry, effort);
        loop {
            match self.describe(&read.ids, effort).await {
                Ok(description) => return Ok(description),
                Err(failed) => rounds.next(failed).await?,
            }
        }
    }

    /// Checks that the server still has this attempt, and returns its description. Waits until no beat of the activity is in
    /// flight, such as one of a handle that was closed: the server may apply it after the description, and the described
    /// details would then replace the newer ones with the next beat.
    pub async fn look(&self, subject: &Subject, effort: Effort<'_>) -> Result<Found, RpcError> {
        let (ids, attempt) = match subject {
            Subject::Token(token) => {
                let read = self.read(token, effort).await?;
                (read.ids, read.attempt)
            }
            Subject::Ids { ids, attempt, .. } => (ids.clone(), *attempt),
        };
        let target = Target::Checked { ids: ids.clone(), attempt, token: None };
        let mut permit = self.in_order(&target, effort).await?;
        let description = self.describe_in_order(&ids, effort, &mut permit.in_order()).await?;
        match subject {
            Subject::Ids { alone: true, .. } => {
                check(attempt, &description)?;
                let token = self.derived_token(&description, effort).await.ok();
                Ok(Found { description, token })
            }
            // By token, the server itself answers when the attempt is over.
            _ => {
                check_attempt(attempt, &description)?;
                Ok(Found { description, token: None })
            }
        }
    }

    /// Derives a token for the attempt that runs. Returns an error if that isn't `attempt`; the default allows any attempt.
    pub async fn token_from_ids(
        &self,
        ids: &Ids,
        attempt: Attempt,
        effort: Effort<'_>,
    ) -> Result<Bytes, RpcError> {
        let mut rounds = Rounds::new(self.retry, effort);
        loop {
            match self.token_of_running(ids, attempt, effort).await {
                Ok(token) => return Ok(token),
                Err(failed) => rounds.next(failed).await?,
            }
        }
    }

    async fn token_of_running(
        &self,
        ids: &Ids,
        attempt: Attempt,
        effort: Effort<'_>,
    ) -> Result<Bytes, RpcError> {
        let description = self.describe(ids, effort).await?;
        check(attempt, &description)?;
        self.derived_token(&description, effort).await
    }

    /// Derives a token for the attempt from the description. The token format is the server's own, so there may be no
    /// such token, and the server may refuse it.
    async fn derived_token(&self, found: &Description, effort: Effort<'_>) -> Result<Bytes, RpcError> {
        let impossible = |why| RpcError::permanent(Error::new(Status::Unimplemented, why));
        if found.ids.workflow_id.is_empty() || found.attempt.number == 0 {
            return Err(impossible(
                "only the server can make the token of a standalone activity: open the activity by its ids, or hand over its task token",
            ));
        }
        if self.namespace_id.get().is_none() {
            self.describe_namespace(effort).await?;
        }
        let Some(namespace_id) = self.namespace_id.get().cloned() else {
            return Err(impossible(
                "no token can be made without the namespace's id, which these credentials may not read: open the activity by its \
                 ids, or hand over its task token",
            ));
        };
        let token = Token {
            namespace_id,
            ids: found.ids.clone(),
            scheduled_event_id: self.scheduled_event_id(&found.ids, effort).await?,
            attempt: found.attempt,
        };
        Ok(token.derived())
    }

    /// Parses a token, which must be from this client's namespace. A workflow of another namespace would not be found
    /// here, which would look like the end of the activity.
    async fn read(&self, token: &[u8], effort: Effort<'_>) -> Result<Token, RpcError> {
        let read = Token::read(token)
            .ok_or_else(|| RpcError::permanent(Error::new(Status::TokenUnreadable, unreadable(token))))?;
        if self.namespace_id.get().is_none() {
            self.describe_namespace(effort).await?;
        }
        if self.is_foreign(&read) {
            return Err(RpcError::permanent(Error::argument(self.foreign())));
        }
        Ok(read)
    }

    /// Describes an activity. `NotFound`: it is over or doesn't exist. If the answer doesn't prove that, the error is
    /// `Unavailable`, and the call may be retried.
    pub(super) async fn describe(&self, ids: &Ids, effort: Effort<'_>) -> Result<Description, RpcError> {
        let mut predecessor = Predecessor::default();
        self.describe_in_order(ids, effort, &mut InOrder::alone(&mut predecessor)).await
    }

    async fn describe_in_order(
        &self,
        ids: &Ids,
        effort: Effort<'_>,
        order: &mut InOrder<'_>,
    ) -> Result<Description, RpcError> {
        self.ask_to_describe(ids, effort, order).await.map_err(|failed| {
            if failed.is_unproven_end() {
                RpcError { retry: Retry::Soon, ..failed }
            } else if failed.is_answer_too_large() {
                failed.with_context(
                    "it describes all running activities of the workflow, with their details; or hand over initial_details and \
                     the heartbeat timeout",
                )
            } else {
                failed
            }
        })
    }

    async fn ask_to_describe(
        &self,
        ids: &Ids,
        effort: Effort<'_>,
        order: &mut InOrder<'_>,
    ) -> Result<Description, RpcError> {
        let Ids { workflow_id, run_id, activity_id } = ids.clone();
        let description = if workflow_id.is_empty() {
            let request = api::DescribeActivityExecutionRequest {
                namespace: self.namespace.clone(),
                activity_id: activity_id.clone(),
                run_id: run_id.clone(),
                long_poll_token: Bytes::new(),
                include_heartbeat_details: true,
                include_last_failure: true,
            };
            let answer = self.send(&api::DESCRIBE_ACTIVITY_EXECUTION, &request, effort, order).await?;
            let run_id = if answer.run_id.is_empty() { run_id } else { answer.run_id };
            let info = answer.info.ok_or_else(|| RpcError::permanent(over()))?;
            Description::standalone(activity_id, run_id, info)
        } else {
            let request = api::DescribeWorkflowExecutionRequest {
                namespace: self.namespace.clone(),
                execution: Some(execution(ids)),
            };
            let answer = self.send(&api::DESCRIBE_WORKFLOW_EXECUTION, &request, effort, order).await?;
            let workflow = answer.workflow_execution_info.unwrap_or_default();
            // A closed workflow still lists the activities that were pending when it closed.
            if workflow.close_time.is_some() {
                return Err(RpcError::permanent(over()));
            }
            let run_id = workflow.execution.map_or(run_id, |execution| execution.run_id);
            let mut pending = answer.pending_activities.into_iter();
            let info = pending.find(|pending| pending.activity_id == activity_id);
            Description::pending(workflow_id, run_id, info.ok_or_else(|| RpcError::permanent(over()))?)
        };
        description.map_err(RpcError::permanent)
    }
}
