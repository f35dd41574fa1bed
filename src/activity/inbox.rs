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
pub struct Inbox {
    notes: Mutex<Vec<(Moment, Handle)>>,
    wake: Notify,
}

impl Inbox {
    /// Has the sender look at an activity at a time.
    pub fn put(&self, due: Moment, handle: Handle) {
        if due == Moment::NEVER {
            return;
        }
        let first = {
            let mut notes = self.notes();
            notes.push((due, handle));
            notes.len() == 1
        };
        if first {
            self.wake();
        }
    }

    /// Takes all that was put.
    pub fn take(&self) -> Vec<(Moment, Handle)> {
        std::mem::take(&mut *self.notes())
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

    fn notes(&self) -> MutexGuard<'_, Vec<(Moment, Handle)>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
