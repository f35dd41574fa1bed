//! One-shot channel: a caller blocks until the I/O thread fills a slot once.
//!
//! It uses a mutex and a condition variable, because the caller may be a thread of a Tokio runtime of the host process,
//! where tokio's blocking functions panic.

use std::time::Duration;

use crate::{
    model::deadline::Deadline,
    sys::sync::{Arc, Condvar, Mutex},
};

/// Creates a slot and returns its two ends.
pub fn slot<T>() -> (Promise<T>, Ticket<T>) {
    let slot = Arc::new(Slot { state: Mutex::new(State::Pending), changed: Condvar::new() });
    (Promise(slot.clone()), Ticket(slot))
}

/// The sending end. If it is dropped without a value, the waiting end gets an error.
pub struct Promise<T>(Arc<Slot<T>>);

/// The waiting end.
pub struct Ticket<T>(Arc<Slot<T>>);

/// Why there is no value.
#[derive(Debug, PartialEq)]
pub enum Nothing {
    /// The deadline passed first.
    Late,
    /// The sending end was dropped: its task was stopped.
    Stopped,
    /// The sending end was dropped by a panic.
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
    /// Stores the first result and wakes the waiter. Later results are ignored.
    fn settle(&self, settled: State<T>) {
        let mut state = self.state.lock();
        if matches!(*state, State::Pending) {
            *state = settled;
            // Unlocked first, so that the woken thread doesn't block on the lock.
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
    /// Waits until the slot is filled, the other end is dropped, or the deadline passes.
    pub fn wait(&self, deadline: &Deadline) -> Result<T, Nothing> {
        let mut state = self.0.state.lock();
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
            state = self.0.changed.wait_timeout(state, left);
        }
    }

    /// Does the same, and then waits for another `grace`. If the process was stopped until after the deadline, the other
    /// end gets this time to fill the slot.
    pub fn wait_with_grace(&self, deadline: &Deadline, grace: Duration) -> Result<T, Nothing> {
        match self.wait(deadline) {
            Err(Nothing::Late) => self.wait(&Deadline::within(grace)),
            settled => settled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn value_from_another_thread_arrives() {
        let (promise, ticket) = slot();
        thread::spawn(move || promise.fill(7));
        assert_eq!(ticket.wait(&Deadline::within(LONG)), Ok(7));
    }

    #[test]
    fn value_filled_before_the_wait_is_returned_after_the_deadline() {
        let (promise, ticket) = slot();
        promise.fill(7);
        assert_eq!(ticket.wait(&Deadline::within(Duration::ZERO)), Ok(7));
    }

    #[test]
    fn waiter_gets_the_reason_of_a_dropped_sender() {
        let (_promise, ticket) = slot::<()>();
        assert_eq!(ticket.wait(&Deadline::within(Duration::from_millis(1))), Err(Nothing::Late));

        let (promise, ticket) = slot::<()>();
        thread::spawn(move || drop(promise));
        assert_eq!(ticket.wait(&Deadline::within(LONG)), Err(Nothing::Stopped));

        let (promise, ticket) = slot::<()>();
        let fall = thread::spawn(move || {
            let _held = promise;
            panic!("on purpose");
        });
        assert_eq!(ticket.wait(&Deadline::within(LONG)), Err(Nothing::Panicked));
        assert!(fall.join().is_err());
    }
}
