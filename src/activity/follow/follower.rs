//! The task that follows one run.

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    MAX_LONG_POLLS, Member, Position, Run,
    pace::{BACKOFF, FIRST_PAGE, LIMIT_BACKOFF, Pace, next_page},
    shown::Shown,
};
use crate::{
    activity::{Activities, state::Activity},
    client::{
        Client,
        description::Description,
        long_poll::Event as HistoryEvent,
        rpc_error::{Retry, RpcError},
    },
    model::{attempt::Ids, conditions::Reasons, deadline::unless_stopped, status::Status},
    sys::{clock::Moment, sync::Mutex},
    telemetry::log_record::{Event, Value},
};

/// The pause after a wake-up before a task checks its activities, because many may be closed at once.
const CHECK_PAUSE: Duration = Duration::from_millis(50);
/// How often a workflow is described, because its history doesn't show a pause or changed timeouts. Large descriptions
/// are fetched less often.
const DESCRIBE_INTERVAL: Duration = Duration::from_secs(60);
const DESCRIBED_BYTES_PER_SECOND: usize = 100_000;
const DESCRIBE_PAUSE_FACTOR: u32 = 10;
/// An activity that still lacks a description doubles the time to the next one, at most so often.
const MAX_ROUNDS: u32 = 6;

/// The task that follows one run.
pub struct Follower {
    /// The open activities.
    pub activities: &'static Activities,
    /// The client that polls.
    pub client: Arc<Client>,
    /// The run.
    pub run: Run,
    /// The number of this task.
    pub task: u64,
    /// How far the history was read.
    pub position: Mutex<Position>,
}

impl Follower {
    /// Follows until all activities of the run are closed or over, or the server refuses.
    pub async fn run(&self) {
        let follow = pin!(self.follow());
        unless_stopped(follow, self.until_unused()).await;
    }

    /// Follows until the run is over, or the server refuses.
    async fn follow(&self) {
        let polls = &self.activities.followers.free_polls;
        let permit = match polls.try_acquire() {
            Ok(permit) => Ok(permit),
            Err(_) => {
                self.log(&format!(
                    "{MAX_LONG_POLLS} runs are followed, which is the limit: signals arrive with the next beat"
                ));
                polls.acquire().await
            }
        };
        // The semaphore is never closed.
        let Ok(_permit) = permit else { return };
        self.note_polled(true);
        if self.run.workflow_id.is_empty() {
            self.follow_standalone().await;
        } else {
            let events = pin!(self.follow_history());
            unless_stopped(events, self.describe_periodically()).await;
        }
    }

    /// Notes whether long polls show the changes of the run now. They don't while the server's limit is reached.
    fn note_polled(&self, is_polled: bool) {
        for member in self.activities.followers.note_polled(&self.run, self.task, is_polled) {
            self.activities.change(member.handle, |activity, now| activity.note_polled(is_polled, now));
        }
    }

    /// Waits until all activities of the run are closed or over.
    async fn until_unused(&self) {
        loop {
            let changed = self.activities.followers.changed.notified();
            let is_used = |member: &Arc<Member>| {
                self.activities.registry.with(member.handle, |activity| !activity.is_over()).unwrap_or(false)
            };
            {
                let mut runs = self.activities.followers.runs.lock();
                let members = runs.get_mut(&self.run).filter(|members| members.task == self.task);
                let Some(members) = members else { return };
                members.list.retain(is_used);
                if members.list.is_empty() {
                    // An activity that is opened after this begins a new task.
                    runs.remove(&self.run);
                    return;
                }
            }
            changed.await;
            sleep(CHECK_PAUSE).await;
        }
    }

