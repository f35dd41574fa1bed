//! Follows the server: long polls show a cancellation, a pause or other timeouts at once. One task follows a standalone
//! activity, and one a run of a workflow, for all its activities in this process.
//!
//! A long poll sets no signals: on news the activity beats at once, and the answer sets them. So everything works without
//! long polls too, only later. They have their own connection, and never delay a beat.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    ops::RangeInclusive,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, sleep_until, timeout_at},
};

use super::{
    Activities,
    handle::Handle,
    state::{Activity, Followed},
};
use crate::{
    client::{
        Client,
        backoff::Backoff,
        description::{Description, State},
        long_poll::Event as HistoryEvent,
        rpc_error::{Retry, RpcError},
    },
    model::{
        attempt::{Attempt, Ids},
        conditions::{Conditions, Reasons},
        deadline::unless_stopped,
        status::Status,
    },
    runtime,
    sys::{
        self,
        clock::Moment,
        sync::{Mutex, Notify},
    },
    telemetry::log_record::{Event, Value},
};

/// The most runs that are followed at once. A frontend allows 1200 long polls per namespace by default.
const MAX_LONG_POLLS: usize = 100;
/// The mean interval of the long polls of a run, if they end at once, and how many may follow each other without a pause. Each
/// beat of a standalone activity ends one.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
const BURST: u32 = 10;
/// The pause after a wake-up before a task checks its activities, because many may be closed at once.
const CHECK_PAUSE: Duration = Duration::from_millis(50);
/// An answer without news after less than this time is wrong: the server should have waited.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// The most answers with news, and the most bytes of them, that are read per run: the answers carry whole events.
const MAX_ANSWERS: u32 = 20_000;
const MAX_BYTES: usize = 64 << 20;
/// The most positions in histories that are kept.
const MAX_POSITIONS: usize = 100;
/// The number of events that are read at once: first, and depending on the size of the last answer.
const FIRST_PAGE: i32 = 50;
const PAGES: RangeInclusive<i32> = 10..=1000;
const SMALL_ANSWER: usize = 256 << 10;
const LARGE_ANSWER: usize = 1 << 20;
/// How often a workflow is described, because its history doesn't show a pause or changed timeouts. Large descriptions
/// are fetched less often.
const DESCRIBE_INTERVAL: Duration = Duration::from_secs(60);
const DESCRIBED_BYTES_PER_SECOND: usize = 100_000;
const DESCRIBE_PAUSE_FACTOR: u32 = 10;
/// An activity that still lacks a description doubles the time to the next one, at most so often.
const MAX_ROUNDS: u32 = 6;
/// The pauses after a failed long poll. The jitter spreads the long polls of a connection that was lost.
const BACKOFF: Backoff =
    Backoff { first: Duration::from_secs(2), growth: 2.0, longest: Duration::from_secs(60), jitter: 1.0 };
/// The pauses if the server allows no further long polls.
const LIMIT_BACKOFF: Backoff =
    Backoff { first: Duration::from_secs(10), growth: 2.0, longest: Duration::from_secs(300), jitter: 0.5 };

/// The runs that are followed.
pub struct Followers {
    runs: Mutex<HashMap<Run, Members>>,
    tasks: AtomicU64,
    free_polls: Semaphore,
    /// Where the histories were read to, the last one at the end. The next activity of a run continues there.
    positions: Mutex<VecDeque<(Run, Position)>>,
    /// Wakes the tasks to check their activities.
    changed: Notify,
    /// Whether the server refuses the long polls of standalone activities, and of workflows.
    standalone_refused: AtomicBool,
    workflows_refused: AtomicBool,
}

/// A standalone activity, or a run of a workflow: then the `activity_id` is empty.
type Run = Ids;

/// The activities of a run that are followed.
struct Members {
    /// The number of the task that follows them.
    task: u64,
    /// Whether a long poll shows their changes. Otherwise their task waits for a limit.
    is_polled: bool,
    list: Vec<Arc<Member>>,
}

/// The outcome of adding an activity.
enum Added {
    /// It is the first one of its run, so this task must begin.
    First(u64),
    /// The task of its run exists.
    Joined { is_polled: bool },
}

/// How far the history of a run was read.
#[derive(Clone, Default)]
struct Position {
    /// For the next long poll.
    token: Bytes,
    /// Why the workflow was cancelled, if it was.
    reasons: Reasons,
}

/// An activity that is followed.
struct Member {
    handle: Handle,
    activity_id: String,
    scheduled_event_id: Option<i64>,
}

impl Default for Followers {
    fn default() -> Self {
        Followers {
            runs: Mutex::default(),
            tasks: AtomicU64::new(0),
            free_polls: Semaphore::new(MAX_LONG_POLLS),
            positions: Mutex::default(),
            changed: Notify::new(),
            standalone_refused: AtomicBool::new(false),
            workflows_refused: AtomicBool::new(false),
        }
    }
}

impl Followers {
    /// Notes a new client, which may have another server and other permissions.
    pub fn begin(&self) {
        self.positions.lock().clear();
        self.standalone_refused.store(false, Ordering::Relaxed);
        self.workflows_refused.store(false, Ordering::Relaxed);
    }

