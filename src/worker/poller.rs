//! Polls a task queue. A poller takes a slot before it polls, so a task never waits for a slot.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::OwnedSemaphorePermit;

use super::{Worker, options::WorkerOptions, task::Slot};
use crate::{
    client::{backoff::Backoff, rpc_error::RpcError},
    model::status::Status,
    proto::temporal::api::{
        deployment::v1::WorkerDeploymentOptions,
        enums::v1::WorkerVersioningMode,
        taskqueue::v1::{PollerGroupsInfo, TaskQueue},
        workflowservice::v1::{PollActivityTaskQueueRequest, PollActivityTaskQueueResponse},
    },
    runtime::{self, restarted_after_panics},
    sys::clock::Moment,
    telemetry::log_record::{Event, Value},
};

/// The most polls of a worker at once. A worker starts with one. A task adds a poller, and a poll without a task ends one.
const MAX_POLLERS: usize = 20;
/// When all slots have been occupied for this time, the worker logs it: the program may keep tasks that have ended.
const SLOTS_NOTICE_DELAY: Duration = Duration::from_secs(3);
/// A server that waits for tasks holds a poll for longer than this. After a shorter one without a task follows a pause of this time.
const SHORTEST_EMPTY_POLL: Duration = Duration::from_millis(500);
/// The pauses after failed polls.
const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(200), growth: 2.0, longest: Duration::from_secs(10), jitter: 0.3 };

/// What the pollers of a worker share.
pub struct Polling {
    /// Pollers that run. Some may wait for a slot.
    pub pollers: usize,
    /// Polls that wait at the server.
    pub polls: usize,
    /// Tasks that can't be taken yet, and aren't handed back.
    pub arriving: usize,
    /// When a poll succeeded last.
    pub last_success: Option<SystemTime>,
    /// When a poll brought a task last, or else the worker was opened.
    pub quiet_since: Moment,
    groups: Groups,
    /// How many tasks may still be taken, not counting the polls that wait; `None`: no limit.
    remaining: Option<u64>,
    /// The least time between two tasks; zero: no limit.
    interval: Duration,
    /// When the next poll may begin.
    next_start: Moment,
    /// Polls that failed since the last one that succeeded.
    failed: u32,
    /// The status of the error that the caller got since then.
    returned: Option<Status>,
}

/// The groups of the task queue's servers, each with the polls that wait there.
#[derive(Default)]
struct Groups {
    version: i64,
    groups: Vec<Group>,
}

struct Group {
    id: String,
    weight: f32,
    polls: usize,
}

impl Polling {
    /// Creates the state of a worker without pollers.
    pub fn new(options: &WorkerOptions) -> Self {
        Polling {
            pollers: 0,
            polls: 0,
            arriving: 0,
            last_success: None,
            quiet_since: Moment::now(),
            groups: Groups::default(),
            remaining: options.max_tasks,
            interval: options
                .max_per_second
                .map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate)),
            next_start: Moment::now(),
            failed: 0,
            returned: None,
        }
    }

    /// Returns whether nothing more can arrive.
    pub fn is_idle(&self) -> bool {
        self.pollers == 0 && self.arriving == 0
    }

    /// Reserves a place within the rate limit. Returns how long to wait for it.
    fn reserve_start(&mut self) -> Duration {
        let now = Moment::now();
        let start = self.next_start.max(now);
        self.next_start = start.later(self.interval);
        start.since(now)
    }

    fn return_start(&mut self) {
        self.next_start = self.next_start.earlier(self.interval);
    }

    /// The fewest pollers: one for each group.
    fn min_pollers(&self) -> usize {
        self.groups.groups.len().clamp(1, MAX_POLLERS)
    }
}

impl Groups {
    fn update(&mut self, reported: Option<PollerGroupsInfo>) {
        let Some(reported) = reported.filter(|reported| reported.version > self.version) else { return };
        self.version = reported.version;
        let known = std::mem::take(&mut self.groups);
        let polls = |id: &str| known.iter().find(|group| group.id == id).map_or(0, |group| group.polls);
        self.groups = reported
            .poller_groups
            .into_iter()
            .map(|group| Group { polls: polls(&group.id), id: group.id, weight: group.weight.max(0.0) })
            .collect();
    }

    /// Chooses the group of the next poll: one without a poll, else at random by weight. Empty without groups.
    fn begin_poll(&mut self) -> String {
        let total: f32 = self.groups.iter().map(|group| group.weight).sum();
        let mut left = fastrand::f32() * total;
        let by_weight = self.groups.iter().position(|group| {
            left -= group.weight;
            left < 0.0
        });
        let chosen = self.groups.iter().position(|group| group.polls == 0).or(by_weight).unwrap_or(0);
        self.groups.get_mut(chosen).map_or_else(String::new, |group| {
            group.polls += 1;
            group.id.clone()
        })
    }

