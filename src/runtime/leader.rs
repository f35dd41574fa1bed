//! Decides which thread drives the reactor, and queues the work for it (the Leader/Followers pattern).
//!
//! One thread at a time drives the reactor; without it no I/O and no timer makes progress. Normally that is
//! the I/O thread: callers submit their work to it and sleep. For a single caller, those two thread switches
//! are most of the cost of a call. So when calls come one at a time and in quick succession, the I/O thread
//! steps back. Each caller then takes the reactor and drives it for the duration of its call. The I/O thread
//! takes the reactor again as soon as calls overlap or stop.
//!
//! Some work runs on the I/O thread only ([`IoThread`]). A TLS handshake may need more stack than a caller
//! has. New sockets and threads must not inherit a caller's network namespace, signal mask or affinity. While
//! such work is pending, no caller drives.

use std::{
    future::{Future, poll_fn},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, Waker},
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::reactor::{Job, Reactor};
use crate::sys::{
    self,
    sync::{Condvar, Mutex},
};

/// The I/O thread steps back after this many non-overlapping calls in quick succession.
const ALONE_IN_A_ROW: u32 = 16;
/// Calls further apart than this don't count as quick succession: driving saves such callers nothing. It is
/// also the longest time that the reactor stays undriven before the I/O thread takes it. Until then, the
/// beats of open activities and the answers to pings are delayed.
const CLOSE: Duration = Duration::from_millis(5);

/// Holds the reactor while no thread drives it, and the queue of submitted jobs.
pub struct Leadership {
    state: Mutex<State>,
    /// Wakes the I/O thread while another thread may drive.
    changed: Condvar,
    /// Makes the driving thread check whether it must stop driving.
    look_up: Notify,
    /// The I/O thread's id, once it has started.
    io_thread: OnceLock<ThreadId>,
}

struct State {
    /// `None` while a thread drives it.
    reactor: Option<Reactor>,
    jobs: Vec<Job>,
    /// Wakes the task that starts submitted jobs.
    taker: Option<Waker>,
    /// Whether the driving thread sleeps, so that a new job must wake it.
    asleep: bool,
    stopping: bool,
    /// Submitted calls that aren't finished.
    in_flight: usize,
    /// Calls that finished since the driving thread last slept.
    done: usize,
    alone_in_a_row: u32,
    last_done: Instant,
    /// Whether the driver has polled sockets and timers since the I/O thread last checked.
    turned: bool,
    /// Whether the I/O thread claims the reactor. If so, no caller takes it first.
    wanted: bool,
    /// The number of futures that only the I/O thread may poll.
    for_io_thread: usize,
    /// The wakers of these futures. A caller that polls one adds its waker, and the I/O thread wakes and polls it.
    io_thread_wakers: Vec<Waker>,
}

/// What a caller does with its work.
pub enum Role {
    /// Drives the reactor and releases it afterwards.
    Lead(Reactor),
    /// Leaves its work to the driving thread.
    Follow(InFlight),
    /// Nothing: the runtime is stopping.
    Stopped,
}

impl Leadership {
    /// Creates the shared state, still without a reactor.
    pub fn new() -> Arc<Self> {
        Arc::new(Leadership {
            state: Mutex::new(State {
                reactor: None,
                jobs: Vec::new(),
                taker: None,
                asleep: false,
                stopping: false,
                in_flight: 0,
                done: 0,
                alone_in_a_row: 0,
                last_done: Instant::now(),
                turned: false,
                wanted: false,
                for_io_thread: 0,
                io_thread_wakers: Vec::new(),
            }),
            changed: Condvar::new(),
            look_up: Notify::new(),
            io_thread: OnceLock::new(),
        })
    }

    /// Creates a reactor that reports to this state.
    pub fn reactor(self: &Arc<Self>) -> io::Result<Reactor> {
        let (before, after, jobs) = (self.clone(), self.clone(), self.clone());
        sys::descriptor::apart(|| {
            Reactor::new(
                move || before.before_sleep(),
                move || after.after_sleep(),
                move |context| jobs.poll_jobs(context),
            )
        })
    }

