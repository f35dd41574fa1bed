//! All open activities of the process, by handle and by token.

use std::{
    future::poll_fn,
    hash::{BuildHasher, RandomState},
    sync::OnceLock,
    task::{Poll, Waker},
};

use hashbrown::HashTable;

use super::{
    handle::{Handle, LAST_GENERATION, SLOTS_OF_ACTIVITIES, invalid},
    state::Activity,
};
use crate::{
    model::{
        deadline::Deadline,
        error::{Error, Result},
        status::Status,
    },
    sys::sync::{Arc, AsyncMutex, Condvar, Mutex, MutexGuard, timeout},
};

/// Slots are allocated in chunks of this many and never move.
const CHUNK: usize = 1024;
const CHUNKS: usize = SLOTS_OF_ACTIVITIES as usize / CHUNK;

/// The open activities.
pub struct Registry {
    chunks: Box<[OnceLock<Box<[Slot]>>]>,
    entries: Mutex<Index>,
    hasher: RandomState,
    fork: u32,
}

/// Which slots are free, and which slot holds which activity.
#[derive(Default)]
struct Index {
    free: Vec<u32>,
    used: u32,
    /// Slot indexes by the key of the slot's activity.
    keys: HashTable<u32>,
}

/// Holds one activity at a time. The alignment gives each slot its own cache line.
#[derive(Default)]
#[repr(align(64))]
pub struct Slot {
    state: Mutex<SlotState>,
}

/// The content of a slot.
#[derive(Default)]
pub struct SlotState {
    generation: u32,
    /// Whether the handle is being closed: only the calls that began before still use the activity.
    is_closing: bool,
    activity: Option<Activity>,
    /// On the heap, because most activities have no calls that wait.
    calls: Option<Box<Calls>>,
}

/// The calls of an activity.
#[derive(Default)]
struct Calls {
    /// Those that wait for a change.
    waiting: Vec<Waker>,
    /// For those that block a thread until then.
    changed: Arc<Condvar>,
    /// Locked by the submitted call that runs.
    turn: Arc<AsyncMutex<()>>,
}

impl Registry {
    /// Creates an empty registry, for a process with this fork count.
    pub fn new(fork: u32) -> Self {
        Registry {
            chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect(),
            entries: Mutex::default(),
            hasher: RandomState::new(),
            fork,
        }
    }

    /// Adds an activity.
    pub fn insert(&self, activity: Activity) -> Result<Handle> {
        let mut entries = self.entries.lock();
        let hash = self.hasher.hash_one(activity.key());
        if self.find(&entries, hash, activity.key()) {
            return Err(Error::new(
                Status::AlreadyOpen,
                "a handle already holds this activity in this process",
            ));
        }
        let index = match entries.free.pop() {
            Some(index) => index,
            None if entries.used < SLOTS_OF_ACTIVITIES => {
                entries.used += 1;
                entries.used - 1
            }
            None => {
                return Err(Error::new(
                    Status::LocalLimit,
                    format!("{SLOTS_OF_ACTIVITIES} activities are open, which is the limit"),
                ));
            }
        };
        entries.keys.insert_unique(hash, index, |index| self.hash_at(*index));
        let mut state = self.slot(index).state.lock();
        state.generation += 1;
        (state.is_closing, state.calls) = (false, None);
        state.activity = Some(activity);
        Ok(Handle::new(index, state.generation, self.fork))
    }

    /// Makes a handle invalid for new calls. Calls that began before still use its activity, until [`Registry::remove`].
    pub fn begin_closing(&self, handle: Handle) -> Result<()> {
        let slot = self.existing(handle.index())?;
        let mut state = slot.state.lock();
        state.of_open(handle)?;
        state.is_closing = true;
        wake_waiting(state);
        Ok(())
    }

    /// Removes a handle's activity and wakes the calls that wait for it.
    pub fn remove(&self, handle: Handle) -> Result<Activity> {
        let slot = self.existing(handle.index())?;
        let mut entries = self.entries.lock();
        let mut state = slot.state.lock();
        state.of(handle)?;
        let activity = state.activity.take().ok_or_else(invalid)?;
        wake_waiting(state);
        let hash = self.hasher.hash_one(activity.key());
        if let Ok(entry) = entries.keys.find_entry(hash, |index| *index == handle.index()) {
            entry.remove();
        }
        if handle.generation() < LAST_GENERATION {
            entries.free.push(handle.index());
        }
        Ok(activity)
    }

