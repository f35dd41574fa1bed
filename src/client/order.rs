//! Keeps the requests of one activity in order: one at a time, and no given-up request arrives after a newer one.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use tokio::{sync::OwnedMutexGuard, time::timeout};

use super::Effort;
use crate::{model::attempt::Target, sys::sync::Mutex, transport::Predecessor};

/// When the table has this many activities, settled ones are removed. The next threshold is twice the number that remains.
const FIRST_SWEEP: usize = 1024;

/// The activities with a request in flight, or with a last request that was given up.
pub struct Order {
    activities: Mutex<Activities>,
    hasher: RandomState,
}

struct Activities {
    /// Keyed by a hash. Activities with the same hash only wait for each other.
    by_hash: HashMap<u64, Arc<tokio::sync::Mutex<Predecessor>>>,
    next_sweep: usize,
}

/// The permission to send requests of one activity. A request that is abandoned under this permission becomes the
/// predecessor of the next request.
pub struct Permit<'a> {
    order: &'a Order,
    key: u64,
    predecessor: OwnedMutexGuard<Predecessor>,
}

impl Default for Order {
    fn default() -> Self {
        let activities = Activities { by_hash: HashMap::new(), next_sweep: FIRST_SWEEP };
        Order { activities: Mutex::new(activities), hasher: RandomState::new() }
    }
}

impl Order {
    /// Waits until no other request of the target's activity is in flight. Returns `None` at the end of the effort.
    pub async fn acquire(&self, target: &Target, effort: Effort<'_>) -> Option<Permit<'_>> {
        let key = self.key(target);
        let activity = self.activities.lock().entry(key);
        let predecessor = match activity.clone().try_lock_owned() {
            Ok(predecessor) => predecessor,
            Err(_) => {
                let locked = timeout(effort.remaining(), activity.lock_owned());
                effort.unless_cancelled(locked).await?.ok()?
            }
        };
        Some(Permit { order: self, key, predecessor })
    }

    /// Returns the same key for all attempts of an activity, by token or by ids.
    fn key(&self, target: &Target) -> u64 {
        match (target.activity(), target) {
            (None, Target::Token(token)) => self.hasher.hash_one(token),
            (activity, _) => self.hasher.hash_one(activity),
        }
    }
}

impl Activities {
    fn entry(&mut self, key: u64) -> Arc<tokio::sync::Mutex<Predecessor>> {
        if self.by_hash.len() >= self.next_sweep {
            // A locked entry has a request in flight.
            self.by_hash.retain(|_, activity| activity.try_lock().map_or(true, |last| !last.is_settled()));
            self.next_sweep = FIRST_SWEEP.max(2 * self.by_hash.len());
        }
        self.by_hash.entry(key).or_default().clone()
    }
}

/// A request in the order of its activity.
pub struct InOrder<'a> {
    /// The activity's last given-up request.
    pub predecessor: &'a mut Predecessor,
    /// Set for a request that isn't retried while a newer one waits.
    activity: Option<Arc<tokio::sync::Mutex<Predecessor>>>,
}

impl<'a> InOrder<'a> {
    /// Creates the order of a read-only request, which needs none.
    pub fn alone(predecessor: &'a mut Predecessor) -> Self {
        InOrder { predecessor, activity: None }
    }

    /// Returns whether a newer request waits, so that this one must not be retried.
    pub fn is_awaited(&self) -> bool {
        // The table, the permit and this request hold one reference each.
        self.activity.as_ref().is_some_and(|activity| Arc::strong_count(activity) > 3)
    }
}

impl Permit<'_> {
    /// Returns the order of an ending, which is retried even if newer requests wait.
    pub fn in_order(&mut self) -> InOrder<'_> {
        InOrder { predecessor: &mut self.predecessor, activity: None }
    }

    /// Returns the order of a heartbeat, which isn't retried while a newer call waits: that has newer details, or
    /// ends the activity.
    pub fn in_order_unless_awaited(&mut self) -> InOrder<'_> {
        let activity = OwnedMutexGuard::mutex(&self.predecessor).clone();
        InOrder { predecessor: &mut self.predecessor, activity: Some(activity) }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut activities = self.order.activities.lock();
        // The table and this permit hold one reference each; any others are waiting calls.
        let is_awaited = Arc::strong_count(OwnedMutexGuard::mutex(&self.predecessor)) > 2;
        if !is_awaited && self.predecessor.is_settled() {
            activities.by_hash.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::{Client, rpc_error::Retry},
        *,
    };
    use crate::{
        config::Options,
        model::{attempt::Ids, status::Status},
        runtime::Runtime,
        transport::TryTime,
    };

    const SOON: Duration = Duration::from_millis(10);

    fn short() -> Effort<'static> {
        Effort::Once(TryTime { answer: SOON, silence: SOON }.start())
    }

    fn target(activity_id: &str) -> Target {
        let ids = Ids { workflow_id: "w".into(), run_id: "r".into(), activity_id: activity_id.into() };
        Target::Checked { ids, attempt: crate::model::attempt::Attempt::default(), token: None }
    }

    #[tokio::test]
    async fn only_requests_of_the_same_activity_wait_for_each_other() {
        let order = Order::default();
        let first = order.acquire(&target("a"), short()).await.unwrap();
        assert!(order.acquire(&target("a"), short()).await.is_none());
        assert!(order.acquire(&target("b"), short()).await.is_some());
        drop(first);
        assert!(order.acquire(&target("a"), short()).await.is_some());
        assert!(
            order.activities.lock().by_hash.is_empty(),
            "nothing is remembered of activities without requests"
        );
    }

    #[tokio::test]
    async fn unused_entries_are_removed() {
        let order = Order::default();
        for number in 0..=FIRST_SWEEP {
            // Like a waiting call that timed out just when the permit was dropped.
            order.activities.lock().entry(number as u64);
        }
        assert_eq!(order.activities.lock().by_hash.len(), 1);
    }

    #[tokio::test]
    async fn request_that_waits_too_long_for_another_is_retryable() {
        let options = Options::read(br#"{"address":"127.0.0.1:1"}"#).unwrap();
        let io_thread = Runtime::new().io_thread();
        let client =
            Client::new(&options, Arc::default(), Arc::default(), io_thread, Arc::default()).unwrap();
        let _other = client.order.acquire(&target("a"), short()).await.unwrap();
        let error = client.heartbeat(&target("a"), None, short()).await.unwrap_err();
        assert_eq!((error.error.status(), error.retry), (Status::Timeout, Retry::Soon));
        assert!(!error.timed_out, "the server isn't slow");
    }
}
