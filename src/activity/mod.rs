//! Activities held open, by handle. Nothing here depends on the network: `scheduler` sends what is due through
//! `client`.
//!
//! | file | what it does |
//! |---|---|
//! | `options` | reads the options of open |
//! | `handle`, `registry` | the handles of open activities, and where those are stored |
//! | `handle_table` | where watches, queues and workers are stored |
//! | `schedule` | when to beat: arithmetic |
//! | `address` | how the server identifies an activity: by token or by ids |
//! | `state` | one activity: the rules of lease, throttle and pulse |
//! | `wake_queue` | wake-ups for the scheduler |
//! | `due_queue` | when the scheduler must examine which activity |
//! | `scheduler` | sends what is due |
//! | `follow` | long polls, which show a cancellation at once |
//! | `watch` | one waiter for many activities |
//! | `stall`, `stall_options`, `stack_text` | missing progress: its options and its report |
//! | `signal_log` | logs and counts changes of signals |
//! | `exit_flush` | the last beats of a process that ends |
//! | `info` | the report on an activity, as JSON |

pub mod address;
mod calls;
mod due_queue;
pub mod ending_call;
mod exit_flush;
mod follow;
pub mod handle;
pub mod handle_table;
mod info;
pub mod options;
pub mod registry;
mod schedule;
pub mod scheduler;
mod signal_log;
mod stack_text;
mod stall;
pub mod stall_options;
pub mod state;
pub mod wake_queue;
pub mod watch;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::time::timeout;

use crate::{
    client::{in_doubt::InDoubt, payload_policy::PayloadPolicy},
    model::{
        deadline::Deadline,
        error::{Error, Result},
        status::Status,
    },
    sys::{self, clock::Moment, sync::Notify},
    telemetry::Telemetry,
};
use exit_flush::ExitFlush;
pub use exit_flush::PendingExit;
use follow::Followers;
use handle::Handle;
use registry::{Checked, Registry};
use stall::Stacks;
use state::WaitingCall;
use wake_queue::WakeQueue;
use watch::Watches;

/// The longest sleep of a waiting call. It then checks the clock, because timers don't advance while the machine is
/// suspended.
pub const LONGEST_NAP: Duration = Duration::from_secs(1);

/// How long a flush of all activities waits for one of them before it examines all of them again.
const FLUSH_ROUND: Duration = Duration::from_millis(100);
/// How long a request in flight may last after its handle was closed, since it delays the activity's next call.
const TRY_AFTER_CLOSE: Duration = Duration::from_millis(500);

/// The beginning of a call.
#[derive(Clone, Copy)]
pub struct Began {
    closings: u32,
}

/// The activities that the process holds open. They outlive the client; without one there are none.
pub struct Activities {
    /// The open activities.
    pub registry: Registry,
    /// When to examine them.
    pub wake_queue: WakeQueue,
    /// The long polls that follow them.
    pub followers: Followers,
    /// The watches of their signals.
    pub watches: Watches,
    /// The payloads that may be sent.
    pub rules: Arc<PayloadPolicy>,
    /// The activities that an ending call without an answer may have ended.
    pub in_doubt: Arc<InDoubt>,
    /// The process's metrics and log.
    pub telemetry: Arc<Telemetry>,
    /// Makes the requests in flight check whether they are given up.
    give_up: Notify,
    /// Wakes tasks that end when their handle is closed.
    closed: Notify,
    disconnected: AtomicBool,
    /// Counts the beginnings and the ends of [`Activities::close_all`].
    closings: AtomicU32,
    exit_flush: ExitFlush,
    stacks: Stacks,
}

impl Activities {
    /// Creates an empty set, for a process with this fork count.
    pub fn new(fork: u32, telemetry: Arc<Telemetry>) -> Self {
        Activities {
            registry: Registry::new(fork),
            wake_queue: WakeQueue::default(),
            followers: Followers::default(),
            watches: Watches::new(fork),
            rules: Arc::default(),
            in_doubt: Arc::default(),
            telemetry,
            give_up: Notify::new(),
            closed: Notify::new(),
            disconnected: AtomicBool::new(true),
            closings: AtomicU32::new(0),
            exit_flush: ExitFlush::default(),
            stacks: Stacks::default(),
        }
    }

    /// Registers a new client that sends for the activities. Returns the number of its sender.
    pub fn connected(&self) -> u32 {
        self.disconnected.store(false, Ordering::Release);
        self.followers.begin();
        self.wake_queue.begin()
    }

    /// Notes that no client sends for the activities any more.
    pub fn disconnected(&self) {
        self.disconnected.store(true, Ordering::Release);
    }

    fn is_disconnected(&self) -> bool {
        self.disconnected.load(Ordering::Acquire)
    }

    /// Returns the metrics in the Prometheus text format.
    pub fn exposition(&self) -> String {
        self.telemetry.exposition(self.registry.open(), self.followers.count())
    }

    /// Makes the scheduler examine an activity at a time.
    pub fn wake_at(&self, handle: Handle, due: Moment) {
        self.wake_queue.put(due, handle);
    }

