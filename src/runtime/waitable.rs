//! State that threads wait for. A descriptor shows to the caller's event loop whether waiting would return at once.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::{
    model::{
        deadline::Deadline,
        error::{Error, Result},
    },
    sys::{
        event::Event,
        sync::{Condvar, Mutex, MutexGuard},
    },
};

/// The longest sleep of a waiting thread. It then checks the clock, because timers don't advance while the machine is
/// suspended.
const LONGEST_NAP: Duration = Duration::from_secs(60);

/// The state of a [`Waitable`].
pub trait Readiness {
    /// Returns whether a thread that waits would get something: an item, or the error of a closed object.
    fn is_ready(&self) -> bool;
}

/// State that threads wait for.
pub struct Waitable<S> {
    /// What owns it, for messages.
    owner: &'static str,
    event: Event,
    /// Whether the caller has a descriptor of the event.
    is_polled: AtomicBool,
    state: Mutex<S>,
    changed: Condvar,
}

impl<S: Readiness + Default> Waitable<S> {
    /// Creates the state of an owner, such as "queue".
    pub fn new(owner: &'static str) -> Result<Self> {
        let event = Event::new().map_err(|why| Error::no_descriptor(owner, &why))?;
        let (state, changed) = (Mutex::default(), Condvar::new());
        Ok(Waitable { owner, event, is_polled: AtomicBool::new(false), state, changed })
    }
}

impl<S: Readiness> Waitable<S> {
    /// Locks the state. A change that makes it ready must be followed by [`Waitable::notify`].
    pub fn lock(&self) -> MutexGuard<'_, S> {
        self.state.lock()
    }

    /// Wakes one waiting thread, and the event loop. Must be called without the lock.
    pub fn notify(&self) {
        self.raise();
        self.changed.notify_one();
    }

    /// Wakes all waiting threads, and the event loop. Must be called without the lock.
    pub fn notify_all(&self) {
        self.raise();
        self.changed.notify_all();
    }

    /// Waits until `take` returns something. Returns `None` at the deadline.
    pub fn wait<T>(&self, deadline: &Deadline, mut take: impl FnMut(&mut S) -> Option<T>) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            let was_ready = state.is_ready();
            let taken = take(&mut state);
            let is_ready = state.is_ready();
            if was_ready && !is_ready && self.is_polled.load(Ordering::Acquire) {
                self.event.lower();
            }
            if taken.is_some() {
                drop(state);
                if is_ready {
                    self.changed.notify_one();
                }
                return taken;
            }
            let left = deadline.remaining();
            if left.is_zero() {
                return None;
            }
            state = self.changed.wait_timeout(state, left.min(LONGEST_NAP));
        }
    }

    /// Opens a descriptor that is readable while the state is ready. The caller closes it.
    pub fn open_fd(&self) -> Result<i32> {
        let descriptor = self.event.share().map_err(|why| Error::no_descriptor(self.owner, &why))?;
        self.is_polled.store(true, Ordering::Release);
        self.raise();
        Ok(descriptor)
    }

    fn raise(&self) {
        if self.is_polled.load(Ordering::Acquire) {
            let state = self.state.lock();
            // Another thread may have taken everything, and lowered the event.
            if state.is_ready() {
                self.event.raise();
            }
        }
    }
}
