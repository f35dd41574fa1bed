//! Completion queues: calls are submitted, and the results of many calls are taken from one queue.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::{
    activity::{
        handle::{QUEUES, invalid},
        handle_table::HandleTable,
    },
    model::{
        deadline::{Cancellation, Deadline},
        details::Details,
        error::{Error, Result},
        signals::Signals,
        status::Status,
    },
    runtime::{
        self,
        waitable::{Readiness, Waitable},
    },
    sys::sync::Mutex,
};

/// The most calls whose completions weren't taken, in the process.
pub const MAX_CALLS: usize = 65_536;
/// The most bytes of input of these calls.
pub const MAX_BYTES: usize = 64 << 20;

/// The open queues of the process.
pub struct Queues {
    open: HandleTable<Queue>,
    load: Arc<Load>,
}

/// The submitted calls of the process.
#[derive(Default)]
struct Load {
    /// Calls whose completions weren't taken.
    calls: AtomicUsize,
    bytes: AtomicUsize,
    /// Calls that haven't ended.
    running: AtomicUsize,
}

/// A queue of completions.
pub struct Queue {
    state: Waitable<State>,
    load: Arc<Load>,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    /// Whether the waiting threads will be woken, or have been woken since they last found nothing.
    is_notified: bool,
    ready: VecDeque<Completion>,
    /// The calls that haven't ended, by the caller's number and their own.
    running: BTreeMap<(u64, u64), Arc<SubmittedCall>>,
    /// The entries whose calls haven't begun.
    reserved: usize,
    submitted: u64,
}

/// The result of a submitted call.
pub struct Completion {
    /// The number that the caller gave the call.
    pub user_data: u64,
    /// What the call returned.
    pub outcome: Result<Answer>,
    /// The call's share of the limits, until the completion is taken.
    _share: Share,
}

/// What a call returns when it succeeds.
pub enum Answer {
    /// Nothing more.
    Done,
    /// The server's signals.
    Signals(Signals),
    /// Details.
    Details(Details),
}

impl From<()> for Answer {
    fn from((): ()) -> Self {
        Answer::Done
    }
}

impl From<Signals> for Answer {
    fn from(signals: Signals) -> Self {
        Answer::Signals(signals)
    }
}

impl From<Details> for Answer {
    fn from(details: Details) -> Self {
        Answer::Details(details)
    }
}

/// A call's share of the limits, and of the memory for completions. Dropping it returns the share.
struct Share {
    load: Arc<Load>,
    bytes: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.load.calls.fetch_sub(1, Ordering::AcqRel);
        self.load.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// Returns what the completion has, given the call's outcome, or the reason why there is none.
type Resolve = Box<dyn FnOnce(Result<Result<Answer>>) -> Result<Answer> + Send>;

/// The session of a call that a disconnect doesn't end.
pub const OUTLIVES_SESSIONS: u64 = 0;

/// The entry of a call in a queue, before the call begins.
pub struct Entry {
    queue: Arc<Queue>,
    user_data: u64,
    /// `None` once the call has begun.
    share: Option<Share>,
}

/// A call that was submitted.
struct SubmittedCall {
    queue: Arc<Queue>,
    key: (u64, u64),
    /// The session whose end is the end of the call.
    session: u64,
    cancellation: Arc<Cancellation>,
    /// `None` once the call has ended.
    pending: Mutex<Option<(Share, Resolve)>>,
}

impl Readiness for State {
    fn is_ready(&self) -> bool {
        self.is_closed || !self.ready.is_empty()
    }
}

impl Queues {
    /// Creates the set, without a queue, for a process with this fork count.
    pub fn new(fork: u32) -> Self {
        Queues { open: HandleTable::new(QUEUES, fork), load: Arc::default() }
    }

    /// Opens a queue. Returns the number of its handle.
    pub fn open(&self) -> Result<u64> {
        self.open.add(Arc::new(Queue { state: Waitable::new("queue")?, load: self.load.clone() }))
    }

    /// Returns an open queue.
    pub fn get(&self, number: u64) -> Result<Arc<Queue>> {
        self.open.get(number)
    }

    /// Closes a queue. Its calls continue, and their completions are dropped.
    pub fn close(&self, number: u64) -> Result<()> {
        let queue = self.open.remove(number)?;
        let mut state = queue.state.lock();
        state.is_closed = true;
        let dropped = std::mem::take(&mut state.ready);
        drop(state);
        drop(dropped);
        queue.state.notify_all();
        Ok(())
    }

    /// Ends the calls of a session that haven't ended, because the session ends. Their completions are ready then.
    pub fn end_calls_of(&self, session: u64) {
        for queue in self.open.all() {
            let is_of_session = |call: &&Arc<SubmittedCall>| call.session == session;
            let calls: Vec<_> = queue.state.lock().running.values().filter(is_of_session).cloned().collect();
            for call in calls {
                call.end(Err(runtime::disconnected()));
            }
            queue.state.notify();
        }
    }

    /// Returns whether calls haven't ended.
    pub fn has_running_calls(&self) -> bool {
        self.load.running.load(Ordering::Acquire) > 0
    }
}

impl Queue {
    /// Reserves an entry for a call, and the memory of its completion.
    pub fn reserve(self: &Arc<Self>, user_data: u64) -> Result<Entry> {
        let calls = self.load.calls.fetch_add(1, Ordering::AcqRel);
        let share = Share { load: self.load.clone(), bytes: 0 };
        if calls >= MAX_CALLS {
            return Err(limit(format!(
                "{MAX_CALLS} submitted calls are outstanding, which is the limit; take completions first"
            )));
        }
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(invalid());
        }
        let capacity = state.running.len() + state.reserved + 1;
        state.ready.try_reserve(capacity).map_err(|_| limit("no memory for the completion".to_owned()))?;
        state.reserved += 1;
        Ok(Entry { queue: self.clone(), user_data, share: Some(share) })
    }