    /// Returns the number of activities whose changes a long poll shows.
    pub fn count(&self) -> usize {
        let runs = self.runs.lock();
        runs.values().filter(|members| members.is_polled).map(|members| members.list.len()).sum()
    }

    /// Ends all tasks, because their client is disconnected. They may end late.
    pub fn close_all(&self) {
        self.runs.lock().clear();
        self.wake();
    }

    /// Makes the tasks check whether their activities are still open.
    pub fn wake(&self) {
        // Postponed for the same reason as in `WakeQueue::wake`.
        sys::cancellation::postponed(|| self.changed.notify_waiters());
    }

    /// Returns how far the history of a run was read before.
    fn take_position(&self, run: &Run) -> Position {
        let mut positions = self.positions.lock();
        let known = positions.iter().position(|(of, _)| of == run).and_then(|index| positions.remove(index));
        known.map(|(_, position)| position).unwrap_or_default()
    }

    fn keep_position(&self, run: &Run, position: Position) {
        let mut positions = self.positions.lock();
        positions.retain(|(of, _)| of != run);
        positions.push_back((run.clone(), position));
        if positions.len() > MAX_POSITIONS {
            positions.pop_front();
        }
    }

    fn is_refused(&self, run: &Run) -> &AtomicBool {
        if run.workflow_id.is_empty() { &self.standalone_refused } else { &self.workflows_refused }
    }

    fn add(&self, run: &Run, member: Member) -> Added {
        let mut runs = self.runs.lock();
        if let Some(members) = runs.get_mut(run) {
            members.list.push(Arc::new(member));
            return Added::Joined { is_polled: members.is_polled };
        }
        let task = self.tasks.fetch_add(1, Ordering::Relaxed);
        runs.insert(run.clone(), Members { task, is_polled: false, list: vec![Arc::new(member)] });
        Added::First(task)
    }

    /// Notes whether a long poll shows the changes of a task's activities. Returns these activities if that has changed.
    fn note_polled(&self, run: &Run, task: u64, is_polled: bool) -> Vec<Arc<Member>> {
        let mut runs = self.runs.lock();
        match runs.get_mut(run) {
            Some(members) if members.task == task && members.is_polled != is_polled => {
                members.is_polled = is_polled;
                members.list.clone()
            }
            _ => Vec::new(),
        }
    }
}

impl Activities {
    /// Begins to follow an activity with long polls.
    pub fn follow(&'static self, client: &Arc<Client>, handle: Handle, followed: Followed) {
        let Followed { ids, scheduled_event_id } = followed;
        let member = Member { handle, activity_id: ids.activity_id.clone(), scheduled_event_id };
        let run = match ids.workflow_id.is_empty() {
            true => ids,
            false => Ids { activity_id: String::new(), ..ids },
        };
        if self.followers.is_refused(&run).load(Ordering::Relaxed) {
            return self.stop_following(handle);
        }
        let task = match self.followers.add(&run, member) {
            Added::First(task) => task,
            Added::Joined { is_polled } => {
                self.change_following(handle, |activity, now| activity.note_polled(is_polled, now));
                return self.followers.wake();
            }
        };
        let entry = Entry { activities: self, run: run.clone(), task };
        let client = client.clone();
        runtime::spawn(async move {
            let _entry = entry;
            let follower = || {
                let follower = Follower {
                    activities: self,
                    client: client.clone(),
                    run: run.clone(),
                    task,
                    position: Mutex::new(self.followers.take_position(&run)),
                };
                async move { follower.run().await }
            };
            runtime::restarted_after_panics(follower).await;
        });
    }

    /// Notes that no long poll follows an activity any more.
    fn stop_following(&self, handle: Handle) {
        self.change_following(handle, Activity::stop_following);
    }

    fn change_following(&self, handle: Handle, change: impl FnOnce(&mut Activity, Moment) -> bool) {
        let changed = self.registry.change(handle, |activity| {
            let is_earlier = change(activity, Moment::now());
            is_earlier.then(|| activity.due())
        });
        // Otherwise the handle was closed.
        if let Ok(Some(due)) = changed {
            self.wake_at(handle, due);
        }
    }
}

/// The entry of a task in [`Followers`]. Dropping it removes it.
struct Entry {
    activities: &'static Activities,
    run: Run,
    task: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let members = {
            let mut runs = self.activities.followers.runs.lock();
            let is_of_task = runs.get(&self.run).is_some_and(|members| members.task == self.task);
            if is_of_task { runs.remove(&self.run) } else { None }
        };
        for member in members.into_iter().flat_map(|members| members.list) {
            // A closed activity isn't followed anyway.
            self.activities.stop_following(member.handle);
        }
    }
}

/// The task that follows one run.
struct Follower {
    activities: &'static Activities,
    client: Arc<Client>,
    run: Run,
    task: u64,
    position: Mutex<Position>,
}