    fn end_poll(&mut self, id: &str) {
        if let Some(group) = self.groups.iter_mut().find(|group| group.id == id) {
            group.polls = group.polls.saturating_sub(1);
        }
    }
}

/// A poller, until it is dropped.
struct Poller(Arc<Worker>);

impl Poller {
    fn begin(worker: Arc<Worker>) -> Self {
        worker.polling.lock().pollers += 1;
        Poller(worker)
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.0.polling.lock().pollers -= 1;
        self.0.idle.notify_waiters();
    }
}

/// A poll that may begin. Dropping it returns its places within the limits, unless it has brought a task.
struct Poll<'a> {
    worker: &'a Worker,
    group: String,
    has_task: bool,
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        let mut polling = self.worker.polling.lock();
        polling.polls -= 1;
        polling.groups.end_poll(&self.group);
        if !self.has_task {
            polling.return_start();
            polling.remaining = polling.remaining.map(|remaining| remaining + 1);
        }
    }
}

/// Starts the first poller.
pub fn begin(worker: &Arc<Worker>) {
    let worker = worker.clone();
    let poll = move || poll_until_stopped(Poller::begin(worker.clone()), true);
    drop(runtime::spawn(restarted_after_panics(poll)));
}

fn add_poller(worker: &Arc<Worker>) {
    drop(runtime::spawn(poll_until_stopped(Poller::begin(worker.clone()), false)));
}

/// Polls until the worker stops. A poller that isn't the first ends when a poll brings no task.
async fn poll_until_stopped(poller: Poller, is_first: bool) {
    let worker = &poller.0;
    while let Some((slot, mut poll)) = worker.reserve().await {
        let began = Moment::now();
        match worker.client.poll(worker.request(&poll.group)).await {
            Ok(answer) => {
                worker.note_success(&answer);
                poll.has_task = !answer.task_token.is_empty();
                if poll.has_task {
                    worker.accept(answer, slot);
                    drop(poll);
                    worker.add_poller_after_task();
                } else {
                    drop((poll, slot));
                    if !is_first && worker.has_spare_pollers() {
                        return;
                    }
                    if Moment::now().since(began) < SHORTEST_EMPTY_POLL {
                        worker.pause(SHORTEST_EMPTY_POLL).await;
                    }
                }
            }
            Err(rpc_error) => {
                drop((poll, slot));
                let Some(pause) = worker.note_failure(rpc_error) else { return };
                if !is_first && worker.has_spare_pollers() {
                    return;
                }
                worker.pause(pause).await;
            }
        }
    }
}

impl Worker {
    /// Waits for a slot and for the rate limit. `None`: the worker stops, or has no more tasks to take.
    async fn reserve(&self) -> Option<(Slot, Poll<'_>)> {
        self.check_remaining()?;
        let permit = self.unless_stopped(self.acquire_slot()).await??;
        let (poll, wait) = {
            self.check_remaining()?;
            let mut polling = self.polling.lock();
            polling.polls += 1;
            polling.remaining = polling.remaining.map(|remaining| remaining.saturating_sub(1));
            let group = polling.groups.begin_poll();
            (Poll { worker: self, group, has_task: false }, polling.reserve_start())
        };
        self.unless_stopped(tokio::time::sleep(wait)).await?;
        Some((Slot::new(permit), poll))
    }

    async fn acquire_slot(&self) -> Option<OwnedSemaphorePermit> {
        let mut acquired = std::pin::pin!(self.slots.clone().acquire_owned());
        if let Ok(permit) = tokio::time::timeout(SLOTS_NOTICE_DELAY, &mut acquired).await {
            return permit.ok();
        }
        let fields = &[("task_queue", Value::Text(self.options.task_queue.as_str()))];
        self.client.transport().telemetry().log.write(Event::SlotsOccupied, fields, || {
            format!(
                "all {} slots (max_concurrent) are occupied, so the worker takes no tasks; a slot is free when its task \
                 is freed, and the activity is ended or closed",
                self.options.max_concurrent
            )
        });
        acquired.await.ok()
    }

    /// Stops the worker when it has taken its last task. `None`: this poller has nothing to do.
    fn check_remaining(&self) -> Option<()> {
        let polling = self.polling.lock();
        if polling.remaining != Some(0) {
            return Some(());
        }
        let is_last = polling.polls == 0;
        drop(polling);
        if is_last {
            self.stop();
        }
        None
    }

    async fn pause(&self, time: Duration) {
        let _ = self.unless_stopped(tokio::time::sleep(time)).await;
    }

    fn request(&self, group: &str) -> PollActivityTaskQueueRequest {
        let deployment = self.options.deployment.as_ref();
        PollActivityTaskQueueRequest {
            task_queue: Some(TaskQueue { name: self.options.task_queue.clone() }),
            deployment_options: deployment.map(|deployment| WorkerDeploymentOptions {
                deployment_name: deployment.name.clone(),
                build_id: deployment.build_id.clone(),
                worker_versioning_mode: WorkerVersioningMode::Versioned.into(),
            }),
            worker_instance_key: self.key.clone(),
            poller_group_id: group.to_owned(),
            ..PollActivityTaskQueueRequest::default()
        }
    }