    /// Cancels the calls with this number that haven't ended.
    pub fn cancel(&self, user_data: u64) {
        let state = self.state.lock();
        let calls = state.running.range((user_data, 0)..=(user_data, u64::MAX));
        let calls: Vec<_> = calls.map(|(_, call)| call.cancellation.clone()).collect();
        drop(state);
        calls.iter().for_each(|cancellation| cancellation.cancel());
    }

    /// Takes the completions that are ready, at most `max`. Waits for the first; returns none on timeout.
    pub fn next(&self, max: usize, deadline: &Deadline) -> Result<Vec<Completion>> {
        let taken = self.state.wait(deadline, |state| {
            if state.ready.is_empty() {
                return state.is_closed.then(|| Err(invalid()));
            }
            let count = max.min(state.ready.len());
            let taken = state.ready.drain(..count).collect();
            if state.ready.is_empty() {
                state.is_notified = false;
            }
            Some(Ok(taken))
        });
        taken.unwrap_or_else(|| Ok(Vec::new()))
    }

    /// Opens a descriptor that is readable while completions are ready. The caller closes it.
    pub fn open_fd(&self) -> Result<i32> {
        self.state.open_fd()
    }

    /// Returns whether the waiting threads have to be woken.
    fn complete(&self, key: (u64, u64), completion: Completion) -> bool {
        let mut state = self.state.lock();
        state.running.remove(&key);
        self.load.running.fetch_sub(1, Ordering::AcqRel);
        if state.is_closed {
            return false;
        }
        state.ready.push_back(completion);
        !std::mem::replace(&mut state.is_notified, true)
    }
}

impl Entry {
    /// Adds the size of the call's input to the call's share of the limits.
    pub fn add_bytes(&mut self, bytes: usize) -> Result<()> {
        let Some(share) = &mut self.share else { return Ok(()) };
        let load = &self.queue.load.bytes;
        let added = load.fetch_update(Ordering::AcqRel, Ordering::Acquire, |before| {
            before.checked_add(bytes).filter(|sum| *sum <= MAX_BYTES)
        });
        added.map_err(|_| {
            limit(format!(
                "submitted calls hold {} MiB of input, which is the limit; take completions first",
                MAX_BYTES >> 20
            ))
        })?;
        share.bytes += bytes;
        Ok(())
    }

    /// Notes that the call runs.
    pub fn begin(mut self, session: u64, cancellation: Arc<Cancellation>, resolve: Resolve) -> RunningCall {
        let mut state = self.queue.state.lock();
        state.submitted += 1;
        let key = (self.user_data, state.submitted);
        let pending = Mutex::new(self.share.take().map(|share| (share, resolve)));
        let queue = self.queue.clone();
        let call = Arc::new(SubmittedCall { queue, key, session, cancellation, pending });
        state.reserved -= 1;
        state.running.insert(key, call.clone());
        self.queue.load.running.fetch_add(1, Ordering::AcqRel);
        RunningCall(call)
    }

    /// Ends a call that has nothing to do.
    pub fn complete(self, answer: Answer) {
        self.begin(OUTLIVES_SESSIONS, Arc::default(), Box::new(|outcome| outcome?)).end_now(Ok(answer));
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.share.is_some() {
            self.queue.state.lock().reserved -= 1;
        }
    }
}

impl SubmittedCall {
    /// Ends the call, once, with its outcome or the reason why there is none. Returns whether the waiting threads have to
    /// be woken.
    fn end(&self, outcome: Result<Result<Answer>>) -> bool {
        // Locked until the completion is in the queue: a disconnect that finds the call ended relies on that.
        let mut pending = self.pending.lock();
        let Some((share, resolve)) = pending.take() else { return false };
        let completion = Completion { user_data: self.key.0, outcome: resolve(outcome), _share: share };
        self.queue.complete(self.key, completion)
    }
}

/// A submitted call that runs. Dropping it ends the call without an outcome.
pub struct RunningCall(Arc<SubmittedCall>);

impl RunningCall {
    /// Ends the call, in a task of the runtime.
    pub fn end(self, outcome: Result<Answer>) {
        if self.0.end(Ok(outcome)) {
            // After the tasks that are ready now, so that their completions wake the waiting threads once.
            let notifier = Notifier(self.0.queue.clone());
            runtime::soon(move || drop(notifier));
        }
    }

    /// Ends the call, in any thread.
    fn end_now(self, outcome: Result<Answer>) {
        if self.0.end(Ok(outcome)) {
            self.0.queue.state.notify();
        }
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        let why = || if thread::panicking() { runtime::panics::status() } else { runtime::disconnected() };
        if self.0.end(Err(why())) {
            self.0.queue.state.notify();
        }
    }
}

/// Wakes the waiting threads when it is dropped, also by a runtime that stops.
struct Notifier(Arc<Queue>);

impl Drop for Notifier {
    fn drop(&mut self) {
        self.0.state.notify();
    }
}

fn limit(why: String) -> Error {
    Error::new(Status::LocalLimit, why)
}
