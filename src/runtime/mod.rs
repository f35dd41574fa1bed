//! Runs all network work: one reactor, driven by the library's I/O thread or by a caller.

mod leader;
pub mod oneshot;
pub mod panics;
mod reactor;
pub mod waitable;

use std::{
    future::{Future, poll_fn},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    thread,
    time::Duration,
};

use tokio::task::JoinHandle;

use crate::{
    model::{
        deadline::Deadline,
        error::{Error, Result},
        status::Status,
    },
    sys,
};
pub use leader::IoThread;
use leader::{Leadership, Leave, Role};
use oneshot::Nothing;
use reactor::Reactor;

/// The I/O thread's name in `ps -L` and debuggers.
pub const THREAD_NAME: &str = "thb-io";
/// How long a caller waits beyond its deadline for the result, which says more than "timeout". The work keeps
/// the deadline itself. This covers only the way back to the caller, and a process or a driving thread that was
/// stopped.
const GRACE: Duration = Duration::from_millis(50);

/// The pause before a task is restarted after a panic.
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(1);

/// Runs a task in the reactor that runs the calling task. All tasks are of one type, so that the library contains the code
/// of a task once.
pub fn spawn(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(Box::pin(task) as reactor::Job)
}

/// Runs a task until it ends, and restarts it if it panics. A panic is a bug in the library, but a process shouldn't lose
/// its beats or its credentials by it.
pub async fn restarted_after_panics<Task>(begin: impl Fn() -> Task)
where
    Task: Future<Output = ()> + Send + 'static,
{
    while spawn(begin()).await.is_err() {
        tokio::time::sleep(PAUSE_AFTER_PANIC).await;
    }
}

/// Runs `work` in the reactor that runs the calling task, after the tasks that are ready now.
pub fn soon(work: impl FnOnce() + Send + 'static) {
    drop(spawn(async move { work() }));
}

/// A reactor and its I/O thread.
pub struct Runtime {
    leadership: Arc<Leadership>,
}

impl Runtime {
    /// Creates a runtime without starting its thread.
    pub fn new() -> Self {
        Runtime { leadership: Leadership::new() }
    }

    /// Creates the runtime of a simulation, which runs the jobs in the calling thread.
    #[cfg(test)]
    pub fn simulated() -> Self {
        Runtime { leadership: Leadership::simulated() }
    }

    /// Waits for submitted jobs, and returns them to the simulation.
    #[cfg(test)]
    pub async fn jobs(&self) -> Vec<reactor::Job> {
        self.leadership.jobs().await
    }

    /// Returns a handle that runs work on the I/O thread only. It may be used before the thread starts.
    pub fn io_thread(&self) -> IoThread {
        IoThread::of(&self.leadership)
    }