    /// Returns whether a handle holds this token.
    pub fn holds(&self, token: &[u8]) -> bool {
        let entries = self.entries.lock();
        !entries.keys.is_empty() && self.find(&entries, self.hasher.hash_one(token), token)
    }

    fn find(&self, entries: &Index, hash: u64, key: &[u8]) -> bool {
        let is_it = |index: &u32| {
            let state = self.slot(*index).state.lock();
            state.activity.as_ref().is_some_and(|activity| activity.key() == key)
        };
        entries.keys.find(hash, is_it).is_some()
    }

    fn hash_at(&self, index: u32) -> u64 {
        let state = self.slot(index).state.lock();
        state.activity.as_ref().map_or(0, |activity| self.hasher.hash_one(activity.key()))
    }

    /// Returns the number of open activities.
    pub fn open(&self) -> usize {
        self.entries.lock().keys.len()
    }

    /// Returns the handles of all open activities.
    pub fn handles(&self) -> Vec<Handle> {
        let used = self.entries.lock().used;
        let handle = |index| {
            let state = self.slot(index).state.lock();
            state.activity.as_ref().map(|_| Handle::new(index, state.generation, self.fork))
        };
        (0..used).filter_map(handle).collect()
    }

    /// Returns the handle that a number encodes.
    #[inline]
    pub fn handle(&self, number: u64) -> Result<Handle> {
        Handle::from_number(number, self.fork)
    }

    /// Reads or changes the activity of an open handle under its lock. `change` must be brief.
    #[inline]
    pub fn with_open<T>(&self, handle: Handle, change: impl FnOnce(&mut Activity) -> T) -> Result<T> {
        let slot = self.existing(handle.index())?;
        let mut state = slot.state.lock();
        state.of_open(handle).map(change)
    }

    /// Like [`Registry::with_open`], also while the handle is being closed.
    #[inline]
    pub fn with<T>(&self, handle: Handle, change: impl FnOnce(&mut Activity) -> T) -> Result<T> {
        let slot = self.existing(handle.index())?;
        let mut state = slot.state.lock();
        state.of(handle).map(change)
    }

    /// Like [`Registry::with`], and wakes the calls that wait for a change.
    pub fn change<T>(&self, handle: Handle, change: impl FnOnce(&mut Activity) -> T) -> Result<T> {
        let slot = self.existing(handle.index())?;
        let mut state = slot.state.lock();
        let changed = state.of(handle).map(change);
        wake_waiting(state);
        changed
    }

    /// Waits until `look` returns a value, the deadline passes (`None`), or the activity is removed. `look` also returns
    /// when to check again even without a change.
    pub async fn wait<T>(
        &self,
        handle: Handle,
        deadline: &Deadline,
        mut look: impl FnMut(&mut Activity) -> Result<Checked<T>>,
    ) -> Result<Option<T>> {
        let slot = self.existing(handle.index())?;
        loop {
            let waker = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
            let again = {
                let mut state = slot.state.lock();
                let again = match look(state.of(handle)?)? {
                    Checked::Found(found) => return Ok(Some(found)),
                    Checked::Again(again) => again,
                };
                state.wake_at_change(waker);
                again
            };
            let left = deadline.remaining();
            if left.is_zero() {
                return Ok(None);
            }
            let woken = timeout(left.min(again), until_polled_again());
            let _ = deadline.unless_cancelled(woken).await;
        }
    }

    /// Returns what the submitted calls of a handle lock, so that they run one at a time.
    pub fn turn(&self, handle: Handle) -> Result<Arc<AsyncMutex<()>>> {
        let mut state = self.existing(handle.index())?.state.lock();
        state.of(handle)?;
        Ok(state.calls.get_or_insert_default().turn.clone())
    }

