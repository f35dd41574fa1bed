//! loom's versions of the types that `src/sys/sync.rs` names.

use std::{pin::pin, sync::PoisonError, task::Poll, time::Duration};

use loom::future::AtomicWaker;
pub use loom::sync::{Arc, MutexGuard};

/// A mutex that can't be poisoned.
#[derive(Debug, Default)]
pub struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Mutex(loom::sync::Mutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A condition variable that ignores the timeout, so that loom finds a waiter that is never notified.
#[derive(Debug, Default)]
pub struct Condvar(loom::sync::Condvar);

impl Condvar {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn wait_timeout<'a, T>(&self, guard: MutexGuard<'a, T>, _: Duration) -> MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    pub fn notify_one(&self) {
        if !cfg!(feature = "planted") {
            self.0.notify_one();
        }
    }

    pub fn notify_all(&self) {
        if !cfg!(feature = "planted") {
            self.0.notify_all();
        }
    }
}

/// Never fires, so that loom finds a waiter that is never woken.
pub async fn timeout<T>(_: Duration, work: impl Future<Output = T>) -> Result<T, ()> {
    Ok(work.await)
}

/// Behaves like tokio's asynchronous mutex; no model locks it.
pub type AsyncMutex<T> = Mutex<T>;

/// Behaves like tokio's `Notify`: it keeps one notification for the next waiter.
#[derive(Default)]
pub struct Notify {
    kept: Mutex<bool>,
    waiter: AtomicWaker,
}

impl Notify {
    pub fn notify_one(&self) {
        *self.kept.lock() = true;
        if !cfg!(feature = "planted") {
            self.waiter.wake();
        }
    }

    pub fn notify_waiters(&self) {
        self.notify_one();
    }

    pub async fn notified(&self) {
        let taken = || std::mem::take(&mut *self.kept.lock());
        std::future::poll_fn(|context| {
            if taken() {
                return Poll::Ready(());
            }
            self.waiter.register_by_ref(context.waker());
            if taken() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl std::fmt::Debug for Notify {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Notify")
    }
}

/// Runs a future to completion.
pub fn wait_for<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loom::future::block_on(std::future::poll_fn(|context| work.as_mut().poll(context)))
}