    /// Sends what all activities have recorded, until the deadline.
    pub async fn flush_all(&self, deadline: &Deadline) {
        let call = WaitingCall::new(Moment::now(), deadline.remaining());
        let mut unsent = self.request_flush_of_all();
        loop {
            // Each round examines all activities, so that a failed try is noticed while earlier activities still wait.
            unsent.retain(|(handle, newest)| self.is_unsent(*handle, *newest));
            for (handle, newest) in &unsent {
                let _ = self
                    .registry
                    .with(*handle, |activity| activity.give_up_for_record(*newest, call, Moment::now()));
            }
            self.wake_tries();
            let Some((handle, newest)) = unsent.last() else { return };
            let left = deadline.remaining();
            if left.is_zero() {
                return;
            }
            let is_flushed = self.registry.wait(*handle, deadline, |activity| {
                let is_done = activity.is_flushed_to(*newest)?;
                Ok(if is_done { Checked::Found(()) } else { Checked::Again(FLUSH_ROUND) })
            });
            let _ = timeout(FLUSH_ROUND, is_flushed).await;
        }
    }

    /// Closes all activities, because no client sends for them any more.
    pub fn close_all(&self) {
        self.disconnected();
        self.closings.fetch_add(1, Ordering::AcqRel);
        for handle in self.registry.handles() {
            // Another thread may already have closed it.
            let _ = self.registry.remove(handle);
        }
        self.followers.close_all();
        self.watches.close_all();
        self.closings.fetch_add(1, Ordering::AcqRel);
    }

    fn request_flush(&self, handle: Handle) {
        let due = self.registry.with(handle, |activity| {
            let unsent = matches!(activity.is_flushed(), Ok(false));
            (unsent && activity.request_flush(Moment::now())).then(|| activity.due())
        });
        if let Ok(Some(due)) = due {
            self.wake_at(handle, due);
        }
    }

    /// Sends an activity's newest record at once, and waits until the server has acknowledged it.
    pub async fn flush(&self, handle: Handle, deadline: &Deadline) -> Result<()> {
        let newest = self.registry.with(handle, |activity| activity.newest_record())?;
        self.request_flush(handle);
        let (mut why, mut is_ready) = (None, true);
        let call = WaitingCall::new(Moment::now(), deadline.remaining());
        let flushed = self.registry.wait(handle, deadline, |activity| {
            (why, is_ready) = (activity.last_error().cloned(), activity.is_ready());
            if activity.is_flushed_to(newest)? {
                return Ok(Checked::Found(()));
            }
            activity.check_flush()?;
            let until_given_up = activity.give_up_for_record(newest, call, Moment::now());
            Ok(Checked::Again(self.nap(until_given_up)))
        });
        flushed.await?.ok_or_else(|| {
            Error::out_of_time(
                why,
                match is_ready {
                    true => "the newest record isn't acknowledged yet",
                    false => "the codec hasn't encoded the newest record yet",
                },
            )
        })
    }

    /// Waits until the codec has encoded the newest record.
    pub async fn encode_newest(&self, handle: Handle, deadline: &Deadline) -> Result<()> {
        if self.registry.with(handle, |activity| activity.is_ready())? {
            return Ok(());
        }
        self.request_flush(handle);
        let mut why = None;
        let encoded = self.registry.wait(handle, deadline, |activity| {
            why = activity.last_error().cloned();
            // The codec isn't asked for an activity that is over.
            if activity.is_ready() || activity.is_over() {
                return Ok(Checked::Found(()));
            }
            activity.check_flush()?;
            Ok(Checked::Again(LONGEST_NAP))
        });
        encoded.await?.ok_or_else(|| {
            Error::out_of_time(
                why,
                "the codec hasn't encoded the newest record, so the activity wasn't ended",
            )
        })
    }

    /// Returns how long a waiting call sleeps before it abandons the try in flight. `None`: there is no try to abandon.
    pub fn nap(&self, time: Option<Duration>) -> Duration {
        if time.is_none() {
            self.wake_tries();
        }
        time.map_or(LONGEST_NAP, |time| time.min(LONGEST_NAP))
    }

    /// Makes the requests in flight check whether they must be given up.
    pub fn wake_tries(&self) {
        // Postponed for the same reason as in `WakeQueue::wake`.
        sys::cancellation::postponed(|| self.give_up.notify_waiters());
    }

    /// Returns when the activity's try in flight must be given up: it delays a waiting call, or the handle was
    /// closed.
    pub async fn until_given_up(&self, handle: Handle) {
        loop {
            let woken = self.give_up.notified();
            match self.registry.with(handle, |activity| activity.is_given_up()) {
                Ok(false) => woken.await,
                Ok(true) => return,
                Err(_) => return tokio::time::sleep(TRY_AFTER_CLOSE).await,
            }
        }
    }

    /// Returns when a handle was closed. Doesn't wait for [`Activities::wake_tries`], because a waiting call calls that in the
    /// same task and would wake itself without end.
    async fn until_closed(&self, handle: Handle) {
        loop {
            let woken = self.closed.notified();
            if self.registry.with(handle, |_| ()).is_err() {
                return;
            }
            woken.await;
        }
    }

    /// Notes the beginning of a call, for [`Activities::explain`].
    pub fn begin_call(&self) -> Began {
        Began { closings: self.closings.load(Ordering::Acquire) }
    }

    /// Replaces the invalid-handle error of a call if a disconnect closed handles during the call: that isn't the caller's
    /// mistake. The process may already be connected again.
    pub fn explain(&self, began: Began, error: Error) -> Error {
        match error.status() {
            Status::InvalidHandle if self.has_closed_since(began) => {
                Error::new(Status::NotConnected, "the client was disconnected, which closed the handle")
            }
            _ => error,
        }
    }

    /// Returns whether a disconnect has closed handles since.
    fn has_closed_since(&self, began: Began) -> bool {
        let is_closing = began.closings % 2 == 1;
        is_closing || self.closings.load(Ordering::Acquire) != began.closings
    }
}
