//! Takes tasks: a slot first, then a poll, so that no task waits for a slot.

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

/// The pause after the first poll that failed.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// By how much each pause is longer than the one before.
const PAUSE_GROWTH: u32 = 2;
/// The longest pause; and the shortest when the server asks for fewer requests.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const SLOW_PAUSE: Duration = Duration::from_secs(1);

/// Polls until no more tasks are to be taken.
pub fn run<'scope, 'env>(scope: &'scope Scope<'scope, 'env>, worker: &'env Worker) {
    let mut backoff = Backoff::default();
    while let Some(mut slot) = worker.slots.take() {
        match task_queue::next(&worker.queue) {
            Ok(task) => {
                worker.polled.store(true, Ordering::Relaxed);
                backoff = Backoff::default();
                let Some(task) = task else { continue };
                slot.fill();
                if worker.slots.are_closed() {
                    task::hand_back(&task, "Shutdown", "the worker is shutting down");
                    continue;
                }
                let token = task.token.clone();
                let run = move || {
                    task::run(worker, task);
                    drop(slot);
                };
                if let Err(why) = thread::Builder::new().name("task".into()).spawn_scoped(scope, run) {
                    task::hand_back_token(
                        &token,
                        "Worker",
                        &format!("no thread can be started for it: {why}"),
                    );
                    worker.slots.pause(backoff.next());
                }
            }
            Err(error) => {
                drop(slot);
                if !error.is_retryable() && !worker.polled.load(Ordering::Relaxed) {
                    worker.fail(error);
                    return;
                }
                if backoff.is_first() {
                    console::warning(&format!("polling failed, and goes on: {error}"));
                }
                worker.slots.pause(backoff.after(&error));
            }
        }
    }
}

/// The backoff between polls that fail.
#[derive(Default)]
struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    fn is_first(&self) -> bool {
        self.last.is_none()
    }

    fn next(&mut self) -> Duration {
        let pause = self.last.map_or(FIRST_PAUSE, |last| (last * PAUSE_GROWTH).min(LONGEST_PAUSE));
        self.last = Some(pause);
        // Up to a third shorter, so that many workers don't come back together.
        pause.mul_f64(1.0 - 0.3 * fastrand::f64())
    }

    fn after(&mut self, error: &Error) -> Duration {
        let slow = error.status() == Status::ResourceExhausted || !error.is_retryable();
        if slow { SLOW_PAUSE.max(self.next()) } else { self.next() }
    }
}
