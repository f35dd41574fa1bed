//! Shuts a worker down: stops polling, then the commands.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc::Sender},
    thread::{self, Scope},
    time::Duration,
};

use nix::sys::signal::Signal;
use signal_hook::iterator::Handle;
use temporal_heartbeat::api::task_queue::{self, POLL_TIME};

use super::Worker;
use crate::{console, run::supervisor::Event, signals};

/// The signals that shut the worker down.
const SIGNALS: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// The commands that run, so that they can be stopped.
#[derive(Clone, Default)]
pub struct RunningCommands(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    senders: Vec<(u64, Sender<Event>)>,
    is_stopped: bool,
}

impl RunningCommands {
    /// Adds the command of a task. It is stopped at once if [`stop`](Self::stop) was called.
    pub fn add(&self, task: u64, sender: Sender<Event>) {
        let mut state = self.lock();
        if state.is_stopped {
            // Fails only if the command has exited, as below.
            let _ = sender.send(Event::Shutdown);
        }
        state.senders.push((task, sender));
    }

    /// Removes the command of a task.
    pub fn remove(&self, task: u64) {
        self.lock().senders.retain(|(number, _)| *number != task);
    }

    /// The number of commands.
    fn count(&self) -> usize {
        self.lock().senders.len()
    }

    /// Stops all commands.
    fn stop(&self) {
        let mut state = self.lock();
        state.is_stopped = true;
        for (_, sender) in &state.senders {
            let _ = sender.send(Event::Shutdown);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Prints what happens to the commands.
fn announce(worker: &Worker, grace: Duration) {
    let mut text = "shutting down: no more tasks are taken".to_owned();
    match worker.running.count() {
        0 => {}
        count if grace.is_zero() => text.push_str(&format!("; stopping {}", counted(count, "command"))),
        count => text.push_str(&format!(
            "; waiting up to {} for {} (--shutdown-grace)",
            console::duration(grace),
            counted(count, "command")
        )),
    }
    console::notice(&text);
}

/// Ends the outstanding polls if the server can do that. A poll that is aborted here could lose a task that the server has just assigned to it.
fn release_polls(worker: &Worker) {
    let polls = worker.slots.polling();
    if polls > 0 && !task_queue::release_polls(&worker.queue).unwrap_or(false) {
        let what = counted(polls, "poll");
        let wait = console::duration(POLL_TIME);
        console::notice(&format!(
            "waiting up to {wait} for the end of {what}: this server can't end a poll earlier"
        ));
    }
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// Handles signals until the returned handle is closed. The first signal stops polling at once, and the commands after `grace`. The second
/// signal stops the commands at once.
pub fn handle_signals<'scope>(
    scope: &'scope Scope<'scope, '_>,
    worker: &'scope Worker,
    grace: Duration,
) -> io::Result<Handle> {
    let mut signals = signals::catch(&SIGNALS)?;
    let handle = signals.handle();
    thread::Builder::new().name("signal".into()).spawn_scoped(scope, move || {
        let mut is_first = true;
        for _ in signals.forever() {
            if !std::mem::take(&mut is_first) {
                worker.running.stop();
                continue;
            }
            worker.slots.close();
            announce(worker, grace);
            let running = worker.running.clone();
            if grace.is_zero() || signals::spawn_after(grace, move || running.stop()).is_err() {
                worker.running.stop();
            }
            release_polls(worker);
        }
    })?;
    Ok(handle)
}
