//! Decides whether a request may be sent for the attempt that the server has, and whether that attempt is over.

use std::cmp::Ordering;

use bytes::Bytes;

use super::{Client, Effort};
use crate::{
    client::{
        description::{Description, State},
        rpc_error::{Retry, RpcError},
    },
    model::{
        attempt::{Attempt, Ids, Target},
        conditions::Conditions,
        error::Error,
        payload::Payloads,
        status::Status,
        token::{self, Token},
    },
};

/// How a request identifies its activity.
pub enum Way {
    /// By task token.
    Token(Bytes),
    /// By ids.
    Ids(Ids),
}

/// A request that may be sent.
pub struct Admitted {
    /// How it identifies its activity.
    pub way: Way,
    /// The conditions in force, if the server was asked.
    pub conditions: Option<Box<Conditions>>,
    /// The details that the server holds, if it was asked and there are some.
    pub held: Option<Payloads>,
}

impl Way {
    /// Returns whether the server compares only the ids.
    pub fn is_by_ids(&self) -> bool {
        matches!(self, Way::Ids(_))
    }

    /// Returns what some proxies route the request by; empty when the token can't be parsed.
    pub fn resource_id(&self) -> String {
        let activity = match self {
            Way::Ids(ids) => Some(ids.activity()),
            Way::Token(token) => token::activity(token),
        };
        let (kind, id) = match activity {
            Some(([], activity_id)) => ("activity:", activity_id),
            Some((workflow_id, _)) => ("workflow:", workflow_id),
            None => return String::new(),
        };
        str::from_utf8(id).map_or_else(|_| String::new(), |id| [kind, id].concat())
    }
}

impl Client {
    /// Admits a request if the server still has the attempt that it is meant for.
    pub(super) async fn admit(&self, target: &Target, effort: Effort<'_>) -> Result<Admitted, RpcError> {
        match target {
            Target::Token(token) => {
                Ok(Admitted { way: Way::Token(token.clone()), conditions: None, held: None })
            }
            Target::Checked { ids, attempt, token } => {
                let description = self.describe(ids, effort).await?;
                check(*attempt, &description)?;
                let held = description.details.payloads().clone();
                let held = (!held.encoded().is_empty()).then_some(held);
                let conditions = Some(Box::new(description.conditions));
                let way = token.clone().map_or(Way::Ids(description.ids), Way::Token);
                Ok(Admitted { way, conditions, held })
            }
        }
    }

    /// Determines whether a NOT_FOUND answer to a beat or an ending means that the attempt is over. By token it does,
    /// with Temporal's own status detail. Without the detail, and by ids, a Describe decides. The error is `NotFound`
    /// only when the attempt is over; otherwise it is `Unavailable`. Other errors are returned unchanged, except that
    /// a Describe also explains a FAILED_PRECONDITION by ids.
    pub(super) async fn confirm(
        &self,
        target: &Target,
        by_ids: bool,
        failed: RpcError,
        effort: Effort<'_>,
    ) -> RpcError {
        let is_claimed_by_ids = by_ids && failed.error.status() == Status::NotFound;
        // Server 1.32 refuses in this way to complete a standalone activity by ids that is over.
        let is_refused_by_ids = by_ids && failed.error.status() == Status::FailedPrecondition;
        if !failed.is_unproven_end() && !is_claimed_by_ids && !is_refused_by_ids {
            return failed;
        }
        let (outcome_unknown, connection_aborted) = (failed.outcome_unknown, failed.connection_aborted);
        let after = |error| RpcError { outcome_unknown, connection_aborted, ..error };
        let refused = match is_refused_by_ids {
            true => failed,
            false => after(RpcError::temporary(failed.error.as_status(Status::Unavailable))),
        };
        let known = match target {
            Target::Token(token) => Token::read(token).map(|read| (read.ids, read.attempt)),
            Target::Checked { ids, attempt, .. } => Some((ids.clone(), *attempt)),
        };
        let Some((ids, attempt)) = known else {
            return refused
                .with_context("and the activity can't be looked up, because the token can't be parsed");
        };
        let described = match self.describe(&ids, effort).await {
            Ok(description) => check(attempt, &description).map(|()| description),
            Err(why) => Err(why),
        };
        match described {
            Ok(found) if is_claimed_by_ids && ids.workflow_id.is_empty() && found.attempt.number > 1 => refused
                .with_context(format!(
                    "the server doesn't accept requests by ids for attempt {} of a standalone activity (Server 1.31), although it \
                     runs; hand over the task token instead",
                    found.attempt.number
                )),
            Ok(_) if is_refused_by_ids => refused,
            Ok(_) => refused.with_context("but the server describes the attempt as running"),
            Err(over) if over.error.status() == Status::NotFound => after(over),
            Err(why) => refused
                .with_context(format!("and looking up the activity didn't show whether it is over: {}", why.error)),
        }
    }
}

/// Refuses a different attempt than `attempt`, and `attempt` itself while it hasn't started.
pub fn check(attempt: Attempt, found: &Description) -> Result<(), RpcError> {
    match found.state {
        State::Running => check_attempt(attempt, found),
        State::Waiting => Err(waiting(attempt, found.attempt)),
        State::Completed | State::Failed | State::Cancelled | State::Over => Err(RpcError::permanent(over())),
    }
}

/// Refuses a different attempt than `attempt`. An earlier one doesn't prove that `attempt` is over: the description
/// may be that of a replica that lags behind.
pub fn check_attempt(attempt: Attempt, found: &Description) -> Result<(), RpcError> {
    let number = found.attempt.number;
    match found.attempt.by_start(attempt) {
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(RpcError::permanent(Error::new(
            Status::NotFound,
            format!("another attempt has taken over: the server is at attempt {number}"),
        ))),
        Ordering::Less => Err(out_of_date(number)),
    }
}

/// Returns why nothing may be sent to an attempt while the server describes `next` as waiting for its start. Until
/// then `next` has the start time of the previous attempt.
fn waiting(attempt: Attempt, next: Attempt) -> RpcError {
    let number = next.number;
    let order = match attempt.started_at != 0 && next.started_at != 0 {
        // The attempt has started and isn't running. Unless the description is older than that, the attempt is over.
        true if next.started_at >= attempt.started_at => Ordering::Greater,
        true => Ordering::Less,
        false => next.by_start(attempt),
    };
    match order {
        Ordering::Greater => RpcError::permanent(Error::new(
            Status::NotFound,
            format!("the attempt is over: attempt {number} is about to follow"),
        )),
        Ordering::Equal if attempt.started_at == 0 => RpcError {
            retry: Retry::Slowly,
            ..RpcError::permanent(
                Error::new(
                    Status::FailedPrecondition,
                    format!("attempt {number} of the activity isn't started yet"),
                )
                .temporary(None),
            )
        },
        Ordering::Equal | Ordering::Less => out_of_date(number),
    }
}

fn out_of_date(number: i32) -> RpcError {
    let message =
        format!("the server describes attempt {number}, an earlier one: its answer may be out of date");
    RpcError::temporary(Error::new(Status::Unavailable, message))
}

/// Returns the error for an activity that is over or doesn't exist.
pub fn over() -> Error {
    Error::new(
        Status::NotFound,
        "the activity is over: it has ended or timed out without a retry, or its workflow is closed",
    )
}
