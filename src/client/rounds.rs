//! Repeats what must not be repeated without another look at the activity.

use super::Effort;
use crate::{
    client::{
        retry::Pauses,
        rpc_error::{Cure, Setback},
    },
    config::Retry,
};

/// The rounds of one call, each a look at the activity and a request. Requests by token are repeated within a round, by
/// [`crate::client::retry`]; requests by ids, and those that got an unproven NOT_FOUND, are repeated here.
pub struct Rounds {
    effort: Effort,
    pauses: Pauses,
    left: u32,
    perhaps_applied: bool,
    aborted: bool,
}

impl Rounds {
    /// Before the first round.
    pub fn new(policy: Retry, effort: Effort) -> Self {
        Rounds {
            effort,
            pauses: Pauses::new(policy),
            left: policy.max_tries,
            perhaps_applied: false,
            aborted: false,
        }
    }

    /// Waits until the next round may begin. The error when there is none: what the last round failed with.
    pub async fn next(&mut self, failed: Setback) -> Result<(), Setback> {
        self.left = self.left.saturating_sub(1);
        self.perhaps_applied |= failed.perhaps_applied;
        self.aborted |= failed.aborted;
        let pause = match (failed.cure, self.effort) {
            (Cure::None | Cure::Renewal, _) | (_, Effort::Once(_)) => None,
            (Cure::Retry, Effort::Until(deadline)) => Some((self.pauses.next(), deadline)),
            (Cure::RetrySlowly, Effort::Until(deadline)) => Some((self.pauses.next_slow(), deadline)),
        };
        match pause {
            Some((pause, deadline)) if self.left > 0 && pause < deadline.remaining() => {
                tokio::time::sleep(pause).await;
                Ok(())
            }
            _ => Err(Setback { perhaps_applied: self.perhaps_applied, aborted: self.aborted, ..failed }),
        }
    }
}
