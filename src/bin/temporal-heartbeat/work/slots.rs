//! Limits how many commands run at once, and how many tasks are taken.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The slots of a worker.
pub struct Slots {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    free: usize,
    /// How many tasks may still be taken; `None`: no limit.
    remaining: Option<u64>,
    /// How many slots were taken and have no task yet.
    polling: usize,
    is_closed: bool,
}

impl Slots {
    /// `slots` commands run at once. `tasks` is the most tasks that are taken; `None`: no limit.
    pub fn new(slots: usize, tasks: Option<u64>) -> Self {
        let state = State { free: slots, remaining: tasks, polling: 0, is_closed: false };
        Slots { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Waits for a free slot and takes it. `None` if the worker takes no more tasks.
    pub fn take(&self) -> Option<Slot<'_>> {
        let mut state = self.lock();
        loop {
            if state.is_closed || state.remaining == Some(0) && state.polling == 0 {
                return None;
            }
            if state.free > 0 && state.remaining != Some(0) {
                state.free -= 1;
                state.polling += 1;
                state.remaining = state.remaining.map(|remaining| remaining - 1);
                return Some(Slot { slots: self, has_task: false });
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets no more slots be taken.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// The number of slots that wait for a task.
    pub fn polling(&self) -> usize {
        self.lock().polling
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Waits for this time, or until [`close`](Self::close) is called.
    pub fn pause(&self, time: Duration) {
        let state = self.lock();
        let _ = self.changed.wait_timeout_while(state, time, |state| !state.is_closed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot that was taken. Dropping it frees the slot.
pub struct Slot<'a> {
    slots: &'a Slots,
    has_task: bool,
}

impl Slot<'_> {
    /// Counts a task that was taken for this slot.
    pub fn count_task(&mut self) {
        self.slots.lock().polling -= 1;
        self.has_task = true;
        self.slots.changed.notify_all();
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut state = self.slots.lock();
        state.free += 1;
        if !self.has_task {
            state.polling -= 1;
            state.remaining = state.remaining.map(|remaining| remaining + 1);
        }
        self.slots.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_without_a_task_does_not_count() {
        let slots = Slots::new(1, Some(1));
        drop(slots.take().unwrap());
        slots.take().unwrap().count_task();
        assert!(slots.take().is_none());
    }

    #[test]
    fn waiting_poller_takes_a_slot_after_a_poll_without_a_task() {
        let slots = Slots::new(2, Some(1));
        let first = slots.take().unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| slots.take().is_some());
            drop(first);
            assert!(second.join().unwrap());
        });
    }

    #[test]
    fn close_wakes_waiting_pollers() {
        let slots = Slots::new(1, None);
        let _taken = slots.take().unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| slots.take().is_none());
            slots.close();
            assert!(waiting.join().unwrap());
        });
    }
}
