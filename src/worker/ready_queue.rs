//! The tasks and errors that a worker has for its caller.

use std::{collections::VecDeque, time::Duration};

use super::task::Task;
use crate::{
    activity::handle::invalid,
    model::{
        deadline::Deadline,
        error::{Error, Result},
        status::Status,
    },
    runtime::waitable::{Readiness, Waitable},
};

/// Tasks and errors, and the callers that wait for them.
pub struct ReadyQueue(Waitable<State>);

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

impl Readiness for State {
    fn is_ready(&self) -> bool {
        self.end.is_some() || !self.ready.is_empty()
    }
}

impl State {
    fn is_closed(&self) -> bool {
        matches!(self.end, Some(End::Closed | End::Disconnected))
    }
}

impl ReadyQueue {
    /// Creates an empty queue.
    pub fn new() -> Result<Self> {
        Waitable::new("worker").map(ReadyQueue)
    }

    /// Adds a task or an error. Returns it if the worker was closed.
    pub fn push(&self, item: Result<Box<Task>>) -> Option<Result<Box<Task>>> {
        let mut state = self.0.lock();
        if state.is_closed() {
            return Some(item);
        }
        state.ready.push_back(item);
        drop(state);
        self.0.notify();
        None
    }

    /// Ends the queue. Returns the untaken items, unless it was only shut down.
    pub fn end(&self, end: End) -> Vec<Result<Box<Task>>> {
        let mut state = self.0.lock();
        if !state.is_closed() {
            state.end = Some(end);
        }
        let untaken = if end == End::ShutDown { Vec::new() } else { state.ready.drain(..).collect() };
        drop(state);
        self.0.notify_all();
        untaken
    }

    /// Removes the task of this activity, if it is untaken.
    pub fn remove(&self, activity: u64) -> Option<Box<Task>> {
        let is_it = |item: &Result<Box<Task>>| item.as_ref().is_ok_and(|task| task.activity == activity);
        let removed = self.0.wait(&Deadline::within(Duration::ZERO), |state| {
            let at = state.ready.iter().position(is_it)?;
            state.ready.remove(at)
        });
        removed?.ok()
    }

    /// Returns the next task or error. `None`: the time is over.
    pub fn next(&self, deadline: &Deadline) -> Result<Option<Box<Task>>> {
        let next = self.0.wait(deadline, |state| {
            state.ready.pop_front().or_else(|| state.end.map(|end| Err(end.error())))
        });
        next.transpose()
    }

    /// Opens a descriptor that is readable while [`ReadyQueue::next`] has a result. The caller closes it.
    pub fn open_fd(&self) -> Result<i32> {
        self.0.open_fd()
    }
}
