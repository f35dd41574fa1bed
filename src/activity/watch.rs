//! Lets one thread wait for the signals of many activities.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    Activities,
    handle::{Handle, MAX_SLOTS, SLOTS_OF_WATCHES, invalid},
    state::Publication,
};
use crate::{
    model::{
        deadline::{Deadline, Timeout},
        error::{Error, Result},
        signals::Signals,
        status::Status,
    },
    sys::{
        clock::Moment,
        event::Event,
        sync::{Condvar, Mutex},
    },
};

/// The most watches at once.
pub const MAX_WATCHES: usize = 1024;
/// The longest sleep of a waiter before it checks whether the watch was closed.
const LONGEST_NAP: Duration = Duration::from_secs(60);

/// Delay added to a timer, so that it doesn't fire just before the signal is set.
const PAST: Duration = Duration::from_millis(1);

/// The open watches.
#[derive(Default)]
pub struct Watches {
    open: Mutex<Open>,
    count: AtomicUsize,
}

#[derive(Default)]
struct Open {
    made: u32,
    watches: HashMap<u64, Arc<Watch>>,
}

struct Watch {
    event: Event,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    closed: bool,
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
    /// Publishes an activity's signals to every watch. Must be called without the activity's lock.
    pub fn publish(&self, activity: u64, publication: &Publication) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let watches: Vec<_> = self.open.lock().watches.values().cloned().collect();
        watches.iter().for_each(|watch| watch.publish(activity, publication));
    }

    /// Removes a closed activity from every watch, because a watch may live as long as the process.
    pub fn forget(&self, activity: u64) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let watches: Vec<_> = self.open.lock().watches.values().cloned().collect();
        watches.iter().for_each(|watch| watch.forget(activity));
    }

    /// Closes all watches.
    pub fn close_all(&self) {
        let watches = std::mem::take(&mut self.open.lock().watches);
        self.count.store(0, Ordering::Release);
        watches.values().for_each(|watch| watch.close());
    }

    fn get(&self, number: u64) -> Result<Arc<Watch>> {
        self.open.lock().watches.get(&number).cloned().ok_or_else(invalid)
    }
}

impl Watch {
    fn publish(&self, activity: u64, publication: &Publication) {
        let mut state = self.state.lock();
        let Some(watched) = state.watched.get_mut(&activity) else { return };
        // Two threads may publish at the same time, and the older reading may arrive last.
        if publication.number < watched.publication {
            return;
        }
        (watched.now, watched.publication) = (publication.signals, publication.number);
        if watched.queued || watched.now.changed(watched.told, watched.mask).is_empty() {
            return;
        }
        watched.queued = true;
        state.news.push_back(activity);
        self.event.raise();
        self.changed.notify_one();
    }

    fn forget(&self, activity: u64) {
        self.state.lock().watched.remove(&activity);
    }

    fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
        self.event.raise();
    }
}

impl State {
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
        let event = Event::new().map_err(|why| Error::no_descriptor("watch", &why))?;
        let mut open = self.watches.open.lock();
        if open.watches.len() >= MAX_WATCHES {
            return Err(Error::new(
                Status::LocalLimit,
                format!("{MAX_WATCHES} watches are open, which is the limit"),
            ));
        }
        open.made = open.made.wrapping_add(1);
        let index = MAX_SLOTS - 1 - open.made % SLOTS_OF_WATCHES;
        let handle = self.registry.handle_of(index, 1 + open.made / SLOTS_OF_WATCHES);
        let watch = Watch { event, state: Mutex::default(), changed: Condvar::new() };
        open.watches.insert(handle.number(), Arc::new(watch));
        self.watches.count.store(open.watches.len(), Ordering::Release);
        Ok(handle.number())
    }

    /// Adds an activity to a watch, which then reports its signals in `mask`, now and on each change. For an activity
    /// that is already in the watch, replaces `mask` and `user_data`.
    pub fn add_to_watch(&self, watch: u64, activity: u64, mask: Signals, user_data: u64) -> Result<()> {
        self.registry.handle(watch)?;
        let handle = self.registry.handle(activity)?;
        let found = self.watches.get(watch)?;
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
        self.registry.handle(watch)?;
        let began = self.begin_call();
        self.next_in_call(watch, &timeout.start_waiting()).map_err(|error| self.explain(began, error))
    }

    fn next_in_call(&self, watch: u64, deadline: &Deadline) -> Result<Option<News>> {
        let watch = self.watches.get(watch)?;
        let mut state = watch.state.lock();
        loop {
            let news = state.take();
            if state.news.is_empty() && !state.closed {
                watch.event.lower();
            }
            match news {
                // The activity was closed since, so its signals are dropped.
                Some(news) if !self.is_open(news.activity) => {
                    state.watched.remove(&news.activity);
                    continue;
                }
                Some(news) => return Ok(Some(news)),
                None => {}
            }
            if state.closed {
                return Err(invalid());
            }
            let left = deadline.remaining();
            if left.is_zero() {
                return Ok(None);
            }
            state = watch.changed.wait_timeout(state, left.min(LONGEST_NAP));
        }
    }

    /// Opens a descriptor that is readable while [`Activities::next_of_watch`] has a result. The caller closes it.
    pub fn open_watch_fd(&self, watch: u64) -> Result<i32> {
        self.registry.handle(watch)?;
        self.watches.get(watch)?.event.share().map_err(|why| Error::no_descriptor("watch", &why))
    }

    /// Closes a watch and wakes its waiters. Its activities stay open.
    pub fn close_watch(&self, watch: u64) -> Result<()> {
        self.registry.handle(watch)?;
        let mut open = self.watches.open.lock();
        let closed = open.watches.remove(&watch).ok_or_else(invalid)?;
        self.watches.count.store(open.watches.len(), Ordering::Release);
        drop(open);
        closed.close();
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
        let watch = Watch { event: Event::new().unwrap(), state: Mutex::default(), changed: Condvar::new() };
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
        let watches = Watches::default();
        let watch = Arc::new(Watch {
            event: Event::new().unwrap(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        watches.open.lock().watches.insert(1, Arc::clone(&watch));
        watches.count.store(1, Ordering::Release);
        watch.state.lock().watched.insert(7, watched());
        watches.publish(7, &publication(1, Signals::PAUSED));

        watches.forget(7);
        assert!(watch.state.lock().watched.is_empty());
        assert_eq!(watch.state.lock().take(), None);
    }
}