impl Follower {
    async fn run(&self) {
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
            self.activities
                .change_following(member.handle, |activity, now| activity.note_polled(is_polled, now));
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
                    let has_news = last.as_ref().is_some_and(|last| shown.has_news_since(last));
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
                Err(failed) => match self.recover(failed, &mut pace).await {
                    true => {}
                    false => return,
                },
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
                Err(failed) => match self.recover(failed, &mut pace).await {
                    true => {}
                    false => return,
                },
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
                Err(failed) => match self.recover(failed, &mut pace).await {
                    true => {}
                    false => return,
                },
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
            let changed = self.activities.registry.change(member.handle, |activity| {
                let earlier = change(member, activity, Moment::now());
                earlier.then(|| activity.due())
            });
            // Otherwise the handle was closed.
            let Ok(due) = changed else { continue };
            if let Some(due) = due {
                self.activities.wake_at(member.handle, due);
            }
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

/// Returns how many events to read next.
fn next_page(page: i32, bytes: usize) -> i32 {
    let page = match bytes {
        0..SMALL_ANSWER => page.saturating_mul(2),
        SMALL_ANSWER..LARGE_ANSWER => page,
        LARGE_ANSWER.. => page / 4,
    };
    page.clamp(*PAGES.start(), *PAGES.end())
}

/// Limits how often a run is polled, and how much is read.
struct Pace {
    /// When the last long poll would have begun if all had begun after their interval.
    due: Instant,
    began: Instant,
    failed: u32,
    answers: u32,
    bytes: usize,
    /// Whether the next answer is ready at the server. It is read without a pause.
    is_behind: bool,
}

impl Default for Pace {
    fn default() -> Self {
        let now = Instant::now();
        Pace { due: now, began: now, failed: 0, answers: 0, bytes: 0, is_behind: false }
    }
}

impl Pace {
    /// Waits until the next long poll may begin.
    async fn begin(&mut self) {
        if !std::mem::take(&mut self.is_behind) {
            self.due = self.due.max(Instant::now()) + POLL_INTERVAL;
            sleep_until(self.due - POLL_INTERVAL * BURST).await;
        }
        self.began = Instant::now();
    }

    /// Counts an answer with news. Returns an error above the limits.
    fn answered(&mut self, bytes: usize) -> Result<(), &'static str> {
        self.failed = 0;
        self.answers += 1;
        self.bytes += bytes;
        match self.answers > MAX_ANSWERS || self.bytes > MAX_BYTES {
            true => Err("its long polls return too much"),
            false => Ok(()),
        }
    }

    /// Notes the end of a long poll without news. If the server didn't wait for any, pauses as after a failure.
    async fn answered_without_news(&mut self) {
        match self.began.elapsed() < SHORTEST_WAIT {
            true => self.failed(&BACKOFF).await,
            false => self.failed = 0,
        }
    }

    /// Waits after a failed long poll.
    async fn failed(&mut self, backoff: &Backoff) {
        self.failed += 1;
        sleep(backoff.pause(self.failed)).await;
    }
}

/// What a description shows of a standalone activity.
#[derive(PartialEq)]
struct Shown {
    state: State,
    attempt: Attempt,
    conditions: Conditions,
    changes: Option<i64>,
    recorded_at_unix_ms: i64,
}

impl Shown {
    fn of(description: &Description) -> Self {
        Shown {
            state: description.state,
            attempt: description.attempt,
            conditions: description.conditions.clone(),
            changes: description.changes,
            recorded_at_unix_ms: description.details.about().recorded_at_unix_ms,
        }
    }

    /// Returns whether something else than a heartbeat has changed. The fields don't show a reset.
    fn has_news_since(&self, last: &Shown) -> bool {
        let fields = |shown: &Shown| (shown.state, shown.attempt, shown.conditions.clone());
        let has_changed_otherwise = match (self.changes, last.changes) {
            (Some(changes), Some(before)) => changes != before,
            // Otherwise the long poll wouldn't have ended.
            _ => self.recorded_at_unix_ms == last.recorded_at_unix_ms,
        };
        fields(self) != fields(last) || has_changed_otherwise
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(changes: Option<i64>, recorded_at_unix_ms: i64) -> Shown {
        let (attempt, conditions) = (Attempt::default(), Conditions::default());
        Shown { state: State::Running, attempt, conditions, changes, recorded_at_unix_ms }
    }

    #[test]
    fn large_answers_make_pages_small_and_small_ones_large() {
        assert_eq!((next_page(50, 1000), next_page(50, 500 << 10), next_page(50, 38 << 20)), (100, 50, 12));
        assert_eq!((next_page(1000, 0), next_page(10, 38 << 20)), (1000, 10));
    }

    #[test]
    fn heartbeat_alone_is_no_news() {
        assert!(!shown(Some(2), 8).has_news_since(&shown(Some(2), 7)));
        assert!(!shown(None, 8).has_news_since(&shown(None, 7)), "an older server");
    }

    #[test]
    fn reset_is_news_even_together_with_a_heartbeat() {
        assert!(shown(Some(3), 8).has_news_since(&shown(Some(2), 7)));
        assert!(shown(None, 7).has_news_since(&shown(None, 7)), "an older server");
    }
}
