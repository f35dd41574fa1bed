//! The one thread on which everything that waits for the network happens.

use std::{future::Future, io, pin::Pin, thread, time::Duration};

use tokio::sync::mpsc;

use crate::{
    deadline::Deadline,
    error::{Error, Result},
    park::{self, Nothing},
    status::Status,
    sys::{self, private::Private},
};

/// The I/O thread's name, as `ps -L` and debuggers show it.
pub const THREAD_NAME: &str = "thb-io";
/// Name resolution blocks, so it borrows a thread of this name's kind; one at a time.
const RESOLVER_NAME: &str = "thb-resolve";
/// How long such a thread waits for another name before it ends.
const RESOLVER_IDLE: Duration = Duration::from_secs(2);
/// How long after its deadline a caller still waits for the answer, which says more than "timeout". Whoever answers
/// keeps the deadline himself; this is only for the way back, and for an I/O thread that was frozen.
const GRACE: Duration = Duration::from_millis(50);

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

enum Order {
    Run(Job),
    Stop,
}

/// A running I/O thread.
pub struct Runtime {
    orders: mpsc::UnboundedSender<Order>,
}

impl Runtime {
    /// Starts the thread.
    pub fn start() -> Result<Self> {
        let (orders, inbox) = mpsc::unbounded_channel();
        let (ready, started) = park::slot();
        let spawned = sys::signals::blocked(|| {
            thread::Builder::new().name(THREAD_NAME.into()).spawn(move || match build() {
                Ok((reactor, private)) => {
                    ready.fill(Ok(()));
                    reactor.block_on(serve(inbox));
                    drop(private);
                    // A resolver that hangs in the system's library must not hold us.
                    reactor.shutdown_background();
                }
                Err(error) => ready.fill(Err(error)),
            })
        });
        spawned.map_err(|error| no_thread(&error))?;
        match started.wait(Deadline::within(Duration::from_secs(10))) {
            Ok(Ok(())) => Ok(Runtime { orders }),
            Ok(Err(error)) => Err(no_thread(&error)),
            Err(_) => Err(Error::new(Status::Internal, "the I/O thread didn't start")),
        }
    }

    /// Runs `work` on the I/O thread and parks the caller until it is done, but not for longer than the deadline (which
    /// `work` keeps too).
    pub fn run<T: Send + 'static>(
        &self,
        deadline: Deadline,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (promise, ticket) = park::slot();
        let job = Box::pin(async move { promise.fill(work.await) });
        if self.orders.send(Order::Run(job)).is_err() {
            return Err(disconnected());
        }
        ticket.wait(deadline.later(GRACE)).unwrap_or_else(|nothing| {
            Err(match nothing {
                Nothing::Late => Error::new(Status::Timeout, "time ran out without any answer"),
                Nothing::Stopped => disconnected(),
                Nothing::Panicked => Error::new(
                    Status::Internal,
                    "this is a mistake in the library: the call panicked; others go on",
                ),
            })
        })
    }

    /// Runs `work` on the I/O thread until one of them ends.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        // An error means that the thread has ended already.
        let _ = self.orders.send(Order::Run(Box::pin(work)));
    }

    /// Ends the thread and wakes everybody who waits in [`Runtime::run`].
    pub fn stop(&self) {
        // An error means that it has ended already.
        let _ = self.orders.send(Order::Stop);
    }
}

/// The reactor, and what keeps its descriptors from children.
fn build() -> io::Result<(tokio::runtime::Runtime, Vec<Private>)> {
    let probe = sys::reactor::probe()?;
    let reactor = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name(RESOLVER_NAME)
        .thread_keep_alive(RESOLVER_IDLE)
        .max_blocking_threads(1)
        .build()?;
    let private = {
        let _context = reactor.enter();
        sys::reactor::private(probe)?
    };
    Ok((reactor, private))
}

async fn serve(mut inbox: mpsc::UnboundedReceiver<Order>) {
    while let Some(Order::Run(job)) = inbox.recv().await {
        tokio::spawn(job);
    }
}

fn disconnected() -> Error {
    Error::new(Status::NotConnected, "the client was disconnected during the call")
}

fn no_thread(error: &io::Error) -> Error {
    Error::new(
        Status::LocalLimit,
        format!(
            "the I/O thread can't be started: {error}; look at the limits of threads and open files (ulimit -u, -n)"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_runs_on_the_named_thread_and_comes_back() {
        let runtime = Runtime::start().unwrap();
        let name = runtime.run(Deadline::within(Duration::from_secs(10)), async {
            Ok(thread::current().name().map(str::to_owned))
        });
        assert_eq!(name.unwrap().as_deref(), Some(THREAD_NAME));
    }

    #[test]
    fn stopping_wakes_those_who_wait() {
        let runtime = std::sync::Arc::new(Runtime::start().unwrap());
        let (started, waiting) = park::slot();
        let caller = thread::spawn({
            let runtime = runtime.clone();
            move || {
                runtime.run(Deadline::within(Duration::from_secs(60)), async move {
                    started.fill(());
                    std::future::pending::<Result<()>>().await
                })
            }
        });
        waiting.wait(Deadline::within(Duration::from_secs(10))).unwrap();
        runtime.stop();
        assert_eq!(caller.join().unwrap().unwrap_err().status(), Status::NotConnected);
        let late = runtime.run(Deadline::within(Duration::from_secs(60)), async { Ok(()) });
        assert_eq!(late.unwrap_err().status(), Status::NotConnected);
    }

    #[test]
    fn a_panic_is_a_status_and_the_thread_goes_on() {
        let runtime = Runtime::start().unwrap();
        let deadline = Deadline::within(Duration::from_secs(10));
        let fallen = runtime.run::<()>(deadline, async { panic!("on purpose") });
        assert_eq!(fallen.unwrap_err().status(), Status::Internal);
        assert_eq!(runtime.run(deadline, async { Ok(7) }).unwrap(), 7);
    }

    #[test]
    fn a_caller_that_gets_no_answer_leaves_in_time() {
        let runtime = Runtime::start().unwrap();
        let late = runtime.run::<()>(Deadline::within(Duration::from_millis(20)), std::future::pending());
        assert_eq!(late.unwrap_err().status(), Status::Timeout);
    }
}
