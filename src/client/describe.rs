//! What the server holds of an activity.

use bytes::Bytes;

use super::{
    Client, Effort,
    admit::{check, check_attempt, over},
    rounds::Rounds,
    unreadable,
};
use crate::{
    client::{
        description::Description,
        rpc_error::{Retry, RpcError},
    },
    model::{
        attempt::{Ids, Subject},
        details::Details,
        error::Error,
        status::Status,
        token::Token,
    },
    proto::temporal::api::{common::v1::WorkflowExecution, workflowservice::v1 as api},
};

/// An attempt that was looked for.
pub struct Found {
    /// What the server tells of it.
    pub description: Description,
    /// For an activity of a workflow that was asked for by ids: a task token made up of what is known.
    pub token: Option<Bytes>,
}

impl Client {
    /// What the server holds of the token's activity.
    pub async fn details(&self, token: &[u8], effort: Effort) -> Result<Details, RpcError> {
        let read = self.read(token, effort).await?;
        let mut rounds = Rounds::new(self.retry, effort);
        loop {
            match self.describe(&read.ids, effort).await {
                Ok(description) => return Ok(description.details),
                Err(failed) => rounds.next(failed).await?,
            }
        }
    }

    /// Looks whether the attempt is the one that the server has, and what there is to know of it.
    pub async fn look(&self, subject: &Subject, effort: Effort) -> Result<Found, RpcError> {
        let (ids, attempt) = match subject {
            Subject::Token(token) => {
                let read = self.read(token, effort).await?;
                (read.ids, read.attempt)
            }
            Subject::Ids { ids, attempt, .. } => (ids.clone(), *attempt),
        };
        let description = self.describe(&ids, effort).await?;
        match subject {
            Subject::Ids { alone: true, .. } => {
                check(attempt, &description)?;
                let token = self.derived_token(&description, effort).await;
                Ok(Found { description, token })
            }
            // Of what has a token the server itself says when it is over.
            _ => {
                check_attempt(attempt, &description)?;
                Ok(Found { description, token: None })
            }
        }
    }

    /// A token for the attempt, of what the server tells: such are its own matter, so that there may be none, and it may take none.
    async fn derived_token(&self, found: &Description, effort: Effort) -> Option<Bytes> {
        if found.ids.workflow_id.is_empty() || found.attempt.number == 0 {
            return None;
        }
        if self.namespace_id.get().is_none() {
            self.describe_namespace(effort).await.ok()?;
        }
        let token = Token {
            namespace_id: self.namespace_id.get()?.clone(),
            ids: found.ids.clone(),
            scheduled_event_id: self.scheduled_event_id(&found.ids, effort).await.ok()?,
            attempt: found.attempt,
        };
        Some(token.derived())
    }

    /// What stands in a token, which must be of our namespace: a workflow of another would merely not be found here, as if the
    /// activity were over.
    async fn read(&self, token: &[u8], effort: Effort) -> Result<Token, RpcError> {
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

    /// Describes an activity. `NotFound`: it is over, or there is none. An answer that doesn't prove that is `Unavailable`, and may
    /// be asked for again.
    pub(super) async fn describe(&self, ids: &Ids, effort: Effort) -> Result<Description, RpcError> {
        self.ask_to_describe(ids, effort).await.map_err(|failed| match failed.is_unproven_end() {
            true => RpcError { retry: Retry::Soon, ..failed },
            false => failed,
        })
    }

    async fn ask_to_describe(&self, ids: &Ids, effort: Effort) -> Result<Description, RpcError> {
        let Ids { workflow_id, run_id, activity_id } = ids.clone();
        let description = if workflow_id.is_empty() {
            let request = api::DescribeActivityExecutionRequest {
                namespace: self.namespace.clone(),
                activity_id: activity_id.clone(),
                run_id: run_id.clone(),
                include_heartbeat_details: true,
                include_last_failure: true,
            };
            let answer = self.ask(&api::DESCRIBE_ACTIVITY_EXECUTION, &request, effort).await?;
            let run_id = if answer.run_id.is_empty() { run_id } else { answer.run_id };
            let info = answer.info.ok_or_else(|| RpcError::permanent(over()))?;
            Description::standalone(activity_id, run_id, info)
        } else {
            let request = api::DescribeWorkflowExecutionRequest {
                namespace: self.namespace.clone(),
                execution: Some(WorkflowExecution {
                    workflow_id: workflow_id.clone(),
                    run_id: run_id.clone(),
                }),
            };
            let answer = self.ask(&api::DESCRIBE_WORKFLOW_EXECUTION, &request, effort).await?;
            let workflow = answer.workflow_execution_info.unwrap_or_default();
            // It still tells of the activities that it left behind.
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