    /// Assigns a role to a caller. Only a caller that `may_drive` can lead.
    pub fn try_lead(self: &Arc<Self>, may_drive: bool) -> Role {
        let mut state = self.state.lock();
        if state.stopping {
            return Role::Stopped;
        }
        if state.in_flight == 0 {
            if may_drive
                && !state.wanted
                && state.for_io_thread == 0
                && let Some(reactor) = state.reactor.take()
            {
                return Role::Lead(reactor);
            }
            let close = state.last_done.elapsed() < CLOSE;
            state.alone_in_a_row = if close { state.alone_in_a_row + 1 } else { 0 };
        } else {
            state.alone_in_a_row = 0;
        }
        state.in_flight += 1;
        Role::Follow(InFlight(self.clone()))
    }

    /// Leaves a driving caller's unfinished call to the I/O thread.
    pub fn hand_over(self: &Arc<Self>) -> InFlight {
        self.state.lock().in_flight += 1;
        InFlight(self.clone())
    }

    /// Queues a job for the driving thread. Drops it when the runtime is stopping.
    pub fn submit(&self, job: Job) {
        let mut state = self.state.lock();
        if state.stopping {
            return;
        }
        state.jobs.push(job);
        if state.reactor.is_some() {
            self.changed.notify_one();
        } else if state.asleep {
            state.asleep = false;
            let taker = state.taker.clone();
            drop(state);
            taker.iter().for_each(Waker::wake_by_ref);
        }
    }

    /// Returns the reactor after a caller has driven it.
    pub fn release(&self, reactor: Reactor) {
        let mut state = self.state.lock();
        state.reactor = Some(reactor);
        if state.in_flight > 0 || state.stopping || state.wanted || state.for_io_thread > 0 {
            self.changed.notify_one();
        }
    }

    /// Runs on the I/O thread: drives `reactor` whenever no caller does, and returns when the runtime stops.
    pub fn drive(&self, mut reactor: Reactor) {
        let _ = self.io_thread.set(thread::current().id());
        loop {
            let wakers = std::mem::take(&mut self.state.lock().io_thread_wakers);
            wakers.into_iter().for_each(Waker::wake);
            let driven = catch_unwind(AssertUnwindSafe(|| {
                reactor.run(async {
                    while !self.should_follow() {
                        self.look_up.notified().await;
                    }
                });
            }));
            if driven.is_err() {
                // The host closed the library's descriptors, for example with `closefrom`. Shutting the reactor down
                // would use descriptor numbers that may now belong to the host.
                std::mem::forget(reactor);
                self.state.lock().stopping = true;
                return;
            }
            match self.follow(reactor) {
                Some(again) => reactor = again,
                None => return,
            }
        }
    }

    fn should_follow(&self) -> bool {
        let state = self.state.lock();
        state.stopping
            || (state.in_flight == 0 && state.for_io_thread == 0 && state.alone_in_a_row >= ALONE_IN_A_ROW)
    }

    /// Waits until the I/O thread has to drive again. Returns `None` when the runtime stops.
    fn follow(&self, reactor: Reactor) -> Option<Reactor> {
        let mut state = self.state.lock();
        state.alone_in_a_row = 0;
        state.reactor = Some(reactor);
        // Give the calls that follow one interval before the check below.
        state.turned = true;
        loop {
            let work = state.in_flight > 0 || state.for_io_thread > 0 || !state.jobs.is_empty();
            // True when no thread drives, or when callers drive only calls that finish at once, so that
            // timers are never polled.
            let stands = !state.turned && !state.asleep;
            if (state.stopping || work || stands)
                && let Some(reactor) = state.reactor.take()
            {
                state.wanted = false;
                if state.stopping {
                    let left = std::mem::take(&mut state.jobs);
                    drop(state);
                    // Dropping the jobs fails the calls that wait for them.
                    drop(left);
                    // Dropping the running tasks fails their calls too.
                    let _ = catch_unwind(AssertUnwindSafe(|| reactor.shut_down()));
                    // The waker refers to the reactor and the reactor to this state. Without this, each
                    // stopped runtime would leak its descriptors.
                    let taker = self.state.lock().taker.take();
                    drop(taker);
                    return None;
                }
                return Some(reactor);
            }
            state.wanted = stands;
            state.turned = false;
            state = self.changed.wait_timeout(state, CLOSE);
        }
    }

