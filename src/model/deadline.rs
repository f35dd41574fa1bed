//! Timeouts and deadlines of calls.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use crate::{
    model::{
        error::{Error, Result},
        status::Status,
    },
    sys::{clock::Instant, sync::Notify},
};

/// The `timeout_ms` of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// Never waits: checks the arguments and sends nothing.
    Zero,
    /// At most this long, retries included.
    Within(Duration),
    /// Without limit.
    Forever,
}

impl Timeout {
    /// The `timeout_ms` without limit.
    pub const FOREVER_MS: u32 = u32::MAX;
    /// The longest limited `timeout_ms`.
    pub const MAX_MS: u32 = i32::MAX as u32;

    /// Parses a `timeout_ms`.
    pub fn from_ms(timeout_ms: u32) -> Result<Self> {
        match timeout_ms {
            0 => Ok(Timeout::Zero),
            Self::FOREVER_MS => Ok(Timeout::Forever),
            ms if ms <= Self::MAX_MS => Ok(Timeout::Within(Duration::from_millis(ms.into()))),
            ms => Err(Error::argument(format!(
                "timeout_ms is {ms}: it must be at most {}, or {} (THB_FOREVER)",
                Self::MAX_MS,
                Self::FOREVER_MS
            ))),
        }
    }

    /// Returns the deadline of a call that starts now; `None` for [`Timeout::Zero`].
    pub fn start(self) -> Option<Deadline> {
        match self {
            Timeout::Zero => None,
            Timeout::Within(time) => Some(Deadline::within(time)),
            Timeout::Forever => Some(Deadline { end: None, cancellation: None }),
        }
    }

    /// Returns the deadline of a call that must send a request. Fails for [`Timeout::Zero`].
    pub fn start_sending(self) -> Result<Deadline> {
        let nothing = || Error::new(Status::Timeout, "the timeout is 0: nothing was sent");
        self.start().ok_or_else(nothing)
    }

    /// Returns the deadline of a call that waits for an event. [`Timeout::Zero`] polls.
    pub fn start_waiting(self) -> Deadline {
        self.start().unwrap_or(Deadline::within(Duration::ZERO))
    }
}

/// The time at which a call must end, if there is a limit. A cancellation ends it earlier.
#[derive(Clone, Debug)]
pub struct Deadline {
    end: Option<Instant>,
    cancellation: Option<Arc<Cancellation>>,
}

impl Deadline {
    /// Creates a deadline `time` from now.
    pub fn within(time: Duration) -> Self {
        Deadline { end: Instant::now().checked_add(time), cancellation: None }
    }

    /// Gives the deadline, and all clones that are made from now on, a cancellation.
    pub fn cancellation(&mut self) -> &Arc<Cancellation> {
        self.cancellation.get_or_insert_default()
    }

    /// Returns the remaining time; [`Duration::MAX`] without limit, zero after a cancellation.
    pub fn remaining(&self) -> Duration {
        if self.cancellation.as_ref().is_some_and(|cancellation| cancellation.is_cancelled()) {
            return Duration::ZERO;
        }
        self.end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()))
    }

    /// Runs `work` until it ends. Returns `None` if the deadline is cancelled first; `work` keeps the time itself.
    pub async fn unless_cancelled<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let cancellation = self.cancellation.as_ref().filter(|cancellation| cancellation.is_shared());
        let Some(cancellation) = cancellation else { return Some(work.await) };
        unless_stopped(pin!(work), cancellation.cancelled()).await
    }
}

/// Runs `work` until it ends. Returns `None` if `stop` ends first. `work` is pinned, because moving a large future costs
/// time.
pub async fn unless_stopped<T>(
    mut work: Pin<&mut impl Future<Output = T>>,
    stop: impl Future<Output = ()>,
) -> Option<T> {
    let mut stop = pin!(stop);
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => stop.as_mut().poll(context).map(|()| None),
    })
    .await
}

/// Cancels a call: the call ends as if its deadline had passed.
#[derive(Debug, Default)]
pub struct Cancellation {
    cancelled: AtomicBool,
    changed: Notify,
    /// Whether a caller can cancel the call. Otherwise the call needn't watch for it.
    is_shared: AtomicBool,
    /// Whether the call has begun.
    pub start: Start,
}

/// Something that begins, unless it is prevented before.
#[derive(Debug, Default)]
pub struct Start {
    /// Whether it has begun, or was prevented: whichever came first.
    is_decided: AtomicBool,
}

impl Start {
    /// Begins. Returns whether it may, because no caller has prevented it.
    pub fn begin(&self) -> bool {
        self.decide()
    }

    /// Prevents it from beginning. Returns whether that was in time.
    pub fn prevent(&self) -> bool {
        self.decide()
    }

    /// Returns whether this is the first decision.
    fn decide(&self) -> bool {
        !self.is_decided.swap(true, Ordering::AcqRel)
    }
}

impl Cancellation {
    /// Lets the caller of this function cancel the call. Must be called before the call begins.
    pub fn share(self: &Arc<Self>) -> Arc<Self> {
        self.is_shared.store(true, Ordering::Release);
        self.clone()
    }

    fn is_shared(&self) -> bool {
        self.is_shared.load(Ordering::Acquire)
    }

    /// Cancels the call. Has no effect on a call that has ended.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    async fn cancelled(&self) {
        // Created before the check, so that no cancellation is missed.
        let changed = self.changed.notified();
        if !self.is_cancelled() {
            changed.await;
        }
    }
}
