//! Whose turn it is to drive the reactor, and the work that is waiting for it.
//!
//! Nothing in the reactor moves but by the thread that drives it, which is one at a time. As a rule that is the I/O thread:
//! callers hand their work over to it and sleep. For a caller that has nobody beside it the two changes of threads are most
//! of the price of a call. So when calls come one at a time and close together, the I/O thread steps back, and each caller takes
//! the reactor and drives it itself for as long as its call lasts. As soon as calls overlap, or none come any more, the I/O
//! thread steps in again.
//!
//! Some work runs on the I/O thread only ([`IoThread`]): a TLS handshake needs more stack than a caller may have, and what makes sockets and
//! threads must not inherit a caller's network namespace, signal mask or affinity. While there is such work, no caller drives.

use std::{
    future::{Future, poll_fn},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Poll, Waker},
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::reactor::{Job, Reactor};
use crate::sys;

/// After so many calls that came alone the I/O thread steps back.
const ALONE_IN_A_ROW: u32 = 16;
/// A call that comes so long after the one before isn't close to it: there is nothing to be saved. And so long the reactor may
/// stand still before the I/O thread steps in: what is late then is the beats of open activities and the answers to pings.
const CLOSE: Duration = Duration::from_millis(5);

/// The reactor while nobody drives it, and who waits for what.
pub struct Leadership {
    state: Mutex<State>,
    /// For the I/O thread while it isn't its leadership.
    changed: Condvar,
    /// Tells whoever drives to look whether he should go on.
    look_up: Notify,
    /// Which thread the I/O thread is, once it has started.
    io_thread: OnceLock<ThreadId>,
}

struct State {
    /// Not there while somebody drives it.
    reactor: Option<Reactor>,
    jobs: Vec<Job>,
    /// Wakes the task that takes the jobs.
    taker: Option<Waker>,
    /// Whether whoever drives is asleep, and has to be woken for a job.
    asleep: bool,
    stopping: bool,
    /// Calls that were handed over and aren't done yet.
    in_flight: usize,
    /// How many were done since the driver slept.
    done: usize,
    alone_in_a_row: u32,
    last_done: Instant,
    /// Whether whoever drives has looked at sockets and timers since the I/O thread looked at him.
    turned: bool,
    /// The I/O thread wants it back: no caller takes it before.
    wanted: bool,
    /// How many futures only the I/O thread may poll, and what wakes those that a caller came to poll.
    for_io_thread: usize,
    io_thread_wakers: Vec<Waker>,
}

/// What a caller may do.
pub enum Role {
    /// Drive, and give it back.
    Lead(Reactor),
    /// Leave the work to whoever drives.
    Follow(InFlight),
    /// Nothing: it is over.
    Stopped,
}

impl Leadership {
    /// With a reactor that nobody drives yet.
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

    /// A reactor for it.
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

