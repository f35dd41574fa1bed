//! The reactor for sockets and timers: a Tokio runtime that one thread at a time drives.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use crate::sys::{self, fork_private::Private};

/// Thread name of Tokio's blocking pool, at most two threads: name resolution and file reads block.
const RESOLVER_NAME: &str = "thb-resolve";
/// An idle thread of the blocking pool ends after this time.
const RESOLVER_IDLE: Duration = Duration::from_secs(2);

/// A future that the reactor runs.
pub type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The reactor, and the record of its descriptors that a forked child closes.
pub struct Reactor {
    runtime: tokio::runtime::Runtime,
    private: Vec<Private>,
}

impl Reactor {
    /// Creates a reactor. It calls the first two functions when the driving thread goes to sleep and when it
    /// wakes, and starts the jobs that `jobs` returns.
    pub fn new(
        before_sleep: impl Fn() + Send + Sync + 'static,
        after_sleep: impl Fn() + Send + Sync + 'static,
        jobs: impl Fn(&Context<'_>) -> Poll<Vec<Job>> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let probe = sys::reactor::probe()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name(RESOLVER_NAME)
            .thread_keep_alive(RESOLVER_IDLE)
            .max_blocking_threads(2)
            .on_thread_park(before_sleep)
            .on_thread_unpark(after_sleep)
            .build()?;
        let private = {
            let _context = runtime.enter();
            sys::reactor::private(probe)?
        };
        runtime.spawn(async move {
            loop {
                let jobs = std::future::poll_fn(|context| jobs(context)).await;
                jobs.into_iter().for_each(|job| drop(tokio::spawn(job)));
            }
        });
        Ok(Reactor { runtime, private })
    }

    /// Drives the reactor until `work` is done.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Returns whether this thread can drive a reactor. A thread that already drives one can't, for example a
    /// thread of the caller's Tokio runtime, nor can a thread that is ending.
    pub fn can_be_driven_here() -> bool {
        tokio::runtime::Handle::try_current().is_err_and(|error| error.is_missing_context())
    }

    /// Drops all remaining work.
    pub fn shut_down(self) {
        drop(self.private);
        // In the background, because a name resolution that hangs in the system library would block this
        // thread.
        self.runtime.shutdown_background();
    }
}