    fn note_success(self: &Arc<Self>, answer: &PollActivityTaskQueueResponse) {
        let mut polling = self.polling.lock();
        polling.last_success = Some(SystemTime::now());
        if !answer.task_token.is_empty() {
            polling.quiet_since = Moment::now();
        }
        polling.groups.update(answer.poller_groups_info.clone());
        polling.returned = None;
        let had_failed = std::mem::take(&mut polling.failed) > 0;
        let missing = polling.min_pollers().saturating_sub(polling.pollers);
        drop(polling);
        for _ in 0..missing {
            add_poller(self);
        }
        if had_failed {
            let fields = &[("task_queue", Value::Text(self.options.task_queue.as_str()))];
            self.client
                .transport()
                .telemetry()
                .log
                .write(Event::PollingWorks, fields, || "polling works again".to_owned());
        }
    }

    /// Logs the first of several failures, and returns an error to the caller that a retry doesn't help. Returns the pause
    /// before the next poll; `None`: the worker stops.
    fn note_failure(&self, rpc_error: RpcError) -> Option<Duration> {
        if self.is_stopping() {
            return None;
        }
        let error = rpc_error.error;
        let mut polling = self.polling.lock();
        polling.failed = polling.failed.saturating_add(1);
        let failed = polling.failed;
        let is_new = !error.is_retryable() && polling.returned != Some(error.status());
        if is_new {
            polling.returned = Some(error.status());
        }
        drop(polling);
        if failed == 1 {
            let fields = &[("task_queue", Value::Text(self.options.task_queue.as_str()))];
            self.client
                .transport()
                .telemetry()
                .log
                .write(Event::PollingFailed, fields, || format!("polling failed and is retried: {error}"));
        }
        let is_slow = error.status() == Status::ResourceExhausted || !error.is_retryable();
        if is_new {
            drop(self.ready.push(Err(error)));
        }
        Some(if is_slow { BACKOFF.slow_pause(failed) } else { BACKOFF.pause(failed) })
    }

    /// Adds a poller, because there may be more tasks, unless a limit prevents it.
    fn add_poller_after_task(self: &Arc<Self>) {
        let polling = self.polling.lock();
        let may_add = polling.pollers < MAX_POLLERS && polling.remaining != Some(0);
        drop(polling);
        if may_add && self.slots.available_permits() > 0 && !self.is_stopping() {
            add_poller(self);
        }
    }

    fn has_spare_pollers(&self) -> bool {
        let polling = self.polling.lock();
        polling.pollers > polling.min_pollers()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::temporal::api::taskqueue::v1::PollerGroupInfo;

    fn groups(version: i64, ids: &[&str]) -> Option<PollerGroupsInfo> {
        let group = |id: &&str| PollerGroupInfo { id: (*id).to_owned(), weight: 1.0 };
        Some(PollerGroupsInfo { version, poller_groups: ids.iter().map(group).collect() })
    }

    #[test]
    fn each_group_has_a_poll_before_a_group_has_two() {
        let mut known = Groups::default();
        assert_eq!(known.begin_poll(), "");
        known.update(groups(1, &["a", "b", "c"]));
        let mut first: Vec<_> = (0..3).map(|_| known.begin_poll()).collect();
        first.sort();
        assert_eq!(first, ["a", "b", "c"]);
        let fourth = known.begin_poll();
        known.end_poll("b");
        if fourth != "b" {
            assert_eq!(known.begin_poll(), "b");
        }
    }

    #[test]
    fn older_groups_do_not_replace_newer_ones() {
        let mut known = Groups::default();
        known.update(groups(2, &["b"]));
        known.update(groups(1, &["a"]));
        assert_eq!(known.begin_poll(), "b");
        known.update(groups(3, &["b", "c"]));
        assert_eq!(known.begin_poll(), "c");
    }

    #[test]
    fn rate_limit_spreads_the_polls_and_counts_only_tasks() {
        let options = |json: &str| WorkerOptions::read(json.as_bytes()).unwrap();
        let mut polling = Polling::new(&options(r#"{"task_queue":"q","max_per_second":0.5}"#));
        assert_eq!(polling.reserve_start(), Duration::ZERO);
        let second = polling.reserve_start();
        assert!(second > Duration::from_millis(1900) && second <= Duration::from_secs(2), "{second:?}");
        polling.return_start();
        assert!(polling.reserve_start() <= Duration::from_secs(2));
        let mut unlimited = Polling::new(&options(r#"{"task_queue":"q"}"#));
        assert!((0..100).all(|_| unlimited.reserve_start().is_zero()));
    }
}
