//! Lets one thread wait for the signals of many activities.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    Activities,
    handle::{Handle, WATCHES, invalid},
    handle_table::HandleTable,
    state::Publication,
};
use crate::{
    model::{
        deadline::{Deadline, Timeout},
        error::Result,
        signals::Signals,
    },
    runtime::waitable::{Readiness, Waitable},
    sys::clock::Moment,
};

/// Delay added to a timer, so that it doesn't fire just before the signal is set.
const PAST: Duration = Duration::from_millis(1);

/// The open watches.
pub struct Watches {
    open: HandleTable<Watch>,
}

struct Watch {
    state: Waitable<State>,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    watched: HashMap<u64, Watched>,
    /// Activities with new signals, oldest first.
    news: VecDeque<u64>,
}

/// An activity in a watch.
struct Watched {
    mask: Signals,
    user_data: u64,
    /// The signals that the watch returned last.
    told: Signals,
    /// The newest signals, and the number of their publication.
    now: Signals,
    publication: u32,
    /// Whether the activity is in the queue.
    queued: bool,
}

/// An activity with signals that have changed since the watch returned it last.
#[derive(Debug, PartialEq)]
pub struct News {
    /// The activity's handle.
    pub activity: u64,
    /// The `user_data` that was given when it was added.
    pub user_data: u64,
    /// The activity's current signals.
    pub signals: Signals,
}

impl Watches {
    /// Creates the set, without a watch, for a process with this fork count.
    pub fn new(fork: u32) -> Self {
        Watches { open: HandleTable::new(WATCHES, fork) }
    }

    /// Publishes an activity's signals to every watch. Must be called without the activity's lock.
    pub fn publish(&self, activity: u64, publication: &Publication) {
        self.open.all().iter().for_each(|watch| watch.publish(activity, publication));
    }

    /// Removes a closed activity from every watch, because a watch may live as long as the process.
    pub fn forget(&self, activity: u64) {
        self.open.all().iter().for_each(|watch| watch.forget(activity));
    }

    /// Closes all watches.
    pub fn close_all(&self) {
        self.open.remove_all().iter().for_each(|watch| watch.close());
    }
}

impl Watch {
    fn new() -> Result<Self> {
        Ok(Watch { state: Waitable::new("watch")? })
    }

    fn publish(&self, activity: u64, publication: &Publication) {
        if self.state.lock().publish(activity, publication) {
            self.state.notify();
        }
    }

    fn forget(&self, activity: u64) {
        self.state.lock().watched.remove(&activity);
    }

    fn close(&self) {
        self.state.lock().is_closed = true;
        self.state.notify_all();
    }
}

impl Readiness for State {
    fn is_ready(&self) -> bool {
        self.is_closed || !self.news.is_empty()
    }
}

impl State {
    /// Notes an activity's signals. Returns whether the activity is newly in the queue.
    fn publish(&mut self, activity: u64, publication: &Publication) -> bool {
        let Some(watched) = self.watched.get_mut(&activity) else { return false };
        // Two threads may publish at the same time, and the older reading may arrive last.
        if publication.number < watched.publication {
            return false;
        }
        (watched.now, watched.publication) = (publication.signals, publication.number);
        if watched.queued || watched.now.changed(watched.told, watched.mask).is_empty() {
            return false;
        }
        watched.queued = true;
        self.news.push_back(activity);
        true
    }

    /// Returns the first queued activity with signals that still differ from those returned last.
    fn take(&mut self) -> Option<News> {
        while let Some(activity) = self.news.pop_front() {
            let Some(watched) = self.watched.get_mut(&activity) else { continue };
            watched.queued = false;
            if !watched.now.changed(watched.told, watched.mask).is_empty() {
                watched.told = watched.now;
                return Some(News { activity, user_data: watched.user_data, signals: watched.now });
            }
        }
        None
    }
}

impl Activities {
    /// Opens a watch.
    pub fn open_watch(&self) -> Result<u64> {
        self.watches.open.add(Arc::new(Watch::new()?))
    }

    /// Adds an activity to a watch, which then reports its signals in `mask`, now and on each change. For an activity
    /// that is already in the watch, replaces `mask` and `user_data`.
    pub fn add_to_watch(&self, watch: u64, activity: u64, mask: Signals, user_data: u64) -> Result<()> {
        let handle = self.registry.handle(activity)?;
        let found = self.watches.open.get(watch)?;
        self.registry.with_open(handle, |activity| activity.watched = true)?;
        let fresh = || Watched {
            mask,
            user_data,
            told: Signals::default(),
            now: Signals::default(),
            publication: 0,
            queued: false,
        };
        {
            let mut state = found.state.lock();
            let watched = state.watched.entry(activity).or_insert_with(fresh);
            watched.mask = mask;
            watched.user_data = user_data;
        }
        if !self.is_open(activity) {
            // Another thread has closed the activity, perhaps before it was in the watch and could be removed.
            found.forget(activity);
            return Err(invalid());
        }
        self.publish_signals(handle);
        Ok(())
    }

