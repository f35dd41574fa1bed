//! How a caller waits for the I/O thread: a slot that is filled once, under a lock of our own.
//!
//! A caller may itself be a thread of somebody's Tokio runtime, where tokio's own ways of blocking would panic; a mutex
//! and a condition variable are allowed everywhere.

use std::sync::PoisonError;

use crate::{
    model::deadline::Deadline,
    sys::sync::{Arc, Condvar, Mutex},
};

/// Two ends of a new slot.
pub fn slot<T>() -> (Promise<T>, Ticket<T>) {
    let slot = Arc::new(Slot { state: Mutex::new(State::Pending), changed: Condvar::new() });
    (Promise(slot.clone()), Ticket(slot))
}

/// The end that fills the slot. Dropped without that, it tells the waiter so.
pub struct Promise<T>(Arc<Slot<T>>);

/// The end that waits.
pub struct Ticket<T>(Arc<Slot<T>>);

/// Why nothing came.
#[derive(Debug, PartialEq)]
pub enum Nothing {
    /// The deadline passed first.
    Late,
    /// The other end was dropped: what should have filled the slot was stopped.
    Stopped,
    /// The same, by a panic.
    Panicked,
}

struct Slot<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

enum State<T> {
    Pending,
    Filled(T),
    Never(Nothing),
    Taken,
}

impl<T> Slot<T> {
    /// Only the first one counts.
    fn settle(&self, settled: State<T>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Pending) {
            *state = settled;
            // Else whoever is woken finds it locked, and sleeps again.
            drop(state);
            self.changed.notify_one();
        }
    }
}

impl<T> Promise<T> {
    /// Fills the slot and wakes its waiter.
    pub fn fill(self, value: T) {
        self.0.settle(State::Filled(value));
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        let why = if std::thread::panicking() { Nothing::Panicked } else { Nothing::Stopped };
        self.0.settle(State::Never(why));
    }
}

impl<T> Ticket<T> {
    /// Waits until the slot is filled, given up, or the deadline has passed.
    pub fn wait(self, deadline: Deadline) -> Result<T, Nothing> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match std::mem::replace(&mut *state, State::Taken) {
                State::Filled(value) => return Ok(value),
                State::Never(why) => return Err(why),
                State::Pending | State::Taken => *state = State::Pending,
            }
            let left = deadline.remaining();
            if left.is_zero() {
                return Err(Nothing::Late);
            }
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{thread, time::Duration};

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_is_filled_on_another_thread_arrives() {
        let (promise, ticket) = slot();
        thread::spawn(move || promise.fill(7));
        assert_eq!(ticket.wait(Deadline::within(LONG)), Ok(7));
    }

    #[test]
    fn what_was_filled_before_the_wait_arrives_even_past_the_deadline() {
        let (promise, ticket) = slot();
        promise.fill(7);
        assert_eq!(ticket.wait(Deadline::within(Duration::ZERO)), Ok(7));
    }

    #[test]
    fn a_waiter_learns_why_nothing_comes() {
        let (_promise, ticket) = slot::<()>();
        assert_eq!(ticket.wait(Deadline::within(Duration::from_millis(1))), Err(Nothing::Late));

        let (promise, ticket) = slot::<()>();
        thread::spawn(move || drop(promise));
        assert_eq!(ticket.wait(Deadline::within(LONG)), Err(Nothing::Stopped));

        let (promise, ticket) = slot::<()>();
        let fall = thread::spawn(move || {
            let _held = promise;
            panic!("on purpose");
        });
        assert_eq!(ticket.wait(Deadline::within(LONG)), Err(Nothing::Panicked));
        assert!(fall.join().is_err());
    }
}
