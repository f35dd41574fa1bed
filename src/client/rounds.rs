//! Repeats what must not be repeated without another look at the activity.

use super::{
    Effort,
    backoff::Backoff,
    rpc_error::{Retry, RpcError},
};
use crate::config::RetryPolicy;

/// The rounds of one call, each a look at the activity and a request. Requests by token are repeated within a round, by
/// [`super::retry`]; requests by ids, and those that got an unproven NOT_FOUND, are repeated here.
pub struct Rounds {
    effort: Effort,
    policy: RetryPolicy,
    failed: u32,
    outcome_unknown: bool,
    connection_aborted: bool,
}

impl Rounds {
    /// Before the first round.
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
