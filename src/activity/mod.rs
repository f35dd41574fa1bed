//! Activities held open: what is known of them, by handle. Nothing here knows_details of the client or of the network: `pulse`, beside this
//! folder, sends what is due, and `held` is what the process can do.
//!
//! | file | what it does |
//! |---|---|
//! | `options` | reads how an activity is to be held |
//! | `handle`, `registry` | numbers that stand for open activities, and where those are |
//! | `schedule` | when to beat: arithmetic |
//! | `access` | how the server knows_details one: by its token or by its ids |
//! | `state` | one activity: the rules of lease, throttle and pulse |
//! | `wake_queue` | what others leave for the one who sends |
//! | `watch` | one waiter for many |
//! | `news` | what those who look on are told |
//! | `exit_flush` | the last beats of a process that ends |
//! | `calls` | what the holder's calls do: record, close, end |
//! | `info` | what can be told about one, as JSON |

pub mod address;
mod calls;
mod due_queue;
mod exit_flush;
pub mod handle;
mod info;
pub mod options;
pub mod registry;
mod schedule;
pub mod scheduler;
mod signal_log;
pub mod state;
pub mod wake_queue;
pub mod watch;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    client::payload_policy::PayloadPolicy,
    model::{
        deadline::{Deadline, Timeout},
        error::{Error, Result},
        status::Status,
    },
    sys::{self, clock::Moment, sync::Notify},
    telemetry::Telemetry,
};
use exit_flush::ExitFlush;
pub use exit_flush::PendingExit;
use handle::Handle;
use registry::{Checked, Registry};
use state::WaitingCall;
use wake_queue::WakeQueue;
use watch::Watches;

/// The longest that a waiter sleeps before it looks again, for the sake of times that pass unnoticed while the machine is suspended.
pub const LONGEST_NAP: Duration = Duration::from_secs(1);

/// How long a flush of all activities waits for one of them before it examines them all again.
const FLUSH_ROUND: Duration = Duration::from_millis(100);
/// How long a request in flight may last after its handle was closed: it would keep the next call of the activity waiting.
const TRY_AFTER_CLOSE: Duration = Duration::from_millis(500);

/// What the process holds open. It outlives the client, and is empty without one.
pub struct Activities {
    /// The open ones.
    pub registry: Registry,
    /// When they are due.
    pub wake_queue: WakeQueue,
    /// Who wants to hear of their signals.
    pub watches: Watches,
    /// What they may send.
    pub rules: Arc<PayloadPolicy>,
    /// Who counts, and is told what happens.
    pub telemetry: Arc<Telemetry>,
    /// Wakes the requests in flight, to look whether they are given up.
    give_up: Notify,
    disconnected: AtomicBool,
    exit_flush: ExitFlush,
}

impl Activities {
    /// None, in a process that was forked this often.
    pub fn new(fork: u32, telemetry: Arc<Telemetry>) -> Self {
        Activities {
            registry: Registry::new(fork),
            wake_queue: WakeQueue::default(),
            watches: Watches::default(),
            rules: Arc::default(),
            telemetry,
            give_up: Notify::new(),
            disconnected: AtomicBool::new(true),
            exit_flush: ExitFlush::default(),
        }
    }

    /// There is a client that sends for them. Returns the number of its sender.
    pub fn connected(&self) -> u32 {
        self.disconnected.store(false, Ordering::Release);
        self.wake_queue.begin()
    }

    fn is_disconnected(&self) -> bool {
        self.disconnected.load(Ordering::Acquire)
    }

    /// Has the scheduler look at an activity at a time.
    pub fn wake_at(&self, handle: Handle, due: Moment) {
        self.wake_queue.put(due, handle);
    }

    /// Sends what all activities have recorded, until the deadline.
    pub fn flush_all(&self, timeout: Timeout) {
        let Some(deadline) = timeout.start() else { return };
        let call = WaitingCall::new(Moment::now(), deadline.remaining());
        let mut unsent = self.request_flush_of_all();
        loop {
            // In each round all are examined: one whose try brings nothing must not wait until the ones before it are done.
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
            let _ = self.registry.wait(*handle, Deadline::within(left.min(FLUSH_ROUND)), |activity| {
                let is_done = activity.is_flushed_to(*newest)?;
                Ok(if is_done { Checked::Found(()) } else { Checked::Again(FLUSH_ROUND) })
            });
        }
    }

    /// Closes all activities: there is no client any more that sends for them.
    pub fn close_all(&self) {
        self.disconnected.store(true, Ordering::Release);
        for handle in self.registry.handles() {
            // Another thread may have closed it already.
            let _ = self.registry.remove(handle);
        }
        self.watches.close_all();
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

    /// Sends what an activity has recorded without waiting for its time, and waits until the server has it.
    pub fn flush(&self, handle: Handle, deadline: Deadline) -> Result<()> {
        let newest = self.registry.with(handle, |activity| activity.newest_record())?;
        self.request_flush(handle);
        let mut why = None;
        let call = WaitingCall::new(Moment::now(), deadline.remaining());
        let flushed = self.registry.wait(handle, deadline, |activity| {
            why = activity.last_error().cloned();
            if activity.is_flushed_to(newest)? {
                return Ok(Checked::Found(()));
            }
            activity.check_flush()?;
            let until_given_up = activity.give_up_for_record(newest, call, Moment::now());
            Ok(Checked::Again(self.nap(until_given_up)))
        });
        self.woken(flushed)?
            .ok_or_else(|| Error::out_of_time(why, "what was recorded isn't acknowledged yet"))
    }

    /// Sends a beat, with what is known, without waiting for its time, and waits until the server has acknowledged it.
    pub fn beat(&self, handle: Handle, deadline: Deadline) -> Result<()> {
        self.registry.with(handle, |activity| activity.request_beat(Moment::now()))??;
        self.flush(handle, deadline)
    }

    /// How long a call sleeps that waits for a try, which it gives up after `time`; `None`: it has done so, or there is no try.
    pub fn nap(&self, time: Option<Duration>) -> Duration {
        if time.is_none() {
            self.wake_tries();
        }
        time.map_or(LONGEST_NAP, |time| time.min(LONGEST_NAP))
    }

    /// Has the requests in flight look whether they are given up.
    pub fn wake_tries(&self) {
        // As in `WakeQueue::wake`.
        sys::cancellation::postponed(|| self.give_up.notify_waiters());
    }

    /// Returns when the try in flight of an activity is to be given up: it keeps a call waiting, or the handle was closed.
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

    /// A handle that was closed by a disconnect, while somebody waited for its activity, is no mistake of theirs.
    pub fn woken<T>(&self, waited: Result<T>) -> Result<T> {
        waited.map_err(|error| match error.status() {
            Status::InvalidHandle if self.is_disconnected() => {
                Error::new(Status::NotConnected, "the client was disconnected, which closed the handle")
            }
            _ => error,
        })
    }
}
