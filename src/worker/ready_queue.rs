//! The tasks and errors that a worker has for its caller.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use super::task::Task;
use crate::{
    activity::handle::invalid,
    model::{
        deadline::Deadline,
        error::{Error, Result},
        status::Status,
    },
    sys::{
        event::Event,
        sync::{Condvar, Mutex},
    },
};

/// The longest sleep of a waiter before it checks whether the worker was closed.
const LONGEST_NAP: Duration = Duration::from_secs(60);

/// Tasks and errors, and the callers that wait for them.
pub struct ReadyQueue {
    event: Event,
    /// Whether the caller has a descriptor of the event.
    is_polled: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Result<Box<Task>>>,
    /// What a caller gets when nothing is ready any more.
    end: Option<End>,
}

/// Why a worker has no more tasks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// It was shut down.
    ShutDown,
    /// The caller has closed it.
    Closed,
    /// The client was disconnected.
    Disconnected,
}

impl End {
    fn error(self) -> Error {
        match self {
            End::ShutDown => {
                Error::new(Status::Ended, "the worker was shut down, and all its tasks were taken")
            }
            End::Closed => invalid(),
            End::Disconnected => {
                Error::new(Status::NotConnected, "the client was disconnected, which closed the worker")
            }
        }
    }
}

impl ReadyQueue {
    /// Creates an empty queue.
    pub fn new() -> Result<Self> {
        let event = Event::new().map_err(|why| Error::no_descriptor("worker", &why))?;
        Ok(ReadyQueue {
            event,
            is_polled: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Adds a task or an error. Returns it if the worker was closed.
    pub fn push(&self, item: Result<Box<Task>>) -> Option<Result<Box<Task>>> {
        let mut state = self.state.lock();
        if matches!(state.end, Some(End::Closed | End::Disconnected)) {
            return Some(item);
        }
        state.ready.push_back(item);
        self.raise();
        drop(state);
        self.changed.notify_one();
        None
    }

    /// Ends the queue. Returns the untaken items, unless it was only shut down.
    pub fn end(&self, end: End) -> Vec<Result<Box<Task>>> {
        let mut state = self.state.lock();
        if !matches!(state.end, Some(End::Closed | End::Disconnected)) {
            state.end = Some(end);
        }
        let untaken = if end == End::ShutDown { Vec::new() } else { state.ready.drain(..).collect() };
        self.raise();
        drop(state);
        self.changed.notify_all();
        untaken
    }

    /// Removes the task of this activity, if it is untaken.
    pub fn remove(&self, activity: u64) -> Option<Box<Task>> {
        let mut state = self.state.lock();
        let is_it = |item: &Result<Box<Task>>| item.as_ref().is_ok_and(|task| task.activity == activity);
        let at = state.ready.iter().position(is_it)?;
        let removed = state.ready.remove(at);
        self.lower_if_empty(&state);
        removed?.ok()
    }

    /// Returns the next task or error. `None`: the time is over.
    pub fn next(&self, deadline: &Deadline) -> Result<Option<Box<Task>>> {
        let mut state = self.state.lock();
        loop {
            if let Some(item) = state.ready.pop_front() {
                self.lower_if_empty(&state);
                return item.map(Some);
            }
            if let Some(end) = state.end {
                return Err(end.error());
            }
            let left = deadline.remaining();
            if left.is_zero() {
                return Ok(None);
            }
            state = self.changed.wait_timeout(state, left.min(LONGEST_NAP));
        }
    }

    /// Opens a descriptor that is readable while [`ReadyQueue::next`] has a result. The caller closes it.
    pub fn open_fd(&self) -> Result<i32> {
        let descriptor = self.event.share().map_err(|why| Error::no_descriptor("worker", &why))?;
        let state = self.state.lock();
        self.is_polled.store(true, Ordering::Release);
        if !state.ready.is_empty() || state.end.is_some() {
            self.event.raise();
        }
        Ok(descriptor)
    }

    fn raise(&self) {
        if self.is_polled.load(Ordering::Acquire) {
            self.event.raise();
        }
    }

    fn lower_if_empty(&self, state: &State) {
        if state.ready.is_empty() && state.end.is_none() && self.is_polled.load(Ordering::Acquire) {
            self.event.lower();
        }
    }
}
