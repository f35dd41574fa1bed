//! The wake-up queue of the sender task.

use super::handle::Handle;
use crate::sys::{
    self,
    clock::Moment,
    sync::{Mutex, Notify},
};

/// Holds the activities that the sender must examine, and when.
#[derive(Default)]
pub struct WakeQueue {
    notes: Mutex<Notes>,
    wake: Notify,
}

/// The queued wake-ups, and the sender that may take them.
#[derive(Default)]
struct Notes {
    sender: u32,
    list: Vec<(Moment, Handle)>,
}

impl WakeQueue {
    /// Registers a new sender, which replaces the previous one, and returns its number. The previous sender may still
    /// run for a moment after its connection has ended. It must not take wake-ups that belong to the next connection.
    pub fn begin(&self) -> u32 {
        let mut notes = self.notes.lock();
        notes.sender = notes.sender.wrapping_add(1);
        notes.sender
    }

    /// Makes the sender examine an activity at a time.
    pub fn put(&self, due: Moment, handle: Handle) {
        if due == Moment::NEVER {
            return;
        }
        let first = {
            let mut notes = self.notes.lock();
            notes.list.push((due, handle));
            notes.list.len() == 1
        };
        if first {
            self.wake();
        }
    }

    /// Takes all wake-ups. Returns `None` for a sender that was replaced and has to end.
    pub fn take(&self, sender: u32) -> Option<Vec<(Moment, Handle)>> {
        let mut notes = self.notes.lock();
        if notes.sender != sender {
            drop(notes);
            // The current sender should have been woken instead.
            self.wake();
            return None;
        }
        Some(std::mem::take(&mut notes.list))
    }

    /// Wakes the sender, so that it checks everything else it has to do.
    pub fn wake(&self) {
        // The thread that records calls this. It may write to a descriptor, which is a cancellation point.
        sys::cancellation::postponed(|| self.wake.notify_one());
    }

    /// Waits for a wake-up.
    pub async fn filled(&self) {
        self.wake.notified().await;
    }
}