    /// Waits until a driving caller has to stop driving, and returns the reason.
    pub async fn leave(&self) -> Leave {
        loop {
            {
                let state = self.state.lock();
                if state.stopping {
                    return Leave::Stopped;
                }
                if state.for_io_thread > 0 {
                    return Leave::ForIoThread;
                }
            }
            self.look_up.notified().await;
        }
    }

    /// Stops the runtime: a driving caller stops driving, and the I/O thread shuts the reactor down.
    pub fn stop(&self) {
        self.state.lock().stopping = true;
        self.changed.notify_one();
        self.look_up.notify_one();
    }

    /// Returns the submitted jobs to the task that starts them.
    fn poll_jobs(&self, context: &Context<'_>) -> Poll<Vec<Job>> {
        let mut state = self.state.lock();
        if state.jobs.is_empty() {
            match &mut state.taker {
                Some(taker) => taker.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
            return Poll::Pending;
        }
        Poll::Ready(std::mem::take(&mut state.jobs))
    }

    /// Makes the calling thread the I/O thread, for a simulation that runs the jobs itself.
    #[cfg(test)]
    pub fn simulated() -> Arc<Self> {
        let leadership = Leadership::new();
        let _ = leadership.io_thread.set(thread::current().id());
        leadership
    }

    /// Waits for submitted jobs, and returns them to the simulation.
    #[cfg(test)]
    pub async fn jobs(&self) -> Vec<Job> {
        poll_fn(|context| {
            let jobs = self.poll_jobs(context);
            self.state.lock().asleep = jobs.is_pending();
            jobs
        })
        .await
    }

    /// Runs before the driving thread sleeps. Prevents the sleep if there are jobs.
    fn before_sleep(&self) {
        let mut state = self.state.lock();
        // Several calls have finished, and each caller may be about to make its next one. Letting those
        // callers run first is cheaper than being woken by each of them.
        if std::mem::take(&mut state.done) > 1 {
            drop(state);
            std::thread::yield_now();
            state = self.state.lock();
        }
        state.turned = true;
        if state.jobs.is_empty() {
            state.asleep = true;
            return;
        }
        let taker = state.taker.clone();
        drop(state);
        taker.iter().for_each(Waker::wake_by_ref);
    }

    /// Runs when the driving thread wakes.
    fn after_sleep(&self) {
        self.state.lock().asleep = false;
    }
}

/// Why a caller has to stop driving.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Leave {
    /// The runtime is stopping.
    Stopped,
    /// Work is pending that only the I/O thread may do.
    ForIoThread,
}

/// Runs work that no caller may do on the I/O thread.
#[derive(Clone)]
pub struct IoThread(Arc<Leadership>);

impl IoThread {
    pub(super) fn of(leadership: &Arc<Leadership>) -> Self {
        IoThread(leadership.clone())
    }

    /// Runs `work` as part of the task that awaits this, but on the I/O thread only.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let leadership = &self.0;
        let _reserved = Reserved::new(leadership);
        let mut work = std::pin::pin!(work);
        poll_fn(|context| leadership.poll_on_io_thread(work.as_mut(), context)).await
    }
}

/// Prevents callers from driving while it exists.
struct Reserved<'a>(&'a Leadership);

impl<'a> Reserved<'a> {
    fn new(leadership: &'a Leadership) -> Self {
        leadership.state.lock().for_io_thread += 1;
        // Makes a caller that is driving stop.
        leadership.look_up.notify_one();
        Reserved(leadership)
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.0.state.lock().for_io_thread -= 1;
    }
}

impl Leadership {
    fn poll_on_io_thread<T>(
        &self,
        work: Pin<&mut impl Future<Output = T>>,
        context: &mut Context<'_>,
    ) -> Poll<T> {
        if self.io_thread.get() == Some(&thread::current().id()) {
            return work.poll(context);
        }
        let waker = context.waker();
        let mut state = self.state.lock();
        if !state.io_thread_wakers.iter().any(|known| known.will_wake(waker)) {
            state.io_thread_wakers.push(waker.clone());
        }
        Poll::Pending
    }
}

/// A submitted call. Dropping it marks the call as finished.
pub struct InFlight(Arc<Leadership>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.in_flight -= 1;
        state.done += 1;
        state.last_done = Instant::now();
        if state.in_flight == 0 && state.alone_in_a_row >= ALONE_IN_A_ROW {
            self.0.look_up.notify_one();
        }
    }
}
