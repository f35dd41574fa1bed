//! What was recorded and not sent yet goes out before the process ends.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{Activities, handle::Handle};
use crate::sys::clock::Moment;

/// How long the end of the process may be held up by that.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// How long the end of the process waits for tries that don't bring the newest record.
const GRACE: Duration = Duration::from_millis(500);
/// How often the thread that ends the process looks whether it is done.
const LOOK: Duration = Duration::from_millis(1);

/// Between the thread that ends the process and the one that sends. Only atomics: the thread may be in a signal handler that has
/// interrupted one of our functions, whatever that has locked.
#[derive(Default)]
pub struct ExitFlush {
    wanted: AtomicBool,
    /// Tries that don't bring the newest record are to be given up.
    is_urgent: AtomicBool,
    done: AtomicBool,
}

/// The sender's part.
#[derive(Default)]
pub struct PendingExit {
    begun: bool,
    is_urgent: bool,
    /// Those with something to send, as far as it isn't known that they have sent it: each with its newest record then, for other
    /// threads may record on.
    unsent: Vec<(Handle, u64)>,
}

impl Activities {
    /// Waits until the sender has sent what was recorded, or can't; but not for long.
    pub fn leave(&self) {
        self.exit_flush.wanted.store(true, Ordering::Release);
        self.wake_queue.wake();
        let (grace_end, end) = (Instant::now() + GRACE, Instant::now() + PATIENCE);
        let over = || self.exit_flush.done.load(Ordering::Acquire) || self.is_disconnected();
        while !over() && Instant::now() < end {
            if Instant::now() >= grace_end && !self.exit_flush.is_urgent.swap(true, Ordering::AcqRel) {
                self.wake_queue.wake();
            }
            thread::sleep(LOOK);
        }
    }

    /// Sends what was recorded, if the process is about to end. Called by the sender again and again.
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

    /// Has the newest record of each activity sent. Returns the activities with the numbers of those records.
    pub(super) fn request_flush_of_all(&self) -> Vec<(Handle, u64)> {
        let mut newest_records = Vec::new();
        for handle in self.registry.handles() {
            // One that was closed has nothing to send.
            let Ok(newest) = self.registry.with(handle, |activity| activity.newest_record()) else {
                continue;
            };
            newest_records.push((handle, newest));
            self.request_flush(handle);
        }
        newest_records
    }

    /// Whether this record, or a newer one, may still reach the server.
    pub(super) fn is_unsent(&self, handle: Handle, record: u64) -> bool {
        let unsent = self.registry.with(handle, |activity| {
            matches!(activity.is_flushed_to(record), Ok(false)) && activity.check_flush().is_ok()
        });
        unsent.unwrap_or(false)
    }

    /// Has the sender look at all of them, if it has forgotten where it was.
    pub fn wake_all(&self) {
        for handle in self.registry.handles() {
            self.wake_at(handle, Moment::now());
        }
    }
}
