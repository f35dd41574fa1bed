//! What others leave for the one who sends.

use std::sync::PoisonError;

use super::handle::Handle;
use crate::sys::{
    self,
    clock::Moment,
    sync::{Mutex, MutexGuard, Notify},
};

/// What the sender is told: which activity to look at, and when.
#[derive(Default)]
pub struct WakeQueue {
    notes: Mutex<Notes>,
    wake: Notify,
}

/// Which activities to look at, and who may take that.
#[derive(Default)]
struct Notes {
    sender: u32,
    list: Vec<(Moment, Handle)>,
}

impl WakeQueue {
    /// Returns the number of a new sender, which replaces the one before. That one may still run for a moment after its connection
    /// was ended, and must take nothing that belongs to the next connection.
    pub fn begin(&self) -> u32 {
        let mut notes = self.notes();
        notes.sender = notes.sender.wrapping_add(1);
        notes.sender
    }

    /// Has the sender look at an activity at a time.
    pub fn put(&self, due: Moment, handle: Handle) {
        if due == Moment::NEVER {
            return;
        }
        let first = {
            let mut notes = self.notes();
            notes.list.push((due, handle));
            notes.list.len() == 1
        };
        if first {
            self.wake();
        }
    }

    /// Takes all that was put. `None` for a sender that was replaced, which then ends.
    pub fn take(&self, sender: u32) -> Option<Vec<(Moment, Handle)>> {
        let mut notes = self.notes();
        if notes.sender != sender {
            drop(notes);
            // The wake-up was meant for the sender of now.
            self.wake();
            return None;
        }
        Some(std::mem::take(&mut notes.list))
    }

    /// Has the sender look at what else there is.
    pub fn wake(&self) {
        // Who records calls this, and it may write to a descriptor, at which a thread can be cancelled.
        sys::cancellation::postponed(|| self.wake.notify_one());
    }

    /// Waits until there is something.
    pub async fn filled(&self) {
        self.wake.notified().await;
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