    /// Follows a standalone activity: the answer to each long poll describes it.
    async fn follow_standalone(&self) {
        let (mut token, mut last) = (Bytes::new(), None);
        let mut pace = Pace::default();
        loop {
            pace.begin().await;
            match self.client.next_change(&self.run, token.clone()).await {
                Ok(Some(change)) => {
                    self.note_polled(true);
                    let shown = Shown::of(&change.description);
                    // The first description doesn't show a reset from before it.
                    let has_news = last.as_ref().is_none_or(|last| shown.has_news_since(last));
                    last = Some(shown);
                    self.for_all(|activity, now| activity.observe(&change.description, has_news, now));
                    if change.description.state.is_over() {
                        return;
                    }
                    if change.token.is_empty() {
                        self.activities.followers.is_refused(&self.run).store(true, Ordering::Relaxed);
                        return self.log("the server has no long polls of standalone activities");
                    }
                    token = change.token;
                    pace.failed = 0;
                }
                Ok(None) => {
                    self.note_polled(true);
                    pace.answered_without_news().await;
                }
                Err(failed) => {
                    if !self.recover(failed, &mut pace).await {
                        return;
                    }
                }
            }
        }
    }

    /// Follows the history of a workflow's run: first the events until now, then each new one.
    async fn follow_history(&self) {
        let mut pace = Pace::default();
        let mut page = FIRST_PAGE;
        let token = || self.position.lock().token.clone();
        let mut is_resumed = !token().is_empty();
        loop {
            pace.begin().await;
            match self.client.next_events(&self.run, token(), page).await {
                Ok(answer) => {
                    self.note_polled(true);
                    answer.events.iter().for_each(|event| self.apply(event));
                    if answer.token.is_empty() {
                        // The workflow is closed.
                        return self.for_all(Activity::request_signals);
                    }
                    self.advance(answer.token);
                    if answer.is_empty {
                        pace.answered_without_news().await;
                    } else if let Err(limit) = pace.answered(answer.bytes) {
                        return self.log(limit);
                    }
                    (is_resumed, pace.is_behind) = (false, answer.is_full);
                    page = next_page(page, answer.bytes);
                }
                // The server may not know the token any more.
                Err(failed) if is_resumed && failed.retry == Retry::Never => {
                    is_resumed = false;
                    self.position.lock().token.clear();
                }
                Err(failed) => {
                    if !self.recover(failed, &mut pace).await {
                        return;
                    }
                }
            }
        }
    }

    /// Notes how far the history was read.
    fn advance(&self, token: Bytes) {
        let position = {
            let mut position = self.position.lock();
            position.token = token;
            position.clone()
        };
        self.activities.followers.keep_position(&self.run, position);
    }

    fn apply(&self, event: &HistoryEvent) {
        match event {
            HistoryEvent::WorkflowCancelRequested(reasons) => {
                self.position.lock().reasons = reasons.clone();
                self.for_all(|activity, _| {
                    activity.note_workflow_reasons(reasons);
                    false
                });
            }
            HistoryEvent::CancelRequested { scheduled_event_id }
            | HistoryEvent::Ended { scheduled_event_id } => {
                let is_it =
                    |member: &Member| member.scheduled_event_id.is_none_or(|id| id == *scheduled_event_id);
                self.for_members(is_it, |_, activity, now| activity.request_signals(now));
            }
        }
    }

    /// Describes the workflow's activities periodically, and soon if one of them lacks a description.
    async fn describe_periodically(&self) {
        let mut pace = Pace::default();
        // Rounds after which an activity still lacks its description.
        let mut rounds = 0;
        loop {
            pace.begin().await;
            let members = self.members();
            let ids: HashSet<&str> = members.iter().map(|member| &member.activity_id[..]).collect();
            match self.client.pending_activities(&self.run, |id| ids.contains(id)).await {
                Ok(described) => {
                    pace.failed = 0;
                    self.observe(&described.activities);
                    let seconds = 1 + described.bytes / DESCRIBED_BYTES_PER_SECOND;
                    let spacing = Duration::from_secs(seconds as u64);
                    rounds = if self.lacks_description() { (rounds + 1).min(MAX_ROUNDS) } else { 0 };
                    sleep(spacing * (1 << rounds)).await;
                    let next = Instant::now() + DESCRIBE_INTERVAL.max(spacing * DESCRIBE_PAUSE_FACTOR);
                    // An early end is as good.
                    let _ = timeout_at(next, self.until_description_is_lacking()).await;
                }
                Err(failed) => {
                    if !self.recover(failed, &mut pace).await {
                        return;
                    }
                }
            }
        }
    }

