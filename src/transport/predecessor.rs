//! The request of an activity that was given up last, and that must not arrive after the next one.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::liveness::Liveness;

/// What has to be waited for before the next request of an activity is sent.
#[derive(Default)]
pub struct Predecessor(Option<GivenUp>);

struct GivenUp {
    connection: Arc<Liveness>,
    at: Instant,
}

impl Predecessor {
    /// Notes that a request was given up on a connection, now.
    pub(super) fn set(&mut self, connection: &Arc<Liveness>) {
        self.0 = Some(GivenUp { connection: connection.clone(), at: Instant::now() });
    }

    /// Whether the next request may be sent on any connection.
    pub fn is_settled(&self) -> bool {
        self.0.as_ref().is_none_or(|given_up| given_up.connection.is_settled(given_up.at))
    }

    /// Returns when a request may be sent on the connection `next`: at once if the one that was given up is on the same connection, where
    /// the order is kept. Otherwise when the other connection can't deliver it any more; after `patience` that connection is aborted.
    pub(super) async fn settle(&mut self, next: &Arc<Liveness>, patience: Duration) {
        if self.is_settled() {
            self.0 = None;
        }
        if let Some(given_up) = &self.0
            && !Arc::ptr_eq(&given_up.connection, next)
        {
            given_up.connection.settle(given_up.at, patience).await;
            self.0 = None;
        }
    }
}
