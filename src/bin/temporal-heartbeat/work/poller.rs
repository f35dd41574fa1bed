//! Polls for tasks. A poller takes a slot before it polls, so a task never waits for a slot.

use std::{
    sync::atomic::Ordering,
    thread::{self, Scope},
    time::Duration,
};

use temporal_heartbeat::{
    api::task_queue,
    model::{error::Error, status::Status},
};

use super::{Worker, task};
use crate::console;

/// The pause after the first failed poll.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The factor between a pause and the next.
const PAUSE_FACTOR: u32 = 2;
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// The shortest pause after an error that a quick retry doesn't help.
const MIN_SLOW_PAUSE: Duration = Duration::from_secs(1);

/// Polls until the worker shuts down or has taken its last task.
pub fn run<'scope, 'env>(scope: &'scope Scope<'scope, 'env>, worker: &'env Worker) {
    let mut backoff = Backoff::default();
    while let Some(mut slot) = worker.slots.take() {
        match task_queue::next(&worker.queue) {
            Ok(task) => {
                worker.has_polled.store(true, Ordering::Relaxed);
                if worker.is_polling_failed.swap(false, Ordering::Relaxed) {
                    console::notice("polling works again");
                }
                backoff = Backoff::default();
                let Some(task) = task else { continue };
                slot.count_task();
                if worker.slots.is_closed() {
                    task::hand_back(&task.token, "Shutdown", "the worker is shutting down");
                    continue;
                }
                let token = task.token.clone();
                let run = move || {
                    task::run(worker, task);
                    drop(slot);
                };
                if let Err(why) = thread::Builder::new().name("task".into()).spawn_scoped(scope, run) {
                    task::hand_back(&token, "Worker", &format!("can't start a thread: {why}"));
                    worker.slots.pause(backoff.next_pause());
                }
            }
            Err(error) => {
                drop(slot);
                if worker.slots.is_closed() {
                    return;
                }
                if !error.is_retryable() && !worker.has_polled.load(Ordering::Relaxed) {
                    worker.fail(error);
                    return;
                }
                // Not by each of the pollers.
                if !worker.is_polling_failed.swap(true, Ordering::Relaxed) {
                    console::warning(&format!("polling failed and is retried: {}", console::words(&error)));
                }
                worker.slots.pause(backoff.next_pause_after(&error));
            }
        }
    }
}

/// The pauses between failed polls.
#[derive(Default)]
struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    fn next_pause(&mut self) -> Duration {
        let pause = self.last.map_or(FIRST_PAUSE, |last| (last * PAUSE_FACTOR).min(MAX_PAUSE));
        self.last = Some(pause);
        // Up to a third shorter, so that many workers don't retry at the same time.
        pause.mul_f64(1.0 - 0.3 * fastrand::f64())
    }

    fn next_pause_after(&mut self, error: &Error) -> Duration {
        let is_slow = error.status() == Status::ResourceExhausted || !error.is_retryable();
        if is_slow { self.next_pause().max(MIN_SLOW_PAUSE) } else { self.next_pause() }
    }
}
