//! Follows the server: long polls show a cancellation, a pause or other timeouts at once. One task follows a standalone
//! activity, and one a run of a workflow, for all its activities in this process.
//!
//! A long poll sets no signals: on news the activity beats at once, and the answer sets them. So everything works without
//! long polls too, only later. They have their own connection, and never delay a beat.
//!
//! | file | what it does |
//! |---|---|
//! | here | which runs are followed, for which activities |
//! | `follower` | the task that follows one run |
//! | `pace` | how often a run is polled, and how much is read |
//! | `shown` | what has changed from one description to the next |

mod follower;
mod pace;
mod shown;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::{
    Activities,
    handle::Handle,
    state::{Activity, Followed},
};
use crate::{
    client::Client,
    model::{attempt::Ids, conditions::Reasons},
    runtime,
    sys::{
        self,
        clock::Moment,
        sync::{Mutex, Notify},
    },
};
use follower::Follower;

/// The most runs that are followed at once. A frontend allows 1200 long polls per namespace by default.
const MAX_LONG_POLLS: usize = 100;
/// The most positions in histories that are kept.
const MAX_POSITIONS: usize = 100;

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
                self.change(handle, |activity, now| activity.note_polled(is_polled, now));
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
        self.change(handle, Activity::stop_following);
    }

    /// Changes an activity, and wakes the scheduler if `change` returns that it is due earlier.
    fn change(&self, handle: Handle, change: impl FnOnce(&mut Activity, Moment) -> bool) {
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