    /// Like [`Registry::wait`], on the caller's thread, and only until the handle is closed.
    pub fn block_until<T>(
        &self,
        handle: Handle,
        deadline: &Deadline,
        mut look: impl FnMut(&mut Activity) -> Result<Checked<T>>,
    ) -> Result<Option<T>> {
        let slot = self.existing(handle.index())?;
        let mut state = slot.state.lock();
        loop {
            let again = match look(state.of_open(handle)?)? {
                Checked::Found(found) => return Ok(Some(found)),
                Checked::Again(again) => again,
            };
            let left = deadline.remaining();
            if left.is_zero() {
                return Ok(None);
            }
            let changed = state.calls.get_or_insert_default().changed.clone();
            state = changed.wait_timeout(state, left.min(again));
        }
    }

    #[inline]
    fn existing(&self, index: u32) -> Result<&Slot> {
        let (chunk, at) = (index as usize / CHUNK, index as usize % CHUNK);
        self.chunks.get(chunk).and_then(OnceLock::get).and_then(|chunk| chunk.get(at)).ok_or_else(invalid)
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "an index below SLOTS_OF_ACTIVITIES has its chunk and its state there"
    )]
    fn slot(&self, index: u32) -> &Slot {
        let (chunk, at) = (index as usize / CHUNK, index as usize % CHUNK);
        let chunk = self.chunks[chunk].get_or_init(|| (0..CHUNK).map(|_| Slot::default()).collect());
        &chunk[at]
    }
}

/// The result of one check.
pub enum Checked<T> {
    /// The awaited value.
    Found(T),
    /// No value yet; check again after this time at the latest.
    Again(std::time::Duration),
}

/// Is ready when the task that waits for it is polled a second time: when its waker was called.
async fn until_polled_again() {
    let mut is_polled = false;
    poll_fn(|_| if std::mem::replace(&mut is_polled, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Wakes the calls that wait for a change.
fn wake_waiting(mut state: MutexGuard<'_, SlotState>) {
    let Some(calls) = &mut state.calls else { return };
    let (waiting, changed) = (std::mem::take(&mut calls.waiting), calls.changed.clone());
    drop(state);
    waiting.into_iter().for_each(Waker::wake);
    changed.notify_all();
}

impl SlotState {
    fn wake_at_change(&mut self, waker: Waker) {
        let waiting = &mut self.calls.get_or_insert_default().waiting;
        if !waiting.iter().any(|known| known.will_wake(&waker)) {
            waiting.push(waker);
        }
    }

    /// Returns the activity unless the handle is being closed.
    #[inline]
    fn of_open(&mut self, handle: Handle) -> Result<&mut Activity> {
        if self.is_closing { Err(invalid()) } else { self.of(handle) }
    }

    #[inline]
    fn of(&mut self, handle: Handle) -> Result<&mut Activity> {
        match &mut self.activity {
            Some(activity) if self.generation == handle.generation() => Ok(activity),
            _ => Err(invalid()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::options::OpenOptions;
    use crate::sys::clock::Moment;

    fn activity() -> Activity {
        Activity::open(b"token", OpenOptions::default(), Moment::now()).unwrap()
    }

    #[test]
    fn slot_is_not_reused_after_its_last_generation() {
        let registry = Registry::new(0);
        let first = registry.insert(activity()).unwrap();
        registry.remove(first).unwrap();
        registry.slot(first.index()).state.lock().generation = LAST_GENERATION - 1;

        let last = registry.insert(activity()).unwrap();
        assert_eq!((last.index(), last.generation()), (first.index(), LAST_GENERATION));
        registry.remove(last).unwrap();
        let next = registry.insert(activity()).unwrap();
        assert_eq!((next.index(), next.generation()), (first.index() + 1, 1));
        for worn_out in [first, last] {
            assert_eq!(registry.with(worn_out, |_| ()).unwrap_err().status(), Status::InvalidHandle);
        }
    }

    #[test]
    fn activities_use_no_slots_of_watches() {
        let registry = Registry::new(0);
        registry.entries.lock().used = SLOTS_OF_ACTIVITIES - 1;
        let last = registry.insert(activity()).unwrap();
        assert_eq!(last.index(), SLOTS_OF_ACTIVITIES - 1);
        let other = Activity::open(b"other", OpenOptions::default(), Moment::now()).unwrap();
        assert_eq!(registry.insert(other).unwrap_err().status(), Status::LocalLimit);
    }

    #[test]
    fn slot_has_a_limited_size() {
        // Not counting the token and the details, which vary in size.
        let bytes = size_of::<Slot>();
        assert!(bytes <= 256, "{bytes} bytes");
    }
}
