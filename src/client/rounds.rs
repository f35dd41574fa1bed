//! Retries requests that must not be retried without a new check of the activity.

use super::{
    Effort,
    backoff::Backoff,
    rpc_error::{Retry, RpcError},
};
use crate::{
    config::RetryPolicy,
    model::{error::Error, status::Status},
};

/// The rounds of one call. Each round checks the activity and sends a request. Requests by token are retried within a
/// round, by [`super::retry`]. Requests by ids, and those with an unproven NOT_FOUND, are retried in a new round.
pub struct Rounds<'a> {
    effort: Effort<'a>,
    policy: RetryPolicy,
    failed: u32,
    /// The last error that isn't a timeout.
    last_error: Option<Error>,
    outcome_unknown: bool,
    connection_aborted: bool,
}

impl<'a> Rounds<'a> {
    /// Creates the state before the first round.
    pub fn new(policy: RetryPolicy, effort: Effort<'a>) -> Self {
        Rounds {
            effort,
            policy,
            failed: 0,
            last_error: None,
            outcome_unknown: false,
            connection_aborted: false,
        }
    }

    /// Waits until the next round may begin. If there is no next one, returns the error of the last round. If that is
    /// a timeout, returns the server's answer in the round before.
    pub async fn next(&mut self, error: RpcError) -> Result<(), RpcError> {
        self.failed += 1;
        self.outcome_unknown |= error.outcome_unknown;
        self.connection_aborted |= error.connection_aborted;
        let backoff = Backoff::from(self.policy);
        let pause = match error.retry {
            Retry::Never | Retry::WithOtherCredentials => None,
            Retry::Soon => Some(backoff.pause(self.failed)),
            Retry::Slowly => Some(backoff.slow_pause(self.failed)),
        };
        match (pause, self.effort) {
            (Some(pause), Effort::Until(deadline))
                if self.failed < self.policy.max_tries && pause < deadline.remaining() =>
            {
                // A timeout isn't a server answer; keep the previous one.
                if error.error.status() != Status::Timeout {
                    self.last_error = Some(error.error);
                }
                // The next round fails at once after a cancellation.
                deadline.unless_cancelled(tokio::time::sleep(pause)).await;
                Ok(())
            }
            _ => Err(RpcError {
                outcome_unknown: self.outcome_unknown,
                connection_aborted: self.connection_aborted,
                error: match self.last_error.take() {
                    Some(last) if error.error.status() == Status::Timeout => {
                        last.with_context(error.error.message())
                    }
                    _ => error.error,
                },
                ..error
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::Deadline, *};
    use crate::config::Options;

    #[tokio::test(start_paused = true)]
    async fn timeout_in_the_last_round_does_not_hide_the_previous_answer() {
        let deadline = Deadline::within(Duration::from_secs(60));
        let policy = Options::read(br#"{"address":"127.0.0.1:1"}"#).unwrap().retry;
        let mut rounds = Rounds::new(policy, Effort::Until(&deadline));
        let answer = RpcError::temporary(Error::new(Status::Unavailable, "the answer"));
        rounds.next(answer).await.unwrap();
        let timeout = RpcError::permanent(Error::new(Status::Timeout, "gave up"));
        let error = rounds.next(timeout).await.unwrap_err().error;
        assert_eq!((error.status(), error.message()), (Status::Unavailable, "the answer; gave up"));
    }
}
