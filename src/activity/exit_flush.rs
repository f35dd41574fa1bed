//! Sends unsent records before the process ends.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{Activities, handle::Handle};
use crate::sys::clock::Moment;

/// The longest time for which this may delay the end of the process.
pub const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the exiting thread waits for tries that don't carry the newest record.
const GRACE: Duration = Duration::from_millis(500);
/// How often the exiting thread checks whether the flush is done.
const LOOK: Duration = Duration::from_millis(1);

/// Shared by the exiting thread and the sender. All atomics: the exiting thread may be in a signal handler that has
/// interrupted a function of the library which holds locks.
#[derive(Default)]
pub struct ExitFlush {
    wanted: AtomicBool,
    /// Whether tries that don't carry the newest record must be given up.
    is_urgent: AtomicBool,
    done: AtomicBool,
}

/// The sender's state of the exit flush.
#[derive(Default)]
pub struct PendingExit {
    begun: bool,
    is_urgent: bool,
    /// Activities with a possibly unsent record, each with its newest record at the start of the flush.
    /// Other threads may add records later; those don't count.
    unsent: Vec<(Handle, u64)>,
}

impl Activities {
    /// Waits until the sender has sent the records or can't send them, and no calls run, for at most [`FLUSH_TIMEOUT`].
    pub fn leave(&self, calls_run: impl Fn() -> bool) {
        self.exit_flush.wanted.store(true, Ordering::Release);
        self.wake_queue.wake();
        let (grace_end, end) = (Instant::now() + GRACE, Instant::now() + FLUSH_TIMEOUT);
        let is_flushed = || self.exit_flush.done.load(Ordering::Acquire) || self.is_disconnected();
        while (calls_run() || !is_flushed()) && Instant::now() < end {
            if Instant::now() >= grace_end && !self.exit_flush.is_urgent.swap(true, Ordering::AcqRel) {
                self.wake_queue.wake();
            }
            thread::sleep(LOOK);
        }
    }

    /// Sends unsent records if the process is about to end. The sender calls this repeatedly.
    pub fn flush_at_exit(&self, leaving: &mut PendingExit) {
        if !self.exit_flush.wanted.load(Ordering::Acquire) {
            return;
        }
        if !leaving.begun {
            leaving.begun = true;
            leaving.unsent = self.request_flush_of_all();
        }
        if !leaving.is_urgent && self.exit_flush.is_urgent.load(Ordering::Acquire) {
            leaving.is_urgent = true;
            for (handle, newest) in &leaving.unsent {
                let _ = self.registry.with(*handle, |activity| activity.give_up_unless_it_brings(*newest));
            }
            self.wake_tries();
        }
        while leaving.unsent.pop_if(|(handle, newest)| !self.is_unsent(*handle, *newest)).is_some() {}
        if leaving.unsent.is_empty() {
            self.exit_flush.done.store(true, Ordering::Release);
        }
    }

    /// Requests a flush of each activity. Returns the activities with the number of their newest record.
    pub(super) fn request_flush_of_all(&self) -> Vec<(Handle, u64)> {
        let mut newest_records = Vec::new();
        for handle in self.registry.handles() {
            // A closed activity has nothing to send.
            let Ok(newest) = self.registry.with(handle, |activity| activity.newest_record()) else {
                continue;
            };
            newest_records.push((handle, newest));
            self.request_flush(handle);
        }
        newest_records
    }

    /// Returns whether this record, or a newer one, may still reach the server.
    pub(super) fn is_unsent(&self, handle: Handle, record: u64) -> bool {
        let unsent = self.registry.with(handle, |activity| {
            matches!(activity.is_flushed_to(record), Ok(false)) && activity.check_flush().is_ok()
        });
        unsent.unwrap_or(false)
    }

    /// Makes the scheduler examine all activities, because its own list of due activities is lost.
    pub fn wake_all(&self) {
        for handle in self.registry.handles() {
            self.wake_at(handle, Moment::now());
        }
    }
}