    /// Starts the I/O thread. It runs `ended` when it has stopped, also when the host has closed its descriptors.
    pub fn start(&self, ended: impl FnOnce() + Send + 'static) -> Result<()> {
        let (ready, started) = oneshot::slot();
        let spawned = sys::signals::blocked(|| {
            let leadership = self.leadership.clone();
            thread::Builder::new().name(THREAD_NAME.into()).spawn(move || match leadership.reactor() {
                Ok(reactor) => {
                    ready.fill(Ok(()));
                    leadership.drive(reactor);
                    ended();
                }
                Err(error) => ready.fill(Err(error)),
            })
        });
        spawned.map_err(|error| no_thread(&error))?;
        match started.wait(&Deadline::within(Duration::from_secs(10))) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(no_thread(&error)),
            Err(_) => Err(Error::new(Status::Internal, "the I/O thread didn't start")),
        }
    }

    /// Runs `work` in the reactor and blocks the caller until it ends. `work` keeps the deadline itself.
    /// `may_drive` lets the caller's own thread drive the reactor, which saves two thread switches.
    pub fn block_on<T: Send + 'static>(
        &self,
        deadline: &Deadline,
        may_drive: bool,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        // Pinned on the heap, because a driving caller may have to move its unfinished work to the I/O
        // thread.
        let mut work = Box::pin(work);
        let in_flight = match self.leadership.try_lead(may_drive && Reactor::can_be_driven_here()) {
            Role::Lead(reactor) => match self.drive(reactor, work.as_mut()) {
                Some(outcome) => return outcome,
                None => self.leadership.hand_over(),
            },
            Role::Follow(in_flight) => in_flight,
            Role::Stopped => return Err(disconnected()),
        };
        let (promise, ticket) = oneshot::slot();
        self.leadership.submit(Box::pin(async move {
            let outcome = work.await;
            // Must be dropped first: the caller may return before this line ends.
            drop(in_flight);
            promise.fill(outcome);
        }));
        ticket.wait_with_grace(deadline, GRACE).unwrap_or_else(|nothing| {
            Err(match nothing {
                Nothing::Late => Error::new(Status::Timeout, "the call timed out without an answer"),
                Nothing::Stopped => disconnected(),
                Nothing::Panicked => panics::status(),
            })
        })
    }

    /// Drives the reactor on the caller's thread until `work` ends. Returns `None` when the I/O thread must
    /// take over.
    fn drive<T>(
        &self,
        reactor: Reactor,
        mut work: Pin<&mut impl Future<Output = Result<T>>>,
    ) -> Option<Result<T>> {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut leave = pin!(self.leadership.leave());
            reactor.run(poll_fn(|context| match work.as_mut().poll(context) {
                Poll::Pending => leave.as_mut().poll(context).map(|why| match why {
                    Leave::Stopped => Some(Err(disconnected())),
                    Leave::ForIoThread => None,
                }),
                done => done.map(Some),
            }))
        }));
        self.leadership.release(reactor);
        outcome.unwrap_or_else(|_| Some(Err(panics::status())))
    }

    /// Spawns `work` in the reactor, until it ends or the runtime stops.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.leadership.submit(Box::pin(work));
    }

    /// Stops the thread and wakes all callers that are blocked in [`Runtime::block_on`].
    pub fn stop(&self) {
        // The wake-up panics if the host has closed its descriptor. Then no thread is left to wake.
        let _ = catch_unwind(AssertUnwindSafe(|| self.leadership.stop()));
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Returns the error of a call that a disconnect has ended.
pub fn disconnected() -> Error {
    Error::new(Status::NotConnected, "the client was disconnected during the call")
}

fn no_thread(error: &io::Error) -> Error {
    Error::new(
        Status::LocalLimit,
        format!(
            "the I/O thread can't be started: {error}; check the limits of threads and open files (ulimit -u, -n)"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread::ThreadId,
        time::Instant,
    };

    const LONG: Duration = Duration::from_secs(60);

    fn long() -> Deadline {
        Deadline::within(LONG)
    }

    fn started() -> Runtime {
        let runtime = Runtime::new();
        runtime.start(|| ()).unwrap();
        runtime
    }

    async fn on_which_thread() -> Result<ThreadId> {
        Ok(thread::current().id())
    }

    /// Makes calls until this thread drives the reactor itself.
    fn become_driver(runtime: &Runtime) {
        let end = Instant::now() + LONG;
        while runtime.block_on(&long(), true, on_which_thread()).unwrap() != thread::current().id() {
            assert!(Instant::now() < end, "the I/O thread never stepped back");
        }
    }

    /// Waits until the I/O thread drives again.
    fn io_thread_steps_in(runtime: &Runtime) {
        let (promise, ticket) = oneshot::slot();
        runtime.spawn(async move { promise.fill(thread::current().name().map(str::to_owned)) });
        assert_eq!(ticket.wait(&long()).unwrap().as_deref(), Some(THREAD_NAME));
    }

    #[test]
    fn work_runs_on_the_io_thread_and_returns_its_result() {
        let runtime = started();
        let name = runtime.block_on(&long(), true, async { Ok(thread::current().name().map(str::to_owned)) });
        assert_eq!(name.unwrap().as_deref(), Some(THREAD_NAME));
    }

    #[test]
    fn single_caller_drives_until_it_stops_calling() {
        let runtime = started();
        for _ in 0..3 {
            become_driver(&runtime);
            io_thread_steps_in(&runtime);
        }
    }

    #[test]
    fn background_work_continues_with_any_driver() {
        let runtime = started();
        let ticks = Arc::new(AtomicUsize::new(0));
        runtime.spawn({
            let ticks = ticks.clone();
            async move {
                loop {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    ticks.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        become_driver(&runtime);
        let before = ticks.load(Ordering::Relaxed);
        while ticks.load(Ordering::Relaxed) < before + 3 {
            runtime.block_on(&long(), true, on_which_thread()).unwrap();
        }
        // No thread makes calls from here on.
        let (before, end) = (ticks.load(Ordering::Relaxed), Instant::now() + LONG);
        while ticks.load(Ordering::Relaxed) < before + 3 {
            assert!(Instant::now() < end);
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn short_calls_do_not_block_timers() {
        let runtime = started();
        become_driver(&runtime);
        let (promise, ticket) = oneshot::slot();
        runtime.spawn(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            promise.fill(());
        });
        thread::scope(|scope| {
            let waiting = scope.spawn(|| ticket.wait(&long()));
            while !waiting.is_finished() {
                runtime.block_on(&long(), true, on_which_thread()).unwrap();
            }
            waiting.join().unwrap().unwrap();
        });
    }

    #[test]
    fn caller_that_cannot_lead_never_drives() {
        let runtime = started();
        become_driver(&runtime);
        for _ in 0..100 {
            assert_ne!(runtime.block_on(&long(), false, on_which_thread()).unwrap(), thread::current().id());
        }
    }

    /// A call that has begun and lasts until the test ends it.
    struct Lasting<'scope> {
        end: tokio::sync::oneshot::Sender<()>,
        caller: thread::ScopedJoinHandle<'scope, Result<ThreadId>>,
    }

    impl<'scope> Lasting<'scope> {
        fn begin<'env>(
            scope: &'scope thread::Scope<'scope, 'env>,
            runtime: &'env Runtime,
            prepare: impl FnOnce(&Runtime) + Send + 'scope,
        ) -> Self {
            let (begun, ticket) = oneshot::slot();
            let (end, ended) = tokio::sync::oneshot::channel();
            let caller = scope.spawn(move || {
                prepare(runtime);
                runtime.block_on(&long(), true, async move {
                    begun.fill(());
                    let _ = ended.await;
                    Ok(thread::current().id())
                })
            });
            ticket.wait(&long()).unwrap();
            Lasting { end, caller }
        }

        fn end(self) -> ThreadId {
            self.end.send(()).unwrap();
            self.caller.join().unwrap().unwrap()
        }
    }

    #[test]
    fn concurrent_calls_are_served_during_and_after_a_driving_call() {
        let runtime = started();
        for _ in 0..10 {
            thread::scope(|scope| {
                let driving = Lasting::begin(scope, &runtime, become_driver);
                let beside = Lasting::begin(scope, &runtime, |_| ());
                runtime.block_on(&long(), true, on_which_thread()).unwrap();
                driving.end();
                runtime.block_on(&long(), true, on_which_thread()).unwrap();
                assert_ne!(beside.end(), thread::current().id());
            });
        }
    }

    #[test]
    fn concurrent_callers_get_their_answers_with_any_driver() {
        let runtime = started();
        thread::scope(|scope| {
            for callers in [1, 2, 3, 1, 8, 1] {
                let callers: Vec<_> = (0..callers)
                    .map(|_| {
                        scope.spawn(|| {
                            (0..200).for_each(|call| {
                                let answer = runtime.block_on(&long(), true, async move {
                                    tokio::task::yield_now().await;
                                    Ok(call)
                                });
                                assert_eq!(answer.unwrap(), call);
                            });
                        })
                    })
                    .collect();
                callers.into_iter().for_each(|caller| caller.join().unwrap());
            }
        });
    }

    #[test]
    fn worker_of_the_callers_tokio_runtime_never_drives() {
        let runtime = started();
        become_driver(&runtime);
        let theirs = tokio::runtime::Builder::new_current_thread().build().unwrap();
        theirs.block_on(async {
            for _ in 0..100 {
                let thread = runtime.block_on(&long(), true, on_which_thread()).unwrap();
                assert_ne!(thread, thread::current().id());
            }
        });
    }

    #[test]
    fn stop_wakes_waiting_and_driving_callers() {
        for prepare in [become_driver, |_: &Runtime| ()] {
            let runtime = started();
            thread::scope(|scope| {
                let calls =
                    [Lasting::begin(scope, &runtime, prepare), Lasting::begin(scope, &runtime, |_| ())];
                runtime.stop();
                for call in calls {
                    assert_eq!(call.caller.join().unwrap().unwrap_err().status(), Status::NotConnected);
                }
            });
            let late = runtime.block_on(&long(), true, async { Ok(()) });
            assert_eq!(late.unwrap_err().status(), Status::NotConnected);
        }
    }

    #[test]
    fn dropped_runtime_leaks_nothing() {
        for prepare in [become_driver, io_thread_steps_in] {
            let runtime = started();
            prepare(&runtime);
            let leadership = Arc::downgrade(&runtime.leadership);
            drop(runtime);
            let end = Instant::now() + LONG;
            while leadership.strong_count() > 0 {
                assert!(Instant::now() < end, "the driving thread keeps it alive");
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    #[test]
    fn panic_becomes_a_status_and_other_calls_continue() {
        let runtime = started();
        for prepare in [become_driver, io_thread_steps_in] {
            prepare(&runtime);
            let fallen = runtime.block_on::<()>(&long(), true, async { panic!("on purpose") });
            assert_eq!(fallen.unwrap_err().status(), Status::Internal);
            assert_eq!(runtime.block_on(&long(), true, async { Ok(7) }).unwrap(), 7);
        }
    }

    #[test]
    fn caller_without_an_answer_returns_in_time() {
        let runtime = started();
        let late = runtime.block_on::<()>(
            &Deadline::within(Duration::from_millis(20)),
            true,
            std::future::pending(),
        );
        assert_eq!(late.unwrap_err().status(), Status::Timeout);
    }

    #[test]
    fn work_for_the_io_thread_runs_there_while_callers_drive() {
        let runtime = started();
        let io = runtime.io_thread();
        let name = async || thread::current().name().map(str::to_owned);
        for _ in 0..3 {
            become_driver(&runtime);
            // Started by the call of a driving caller.
            let of_call = io.clone();
            let ran_on = runtime.block_on(&long(), true, async move { Ok(of_call.run(name()).await) });
            assert_eq!(ran_on.unwrap().as_deref(), Some(THREAD_NAME));

            // Started by a task while a caller drives.
            become_driver(&runtime);
            let (promise, ticket) = oneshot::slot();
            let of_task = io.clone();
            runtime.spawn(async move { promise.fill(of_task.run(name()).await) });
            thread::scope(|scope| {
                let waiting = scope.spawn(|| ticket.wait(&long()));
                while !waiting.is_finished() {
                    runtime.block_on(&long(), true, on_which_thread()).unwrap();
                }
                assert_eq!(waiting.join().unwrap().unwrap().as_deref(), Some(THREAD_NAME));
            });
        }
    }
}
