//! Workers: each polls a task queue, and opens the activities of its tasks.
//!
//! | file | what it does |
//! |---|---|
//! | here | the open workers, and the life of one |
//! | `options` | reads the options |
//! | `poller` | polls: how many polls there are at once, pauses after errors, the rate limit |
//! | `arrival` | opens a task's activity, decodes its values, and hands back an untaken task |
//! | `task` | one task, and the slot that it occupies |
//! | `ready_queue` | the tasks that the caller can take |
//! | `heartbeat` | reports the worker to the server, and ends it there |

mod arrival;
mod heartbeat;
pub mod options;
mod poller;
mod ready_queue;
pub mod task;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Semaphore;

use crate::{
    activity::{Activities, Began, handle::WORKERS, handle_table::HandleTable},
    client::Client,
    model::{
        deadline::{Deadline, Timeout, unless_stopped},
        error::{Error, Result},
        status::Status,
    },
    runtime,
    sys::{
        clock::Moment,
        stack_dump,
        sync::{Mutex, Notify},
    },
};
use arrival::Arrival;
use heartbeat::Counts;
use options::WorkerOptions;
use poller::Polling;
pub use ready_queue::End;
use ready_queue::ReadyQueue;
use task::Task;

/// How long the polls may bring tasks after a shutdown has begun, before the server is asked to end them.
const RELEASE_DELAY: Duration = Duration::from_millis(500);
/// How long a worker must have had no task before the server is asked to end the polls. It covers the retries of tasks that the
/// shutdown has failed: their default interval is a second.
const QUIET_TIME: Duration = Duration::from_secs(2);
/// How often a waiting shutdown checks whether the polls have ended, beside its notification.
const LONGEST_NAP: Duration = Duration::from_secs(1);

/// The open workers of the process.
pub struct Workers {
    open: HandleTable<Worker>,
}

/// A worker.
pub struct Worker {
    options: WorkerOptions,
    /// Names the worker to the server. After a shutdown it gets no more tasks, so each worker has its own.
    key: String,
    activities: &'static Activities,
    began: Began,
    client: Arc<Client>,
    ready: ReadyQueue,
    slots: Arc<Semaphore>,
    polling: Mutex<Polling>,
    counts: Counts,
    is_stopping: AtomicBool,
    /// Wakes pollers that wait, when the worker stops.
    stopped: Notify,
    /// Wakes tasks that wait for the end of the polls.
    idle: Notify,
}

impl Workers {
    /// Creates the set, without a worker, for a process with this fork count.
    pub fn new(fork: u32) -> Self {
        Workers { open: HandleTable::new(WORKERS, fork) }
    }

    /// Opens a worker, which polls as soon as [`run`] runs. Returns the number of its handle, and the worker.
    pub fn open(
        &self,
        options: WorkerOptions,
        activities: &'static Activities,
        began: Began,
        client: Arc<Client>,
    ) -> Result<(u64, Arc<Worker>)> {
        let worker = Arc::new(Worker {
            key: format!("{:032x}", fastrand::u128(..)),
            slots: Arc::new(Semaphore::new(options.max_concurrent)),
            polling: Mutex::new(Polling::new(&options)),
            ready: ReadyQueue::new()?,
            options,
            activities,
            began,
            client,
            counts: Counts::default(),
            is_stopping: AtomicBool::new(false),
            stopped: Notify::new(),
            idle: Notify::new(),
        });
        Ok((self.open.add(worker.clone())?, worker))
    }

    /// Returns an open worker.
    pub fn get(&self, number: u64) -> Result<Arc<Worker>> {
        self.open.get(number)
    }

    /// Makes a worker's handle invalid, and returns the worker.
    pub fn remove(&self, number: u64) -> Result<Arc<Worker>> {
        self.open.remove(number)
    }

    /// Ends all polls, and hands back the untaken tasks, until the deadline.
    pub async fn end_all(&self, deadline: &Deadline) {
        let workers = self.open.all();
        for worker in &workers {
            worker.stop();
            worker.hand_back_untaken(End::Disconnected).await;
        }
        for worker in workers {
            // A poll that outlasts the deadline ends with the client.
            let _ = worker.until_idle(deadline).await;
        }
    }