    /// Waits for the next activity with changed signals. Returns `None` on timeout.
    pub fn next_of_watch(&self, watch: u64, timeout: Timeout) -> Result<Option<News>> {
        let began = self.begin_call();
        self.next_in_call(watch, &timeout.start_waiting()).map_err(|error| self.explain(began, error))
    }

    fn next_in_call(&self, watch: u64, deadline: &Deadline) -> Result<Option<News>> {
        let watch = self.watches.open.get(watch)?;
        let news = watch.state.wait(deadline, |state| {
            while let Some(news) = state.take() {
                if self.is_open(news.activity) {
                    return Some(Ok(news));
                }
                // The activity was closed since, so its signals are dropped.
                state.watched.remove(&news.activity);
            }
            state.is_closed.then(|| Err(invalid()))
        });
        news.transpose()
    }

    /// Opens a descriptor that is readable while [`Activities::next_of_watch`] has a result. The caller closes it.
    pub fn open_watch_fd(&self, watch: u64) -> Result<i32> {
        self.watches.open.get(watch)?.state.open_fd()
    }

    /// Closes a watch and wakes its waiters. Its activities stay open.
    pub fn close_watch(&self, watch: u64) -> Result<()> {
        self.watches.open.remove(watch)?.close();
        Ok(())
    }

    /// Publishes an activity's signals to log, metrics and watches. Schedules a wake-up for the next change by time
    /// alone.
    pub fn publish_signals(&self, handle: Handle) {
        let now = Moment::now();
        let current =
            self.registry.with(handle, |activity| (activity.publish(now), activity.take_signal_change(now)));
        let Ok((publication, change)) = current else { return };
        if let Some(change) = change {
            self.log_signals(handle, &change);
        }
        if let Some(publication) = publication {
            self.watches.publish(handle.number(), &publication);
            self.wake_at(handle, publication.next_change.later(PAST));
        }
    }

    fn is_open(&self, activity: u64) -> bool {
        self.registry.handle(activity).is_ok_and(|handle| self.registry.with_open(handle, |_| ()).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        activity::{options::OpenOptions, state::Activity},
        model::payload::Encoding,
    };

    fn publication(number: u32, signals: Signals) -> Publication {
        Publication { signals, number, next_change: Moment::NEVER }
    }

    fn watched() -> Watched {
        Watched {
            mask: Signals::from_bits(u32::MAX),
            user_data: 0,
            told: Signals::default(),
            now: Signals::default(),
            publication: 0,
            queued: false,
        }
    }

    #[test]
    fn an_older_reading_that_is_published_later_does_not_replace_a_newer_one() {
        let watch = Watch::new().unwrap();
        watch.state.lock().watched.insert(7, watched());
        watch.publish(7, &publication(2, Signals::GONE));
        watch.publish(7, &publication(1, Signals::default()));
        assert_eq!(watch.state.lock().take().map(|news| news.signals), Some(Signals::GONE));
    }

    #[test]
    fn a_record_after_a_stall_is_seen_without_an_answer_of_the_server() {
        let activities = Activities::new(0, Arc::default());
        let options = br#"{"stall_timeout_ms":1800000,"initial_details":""}"#;
        let opened = Moment::now().earlier(Duration::from_secs(3600));
        let activity = Activity::open(b"token", OpenOptions::read(options).unwrap(), opened).unwrap();
        let handle = activities.registry.insert(activity).unwrap();
        let watch = activities.open_watch().unwrap();
        activities.check_stall(handle, Moment::now());
        activities.add_to_watch(watch, handle.number(), Signals::STALLED, 0).unwrap();
        let next = || activities.next_of_watch(watch, Timeout::Zero).unwrap().map(|news| news.signals);
        assert!(next().is_some_and(|signals| signals.contains(Signals::STALLED)));

        let record = |activity: &mut Activity, limit, now| activity.record(Encoding::Json, b"1", limit, now);
        activities.progress(handle, record).unwrap();
        assert!(next().is_some_and(|signals| !signals.contains(Signals::STALLED)));
    }

    #[test]
    fn an_activity_that_was_closed_leaves_nothing_behind() {
        let watches = Watches::new(0);
        let watch = Arc::new(Watch::new().unwrap());
        watches.open.add(watch.clone()).unwrap();
        watch.state.lock().watched.insert(7, watched());
        watches.publish(7, &publication(1, Signals::PAUSED));

        watches.forget(7);
        assert!(watch.state.lock().watched.is_empty());
        assert_eq!(watch.state.lock().take(), None);
    }
}