    fn observe(&self, described: &[Description]) {
        let reasons = self.position.lock().reasons.clone();
        let described: HashMap<&str, &Description> =
            described.iter().map(|found| (&found.ids.activity_id[..], found)).collect();
        self.for_members(
            |_| true,
            |member, activity, now| {
                if reasons != Reasons::default() {
                    activity.note_workflow_reasons(&reasons);
                }
                match described.get(&member.activity_id[..]) {
                    Some(found) => activity.observe(found, false, now),
                    // It may be over: the answer to a beat shows that.
                    None => activity.request_signals(now),
                }
            },
        );
    }

    async fn until_description_is_lacking(&self) {
        loop {
            let changed = self.activities.followers.changed.notified();
            if self.lacks_description() {
                return;
            }
            changed.await;
            sleep(CHECK_PAUSE).await;
        }
    }

    fn lacks_description(&self) -> bool {
        let lacks = |member: &Arc<Member>| {
            self.activities
                .registry
                .with(member.handle, |activity| activity.lacks_description())
                .unwrap_or(false)
        };
        self.members().iter().any(lacks)
    }

    /// Waits until the long poll may be repeated. Returns false if that can't help.
    async fn recover(&self, failed: RpcError, pace: &mut Pace) -> bool {
        let status = failed.error.status();
        match failed.retry {
            Retry::Never if status == Status::NotFound => {
                // The answer to a beat shows whether the activity is over.
                self.for_all(Activity::request_signals);
                return false;
            }
            Retry::Never if failed.is_unproven_end() => pace.failed(&BACKOFF).await,
            Retry::Never => {
                if matches!(status, Status::PermissionDenied | Status::Unimplemented) {
                    self.activities.followers.is_refused(&self.run).store(true, Ordering::Relaxed);
                }
                self.log(failed.error.message());
                return false;
            }
            Retry::Slowly => {
                self.note_polled(false);
                if pace.failed == 0 {
                    self.log(failed.error.message());
                }
                pace.failed(&LIMIT_BACKOFF).await;
            }
            Retry::Soon if failed.timed_out => pace.answered_without_news().await,
            Retry::Soon | Retry::WithOtherCredentials => pace.failed(&BACKOFF).await,
        }
        true
    }

    fn members(&self) -> Vec<Arc<Member>> {
        let runs = self.activities.followers.runs.lock();
        let members = runs.get(&self.run).filter(|members| members.task == self.task);
        members.map(|members| members.list.clone()).unwrap_or_default()
    }

    /// Changes all activities of the run. `change` returns whether the activity is due earlier.
    fn for_all(&self, change: impl Fn(&mut Activity, Moment) -> bool) {
        self.for_members(|_| true, |_, activity, now| change(activity, now));
    }

    fn for_members(
        &self,
        is_wanted: impl Fn(&Member) -> bool,
        change: impl Fn(&Member, &mut Activity, Moment) -> bool,
    ) {
        for member in self.members().iter().filter(|member| is_wanted(member)) {
            self.activities.change(member.handle, |activity, now| change(member, activity, now));
            self.activities.publish_signals(member.handle);
        }
    }

    /// Logs why the run isn't followed.
    fn log(&self, why: &str) {
        let Ids { workflow_id, run_id, activity_id } = &self.run;
        let fields = &[
            ("workflow_id", Value::Text(workflow_id)),
            ("run_id", Value::Text(run_id)),
            ("activity_id", Value::Text(activity_id)),
        ];
        self.activities.telemetry.log.write(Event::NotFollowed, fields, || {
            format!("no long poll shows changes, so signals arrive with the next beat: {why}")
        });
    }
}
