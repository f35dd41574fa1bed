//! What knows sockets and timers: a Tokio runtime, driven by one thread at a time.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use crate::sys::{self, fork_private::Private};

/// Name resolution blocks, and so may a disk: they borrow threads of this name's kind, at most two.
const RESOLVER_NAME: &str = "thb-resolve";
/// How long such a thread waits for another name before it ends.
const RESOLVER_IDLE: Duration = Duration::from_secs(2);

/// Work for the reactor.
pub type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The reactor, and what keeps its descriptors from children.
pub struct Reactor {
    runtime: tokio::runtime::Runtime,
    private: Vec<Private>,
}

impl Reactor {
    /// One that calls these functions when whoever drives it goes to sleep and wakes, and starts the `jobs` that there are.
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

    /// Drives it until `work` is done.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Whether this thread can drive a reactor: it is none that is driving one already, as those of a caller's own Tokio runtime are,
    /// nor one that is ending.
    pub fn can_be_driven_here() -> bool {
        tokio::runtime::Handle::try_current().is_err_and(|error| error.is_missing_context())
    }

    /// Drops all that it still has to do.
    pub fn shut_down(self) {
        drop(self.private);
        // A resolver that hangs in the system's library must not hold us.
        self.runtime.shutdown_background();
    }
}
