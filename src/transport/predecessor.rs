//! An activity's last given-up request, which must not arrive after the next one.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::liveness::Liveness;

/// How long a request that was given up on another connection may delay a try: at most this part of its time, and at
/// most this long.
const SETTLE_PART: u32 = 4;
const LONGEST_SETTLE: Duration = Duration::from_secs(1);

/// What the next request of an activity must wait for.
#[derive(Default)]
pub struct Predecessor(Option<GivenUp>);

struct GivenUp {
    connection: Arc<Liveness>,
    /// How many PINGs had been sent on the connection.
    pings: u64,
}

impl Predecessor {
    /// Watches a request on a connection. If the request isn't finished when this is dropped, it counts as given up.
    pub(super) fn watch<'a>(&'a mut self, connection: &'a Arc<Liveness>) -> Watched<'a> {
        Watched { predecessor: self, connection, answered: false }
    }

    /// Returns whether the next request may be sent on any connection.
    pub fn is_settled(&self) -> bool {
        self.0.as_ref().is_none_or(|given_up| given_up.connection.is_settled(given_up.pings))
    }

    /// Waits until a request may be sent on the connection `next`: at once if the given-up request is on the same
    /// connection, which keeps the order. Otherwise until the other connection can't deliver it any more; aborts that
    /// one after a part of the time until `end`, if a PING got no answer. Returns whether that was so before `end`.
    pub(super) async fn settle(&mut self, next: &Arc<Liveness>, end: Instant) -> bool {
        if self.is_settled() {
            self.0 = None;
        }
        let Some(given_up) = self.0.as_ref().filter(|given_up| !Arc::ptr_eq(&given_up.connection, next))
        else {
            return true;
        };
        let max_wait = (end.saturating_duration_since(Instant::now()) / SETTLE_PART).min(LONGEST_SETTLE);
        let settled = given_up.connection.settle(given_up.pings, max_wait);
        if timeout_at(end, settled).await.is_err() {
            return false;
        }
        self.0 = None;
        true
    }
}

/// A request that has begun.
pub struct Watched<'a> {
    predecessor: &'a mut Predecessor,
    connection: &'a Arc<Liveness>,
    answered: bool,
}

impl Watched<'_> {
    /// Notes that the request isn't given up: it was answered, was lost with its connection, or was never sent.
    pub(super) fn finish(mut self) {
        self.answered = true;
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if !self.answered {
            let (connection, pings) = (self.connection.clone(), self.connection.pings());
            self.predecessor.0 = Some(GivenUp { connection, pings });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_dropped_before_its_answer_counts_as_abandoned() {
        let connection = Arc::new(Liveness::default());
        let mut predecessor = Predecessor::default();
        predecessor.watch(&connection).finish();
        assert!(predecessor.is_settled());
        drop(predecessor.watch(&connection));
        assert!(!predecessor.is_settled());
        connection.closed();
        assert!(predecessor.is_settled());
    }
}
