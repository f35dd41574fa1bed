//! Retries requests that must not be retried without a new check of the activity.

use super::{
    Effort,
    backoff::Backoff,
    rpc_error::{Retry, RpcError},
};
use crate::config::RetryPolicy;

/// The rounds of one call. Each round checks the activity and sends a request. Requests by token are retried within a
/// round, by [`super::retry`]. Requests by ids, and those with an unproven NOT_FOUND, are retried in a new round.
pub struct Rounds {
    effort: Effort,
    policy: RetryPolicy,
    failed: u32,
    outcome_unknown: bool,
    connection_aborted: bool,
}

impl Rounds {
    /// Creates the state before the first round.
    pub fn new(policy: RetryPolicy, effort: Effort) -> Self {
        Rounds { effort, policy, failed: 0, outcome_unknown: false, connection_aborted: false }
    }

    /// Waits until the next round may begin. Returns the error of the last round if there is no next one.
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
                tokio::time::sleep(pause).await;
                Ok(())
            }
            _ => Err(RpcError {
                outcome_unknown: self.outcome_unknown,
                connection_aborted: self.connection_aborted,
                ..error
            }),
        }
    }
}
