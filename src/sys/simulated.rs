//! Lets a simulation take the place of the operating system, for the threads that enter it. Compiled into the library's own tests only;
//! `tests/sim` is that simulation.

use std::{
    cell::RefCell,
    io,
    net::SocketAddr,
    ops::{Deref, DerefMut},
    pin::Pin,
    sync::{Arc, LockResult, PoisonError},
    time::Duration,
};

use super::{clock::Moment, network::Connection};

/// The result of an asynchronous request to the operating system.
pub type Answer<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// What the library asks the operating system for.
pub trait World: Send + Sync {
    /// Reads the boot clock.
    fn now(&self) -> Moment;
    /// Resolves a name.
    fn resolve(&self, host: &str, port: u16) -> Answer<Vec<SocketAddr>>;
    /// Connects to an address.
    fn connect(&self, address: SocketAddr) -> Answer<Box<dyn Connection>>;
    /// Blocks the calling thread until the condition variable is notified, or `time` is over.
    fn wait(&self, condvar: usize, time: Duration);
    /// Wakes the threads that wait for the condition variable.
    fn notify(&self, condvar: usize);
}

thread_local! {
    static WORLD: RefCell<Option<Arc<dyn World>>> = const { RefCell::new(None) };
}

/// Returns the simulation that the calling thread runs in.
pub fn world() -> Option<Arc<dyn World>> {
    WORLD.with_borrow(Clone::clone)
}

/// Has the calling thread run in a simulation, until the result is dropped.
pub fn enter(world: Arc<dyn World>) -> Entered {
    WORLD.set(Some(world));
    Entered
}

/// The calling thread runs in a simulation while this exists.
pub struct Entered;

impl Drop for Entered {
    fn drop(&mut self) {
        WORLD.set(None);
    }
}

/// As in the standard library. Its guard knows the mutex, so that a simulated wait can release the lock.
#[derive(Default)]
pub struct Mutex<T>(std::sync::Mutex<T>);

/// As in the standard library.
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    guard: std::sync::MutexGuard<'a, T>,
}

/// As in the standard library. In a simulation it waits for simulated time.
#[derive(Default)]
pub struct Condvar(std::sync::Condvar);

impl<T> Mutex<T> {
    /// As in the standard library.
    pub const fn new(value: T) -> Self {
        Mutex(std::sync::Mutex::new(value))
    }

    /// As in the standard library.
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        Ok(MutexGuard { mutex: self, guard: self.0.lock().unwrap_or_else(PoisonError::into_inner) })
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl Condvar {
    /// As in the standard library.
    pub const fn new() -> Self {
        Condvar(std::sync::Condvar::new())
    }

    /// As in the standard library.
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        time: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, ())> {
        let MutexGuard { mutex, guard } = guard;
        if let Some(world) = world() {
            drop(guard);
            world.wait(self.address(), time);
            return Ok((mutex.lock().unwrap_or_else(PoisonError::into_inner), ()));
        }
        let (guard, _) = self.0.wait_timeout(guard, time).unwrap_or_else(PoisonError::into_inner);
        Ok((MutexGuard { mutex, guard }, ()))
    }

    /// As in the standard library.
    pub fn notify_one(&self) {
        match world() {
            Some(world) => world.notify(self.address()),
            None => self.0.notify_one(),
        }
    }

    /// As in the standard library.
    pub fn notify_all(&self) {
        match world() {
            Some(world) => world.notify(self.address()),
            None => self.0.notify_all(),
        }
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}
