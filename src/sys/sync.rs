//! The mutexes, condition variables, references and timeouts that threads share. The models in `tests/models` replace these types
//! by types that try every order of events. In the simulation of `tests/sim`, `Condvar` waits for simulated time,
//! and other threads may run when a lock is released.

use std::{
    ops::{Deref, DerefMut},
    sync::PoisonError,
    time::Duration,
};

pub use std::sync::Arc;

pub use tokio::{
    sync::{Mutex as AsyncMutex, Notify},
    time::timeout,
};

#[cfg(test)]
use super::simulated::{Lock, world};

/// As in the standard library, but a panic while it is locked doesn't poison it: one failed call must not end the
/// others.
#[derive(Debug, Default)]
pub struct Mutex<T>(std::sync::Mutex<T>);

/// As in the standard library.
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    guard: std::sync::MutexGuard<'a, T>,
    /// Dropped after the guard.
    #[cfg(test)]
    lock: Lock,
}

/// As in the standard library.
#[derive(Default)]
pub struct Condvar(std::sync::Condvar);

impl<T> Mutex<T> {
    /// As in the standard library.
    pub const fn new(value: T) -> Self {
        Mutex(std::sync::Mutex::new(value))
    }

    /// Blocks until no other thread has locked it.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.guard(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    #[inline]
    fn guard<'a>(&'a self, guard: std::sync::MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        MutexGuard {
            mutex: self,
            guard,
            #[cfg(test)]
            lock: Lock::begin(),
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl Condvar {
    /// As in the standard library.
    pub const fn new() -> Self {
        Condvar(std::sync::Condvar::new())
    }

    /// Unlocks the mutex until a notification or until `time` is over, and locks it again.
    pub fn wait_timeout<'a, T>(&self, guard: MutexGuard<'a, T>, time: Duration) -> MutexGuard<'a, T> {
        let MutexGuard {
            mutex,
            guard,
            #[cfg(test)]
            lock,
        } = guard;
        #[cfg(test)]
        lock.end_for_wait();
        #[cfg(test)]
        if let Some(world) = world() {
            drop(guard);
            world.wait(self.address(), time);
            return mutex.lock();
        }
        let (guard, _) = self.0.wait_timeout(guard, time).unwrap_or_else(PoisonError::into_inner);
        mutex.guard(guard)
    }

    /// As in the standard library.
    pub fn notify_one(&self) {
        #[cfg(test)]
        if let Some(world) = world() {
            return world.notify_one(self.address());
        }
        self.0.notify_one();
    }

    /// As in the standard library.
    pub fn notify_all(&self) {
        #[cfg(test)]
        if let Some(world) = world() {
            return world.notify_all(self.address());
        }
        self.0.notify_all();
    }

    #[cfg(test)]
    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}