    /// A caller comes, who `may_drive` or has to leave that to others.
    pub fn try_lead(self: &Arc<Self>, may_drive: bool) -> Role {
        let mut state = self.lock();
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

    /// A caller that drove leaves its call to the I/O thread.
    pub fn hand_over(self: &Arc<Self>) -> InFlight {
        self.lock().in_flight += 1;
        InFlight(self.clone())
    }

    /// Leaves work to whoever drives; or drops it, when it is over.
    pub fn submit(&self, job: Job) {
        let mut state = self.lock();
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

    /// A caller has driven for long enough.
    pub fn release(&self, reactor: Reactor) {
        let mut state = self.lock();
        state.reactor = Some(reactor);
        if state.in_flight > 0 || state.stopping || state.wanted || state.for_io_thread > 0 {
            self.changed.notify_one();
        }
    }

    /// The I/O thread, which starts with the reactor, drives whenever nobody else does, and ends when it is over.
    pub fn drive(&self, mut reactor: Reactor) {
        let _ = self.io_thread.set(thread::current().id());
        loop {
            let wakers = std::mem::take(&mut self.lock().io_thread_wakers);
            wakers.into_iter().for_each(Waker::wake);
            let driven = catch_unwind(AssertUnwindSafe(|| {
                reactor.run(async {
                    while !self.should_follow() {
                        self.look_up.notified().await;
                    }
                });
            }));
            if driven.is_err() {
                // Its descriptors were closed behind our back, by a host that closes all that it doesn't know: to take it down would
                // be to use them.
                std::mem::forget(reactor);
                self.lock().stopping = true;
                return;
            }
            match self.follow(reactor) {
                Some(again) => reactor = again,
                None => return,
            }
        }
    }

    fn should_follow(&self) -> bool {
        let state = self.lock();
        state.stopping
            || (state.in_flight == 0 && state.for_io_thread == 0 && state.alone_in_a_row >= ALONE_IN_A_ROW)
    }

    /// Waits for the turn to drive again; `None` when it is over.
    fn follow(&self, reactor: Reactor) -> Option<Reactor> {
        let mut state = self.lock();
        state.alone_in_a_row = 0;
        state.reactor = Some(reactor);
        // For the calls that come now.
        state.turned = true;
        loop {
            let work = state.in_flight > 0 || state.for_io_thread > 0 || !state.jobs.is_empty();
            // Nobody drives; or callers do whose calls are over at once, one after the other, and so never come to look at timers.
            let stands = !state.turned && !state.asleep;
            if (state.stopping || work || stands)
                && let Some(reactor) = state.reactor.take()
            {
                state.wanted = false;
                if state.stopping {
                    let left = std::mem::take(&mut state.jobs);
                    drop(state);
                    // Whoever waits for one of them, or for one that has begun, is told so by its end.
                    drop(left);
                    // For the same reason.
                    let _ = catch_unwind(AssertUnwindSafe(|| reactor.shut_down()));
                    // It keeps what is left of the reactor, which keeps us: a descriptor or two each time.
                    let taker = self.lock().taker.take();
                    drop(taker);
                    return None;
                }
                return Some(reactor);
            }
            state.wanted = stands;
            state.turned = false;
            state = self.changed.wait_timeout(state, CLOSE).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// For a caller that drives: waits until it has to stop doing so, and says why.
    pub async fn leave(&self) -> Leave {
        loop {
            {
                let state = self.lock();
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

    /// It is over: whoever drives leaves, and the I/O thread puts the reactor away.
    pub fn stop(&self) {
        self.lock().stopping = true;
        self.changed.notify_one();
        self.look_up.notify_one();
    }

    /// The next jobs, for the task that starts them.
    fn poll_jobs(&self, context: &Context<'_>) -> Poll<Vec<Job>> {
        let mut state = self.lock();
        if state.jobs.is_empty() {
            match &mut state.taker {
                Some(taker) => taker.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
            return Poll::Pending;
        }
        Poll::Ready(std::mem::take(&mut state.jobs))
    }

    /// Whoever drives is about to sleep, unless there is more to do.
    fn before_sleep(&self) {
        let mut state = self.lock();
        // Several have their answers, and may each be about to make the next call: it is cheaper to let them do so first than to be
        // woken by each.
        if std::mem::take(&mut state.done) > 1 {
            drop(state);
            std::thread::yield_now();
            state = self.lock();
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

    /// Whoever drives is awake.
    fn after_sleep(&self) {
        self.lock().asleep = false;
    }

    /// Held for a few instructions at a time; what panics in between leaves the state whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a caller has to stop driving.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Leave {
    /// It is over.
    Stopped,
    /// There is work that only the I/O thread may do.
    ForIoThread,
}

/// The I/O thread, for work that no caller may do.
#[derive(Clone)]
pub struct IoThread(Arc<Leadership>);

impl IoThread {
    pub(super) fn of(leadership: &Arc<Leadership>) -> Self {
        IoThread(leadership.clone())
    }

    /// The calling thread, for a simulation that runs everything in it.
    #[cfg(test)]
    pub fn calling() -> Self {
        let leadership = Leadership::new();
        let _ = leadership.io_thread.set(thread::current().id());
        IoThread(leadership)
    }

    /// Runs `work` as part of the task that awaits this, but on the I/O thread only.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let leadership = &self.0;
        let _reserved = Reserved::new(leadership);
        let mut work = std::pin::pin!(work);
        poll_fn(|context| leadership.poll_on_io_thread(work.as_mut(), context)).await
    }
}

/// Keeps callers from driving while it lives.
struct Reserved<'a>(&'a Leadership);

impl<'a> Reserved<'a> {
    fn new(leadership: &'a Leadership) -> Self {
        leadership.lock().for_io_thread += 1;
        // A caller that drives now has to leave.
        leadership.look_up.notify_one();
        Reserved(leadership)
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.0.lock().for_io_thread -= 1;
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
        let mut state = self.lock();
        if !state.io_thread_wakers.iter().any(|known| known.will_wake(waker)) {
            state.io_thread_wakers.push(waker.clone());
        }
        Poll::Pending
    }
}

/// A call that was handed over, until it is dropped.
pub struct InFlight(Arc<Leadership>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.in_flight -= 1;
        state.done += 1;
        state.last_done = Instant::now();
        if state.in_flight == 0 && state.alone_in_a_row >= ALONE_IN_A_ROW {
            self.0.look_up.notify_one();
        }
    }
}