    /// Closes all workers, because the client ends.
    pub fn close_all(&self) {
        for worker in self.open.remove_all() {
            worker.stop();
            drop(worker.ready.end(End::Disconnected));
        }
    }
}

impl Worker {
    /// Returns the next task. Waits for one; `None`: the time is over. An error of polling is returned once.
    pub fn next(&self, deadline: &Deadline) -> Result<Option<Box<Task>>> {
        let task = self.ready.next(deadline)?;
        if let Some(task) = &task {
            let thread = stack_dump::current_thread();
            // The activity may have been closed since.
            let _ = self.activities.registry.handle(task.activity).and_then(|handle| {
                self.activities.registry.with(handle, |activity| activity.set_thread(thread))
            });
        }
        Ok(task)
    }

    /// Opens a descriptor that is readable while [`Worker::next`] has a result. The caller closes it.
    pub fn open_fd(&self) -> Result<i32> {
        self.ready.open_fd()
    }

    /// Returns how many polls wait at the server, and whether the server can end them early.
    #[cfg(feature = "cli")]
    pub fn polls(&self) -> (usize, bool) {
        (self.polling.lock().polls, self.client.capabilities().releases_polls())
    }

    /// Returns whether a poll has succeeded.
    #[cfg(feature = "cli")]
    pub fn has_polled(&self) -> bool {
        self.polling.lock().last_success.is_some()
    }

    /// Begins no more polls.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        self.stopped.notify_waiters();
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    async fn until_stopped(&self) {
        loop {
            let woken = self.stopped.notified();
            if self.is_stopping() {
                return;
            }
            woken.await;
        }
    }

    /// Runs `work` until it ends. Returns `None` if the worker stops first.
    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        if self.is_stopping() {
            return None;
        }
        unless_stopped(std::pin::pin!(work), self.until_stopped()).await
    }

    /// Waits until no poll is outstanding, and each task that has arrived can be taken.
    pub async fn until_idle(&self, deadline: &Deadline) -> Result<()> {
        loop {
            let woken = self.idle.notified();
            if self.polling.lock().is_idle() {
                return Ok(());
            }
            let left = deadline.remaining();
            if left.is_zero() {
                return Err(Error::new(
                    Status::Timeout,
                    "polls are still in progress, and aborting them could lose a task: call again",
                ));
            }
            let _ = deadline.unless_cancelled(tokio::time::timeout(left.min(LONGEST_NAP), woken)).await;
        }
    }

    /// Waits until no task has arrived for a while. A server passes on polls from one partition of the queue to another. If it
    /// ends such a poll early, it loses the task that the other partition is just sending.
    async fn until_quiet(&self) {
        let mut left = RELEASE_DELAY;
        while !left.is_zero() && self.until_idle(&Deadline::within(left)).await.is_err() {
            let quiet = Moment::now().since(self.polling.lock().quiet_since);
            left = QUIET_TIME.saturating_sub(quiet);
        }
    }

    /// Closes the worker at once. Returns the work that fails the untaken tasks as retryable; [`Worker::until_idle`] waits for
    /// it. Tasks that arrive later fail too.
    pub fn hand_back_untaken(self: &Arc<Self>, end: End) -> impl Future<Output = ()> + Send + use<> {
        let untaken = self.ready.end(end).into_iter().flatten();
        let untaken: Vec<_> = untaken.map(|task| (task, Arrival::begin(self))).collect();
        let worker = self.clone();
        async move {
            for (task, arrival) in untaken {
                let worker = worker.clone();
                drop(runtime::spawn(async move {
                    worker.hand_back_open(task, "Shutdown", arrival::CLOSED).await;
                    drop(arrival);
                }));
            }
        }
    }
}

/// Polls and reports the worker to the server, until it has stopped and all polls have ended.
pub async fn run(worker: Arc<Worker>) {
    poller::begin(&worker);
    worker.report_until_stopped().await;
    worker.until_quiet().await;
    let has_reported_end = worker.release_polls().await;
    // Without limit: aborting a poll could lose a task.
    let _ = worker.until_idle(&Timeout::Forever.start_waiting()).await;
    drop(worker.ready.end(End::ShutDown));
    if !has_reported_end {
        worker.report_end().await;
    }
}
