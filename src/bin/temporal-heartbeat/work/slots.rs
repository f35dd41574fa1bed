//! How many commands may run at once, and how many more are to be taken.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The slots of a worker.
pub struct Slots {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    free: usize,
    /// How many more tasks are to be taken; `None` without end.
    left: Option<u64>,
    /// Slots whose task is being waited for.
    polling: usize,
    closed: bool,
}

impl Slots {
    /// So many at once, so many in all.
    pub fn new(slots: usize, tasks: Option<u64>) -> Self {
        let state = State { free: slots, left: tasks, polling: 0, closed: false };
        Slots { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Waits for a free slot and takes it. `None` when no more are to be taken.
    pub fn take(&self) -> Option<Slot<'_>> {
        let mut state = self.lock();
        loop {
            if state.closed || state.left == Some(0) && state.polling == 0 {
                return None;
            }
            if state.free > 0 && state.left != Some(0) {
                state.free -= 1;
                state.polling += 1;
                state.left = state.left.map(|left| left - 1);
                return Some(Slot { slots: self, used: false });
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No more are to be taken.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Whether no more are to be taken, by somebody's word.
    pub fn are_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits, but not when no more are to be taken.
    pub fn pause(&self, time: std::time::Duration) {
        let state = self.lock();
        // To be woken too early by a slot's return is no harm: the next pause is longer.
        let _ = self.changed.wait_timeout_while(state, time, |state| !state.closed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot that was taken; free again when this is dropped.
pub struct Slot<'a> {
    slots: &'a Slots,
    used: bool,
}

impl Slot<'_> {
    /// It has its task.
    pub fn fill(&mut self) {
        self.slots.lock().polling -= 1;
        self.used = true;
        self.slots.changed.notify_all();
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut state = self.slots.lock();
        state.free += 1;
        if !self.used {
            state.polling -= 1;
            state.left = state.left.map(|left| left + 1);
        }
        self.slots.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_without_a_task_is_given_back_with_its_turn() {
        let slots = Slots::new(1, Some(1));
        drop(slots.take().unwrap());
        slots.take().unwrap().fill();
        assert!(slots.take().is_none());
    }

    #[test]
    fn one_that_is_polling_may_still_give_its_turn_to_another() {
        let slots = Slots::new(2, Some(1));
        let first = slots.take().unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| slots.take().is_some());
            drop(first);
            assert!(second.join().unwrap());
        });
    }

    #[test]
    fn closing_wakes_those_who_wait() {
        let slots = Slots::new(1, None);
        let _taken = slots.take().unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| slots.take().is_none());
            slots.close();
            assert!(waiting.join().unwrap());
        });
    }
}
