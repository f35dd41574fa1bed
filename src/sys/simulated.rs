//! Lets a simulation take the place of the operating system, for the threads that enter it. Compiled into the library's own tests only;
//! `tests/sim` is that simulation.

use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
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
    /// Takes the time of work on another thread.
    fn work(&self) -> Answer<()>;
    /// Blocks the calling thread until the condition variable is notified, or `time` is over.
    fn wait(&self, condvar: usize, time: Duration);
    /// Wakes one thread that waits for the condition variable.
    fn notify_one(&self, condvar: usize);
    /// Wakes the threads that wait for the condition variable.
    fn notify_all(&self, condvar: usize);
    /// Lets other threads run before the calling one continues, which holds no lock.
    fn preempt(&self);
    /// Notes that the calling thread has panicked.
    fn panicked(&self, why: &str);
}

thread_local! {
    static WORLD: RefCell<Option<Arc<dyn World>>> = const { RefCell::new(None) };
    /// How many locks the thread holds.
    static LOCKS: Cell<usize> = const { Cell::new(0) };
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

/// A lock that the calling thread holds. When it has released its last one, another thread may run first.
pub struct Lock;

impl Lock {
    pub fn begin() -> Self {
        LOCKS.set(LOCKS.get() + 1);
        Lock
    }

    /// Releases the lock for a wait, in which other threads run in any case.
    pub fn end_for_wait(self) {
        LOCKS.set(LOCKS.get() - 1);
        std::mem::forget(self);
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        LOCKS.set(LOCKS.get() - 1);
        if LOCKS.get() == 0
            && !std::thread::panicking()
            && let Some(world) = world()
        {
            world.preempt();
        }
    }
}
