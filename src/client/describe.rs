//! What the server holds of an activity, and whether the attempt that it has is the one that a request is meant for.

use bytes::Bytes;

use super::{Client, Effort, unreadable};
use crate::{
    activity::access::Subject,
    attempt::{Attempt, Ids, Target},
    description::{Description, State},
    details::Details,
    error::Error,
    proto::temporal::api::{common::v1::WorkflowExecution, workflowservice::v1 as api},
    setback::{Cure, Setback},
    status::Status,
    token::Token,
};

/// An attempt that was looked for.
pub struct Found {
    /// What the server tells of it.
    pub description: Description,
    /// For an activity of a workflow that was asked for by ids: a task token made up of what is known.
    pub token: Option<Bytes>,
}

/// How a request goes that was let through.
pub enum Way {
    /// By task token.
    Token(Bytes),
    /// By ids.
    Ids(Ids),
}

impl Client {
    /// What the server holds of the token's activity.
    pub async fn details(&self, token: &[u8], effort: Effort) -> Result<Details, Setback> {
        let read = self.read(token, effort).await?;
        Ok(self.describe(&read.ids, effort).await?.details)
    }

    /// Looks whether the attempt is the one that the server has, and what there is to know of it.
    pub async fn look(&self, subject: &Subject, effort: Effort) -> Result<Found, Setback> {
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
                admit(attempt, &description)?;
                let token = self.made_up_token(&description, effort).await;
                Ok(Found { description, token })
            }
            // Of what has a token the server itself says when it is over.
            _ if attempt.may_be(description.attempt) => Ok(Found { description, token: None }),
            _ => Err(superseded(&description)),
        }
    }

    /// A token for the attempt, of what the server tells: such are its own matter, so that there may be none, and it may take none.
    async fn made_up_token(&self, found: &Description, effort: Effort) -> Option<Bytes> {
        if found.ids.workflow_id.is_empty() || found.attempt.number == 0 {
            return None;
        }
        if self.namespace_id.get().is_none() {
            self.meet_namespace(effort).await.ok()?;
        }
        let token = Token {
            namespace_id: self.namespace_id.get()?.clone(),
            ids: found.ids.clone(),
            scheduled_event_id: self.scheduled_event_id(&found.ids, effort).await.ok()?,
            attempt: found.attempt,
        };
        Some(token.made_up())
    }

    /// What stands in a token, which must be of our namespace: a workflow of another would merely not be found here, as if the
    /// activity were over.
    async fn read(&self, token: &[u8], effort: Effort) -> Result<Token, Setback> {
        let read = Token::read(token)
            .ok_or_else(|| Setback::last(Error::new(Status::TokenUnreadable, unreadable(token))))?;
        if self.namespace_id.get().is_none() {
            self.meet_namespace(effort).await?;
        }
        if self.is_foreign(&read) {
            return Err(Setback::last(Error::argument(self.foreign())));
        }
        Ok(read)
    }

    /// Lets a request through to the attempt that it is meant for, if the server still has that.
    pub(super) async fn admit(&self, target: &Target, effort: Effort) -> Result<Way, Setback> {
        match target {
            Target::Token(token) => Ok(Way::Token(token.clone())),
            Target::Checked { ids, attempt, token } => {
                let description = self.describe(ids, effort).await?;
                admit(*attempt, &description)?;
                Ok(token.clone().map_or(Way::Ids(description.ids), Way::Token))
            }
        }
    }

    /// What the server tells of an activity.
    pub(super) async fn describe(&self, ids: &Ids, effort: Effort) -> Result<Description, Setback> {
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
            let info = answer.info.ok_or_else(|| Setback::last(over()))?;
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
                return Err(Setback::last(over()));
            }
            let run_id = workflow.execution.map_or(run_id, |execution| execution.run_id);
            let mut pending = answer.pending_activities.into_iter();
            let info = pending.find(|pending| pending.activity_id == activity_id);
            Description::pending(workflow_id, run_id, info.ok_or_else(|| Setback::last(over()))?)
        };
        description.map_err(Setback::last)
    }
}

/// Refuses another attempt than this one; and while it hasn't started, this one.
fn admit(attempt: Attempt, found: &Description) -> Result<(), Setback> {
    let number = found.attempt.number;
    match found.state {
        State::Running if attempt.may_be(found.attempt) => Ok(()),
        State::Running => Err(superseded(found)),
        // An attempt whose start is known has started, and so it is over.
        State::Waiting if attempt.started_at == 0 && attempt.may_be(Attempt { number, started_at: 0 }) => {
            Err(Setback {
                cure: Cure::RetrySlowly,
                ..Setback::last(
                    Error::new(
                        Status::FailedPrecondition,
                        format!("attempt {number} of the activity isn't started yet"),
                    )
                    .temporary(None),
                )
            })
        }
        State::Waiting => Err(Setback::last(Error::new(
            Status::NotFound,
            format!("the attempt is over: attempt {number} is about to follow"),
        ))),
        State::Completed | State::Failed | State::Cancelled | State::Over => Err(Setback::last(over())),
    }
}

fn superseded(found: &Description) -> Setback {
    let number = found.attempt.number;
    Setback::last(Error::new(
        Status::NotFound,
        format!("another attempt has taken over: the server is at attempt {number}"),
    ))
}

fn over() -> Error {
    Error::new(
        Status::NotFound,
        "the activity is over: it has ended or timed out for good, or its workflow is closed",
    )
}
