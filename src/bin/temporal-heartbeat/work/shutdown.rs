//! Shuts a worker down: stops polling, then the commands.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc::Sender},
    thread::{self, Scope},
    time::Duration,
};

use nix::sys::signal::Signal;
use signal_hook::iterator::Handle;
use temporal_heartbeat::{
    api::{
        rpc::Call,
        worker::{self, POLL_TIME},
    },
    model::deadline::Timeout,
};

use super::Work;
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
fn announce(work: &Work, grace: Duration) {
    let mut text = "shutting down: no more tasks are taken".to_owned();
    match work.running.count() {
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

/// Closes the library's worker, which hands back the tasks that still arrive, and waits for its polls. Aborting a poll could lose a task that
/// the server has just assigned to it.
fn close(work: &Work) {
    if let Ok((polls, false)) = worker::polls(work.worker)
        && polls > 0
    {
        let (what, wait) = (counted(polls, "poll"), console::duration(POLL_TIME));
        console::notice(&format!(
            "waiting up to {wait} for the end of {what}: this server can't end a poll earlier"
        ));
    }
    // Fails if a second signal arrived: the handle is closed then.
    let _ = worker::close(work.worker, Timeout::Forever).and_then(Call::wait);
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// Handles signals until the returned handle is closed. The first signal stops polling at once, and the commands after `grace`. The second
/// signal stops the commands at once.
pub fn handle_signals<'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: &'scope Work,
    grace: Duration,
) -> io::Result<Handle> {
    let mut signals = signals::catch(&SIGNALS)?;
    let handle = signals.handle();
    thread::Builder::new().name("signal".into()).spawn_scoped(scope, move || {
        let mut is_first = true;
        for _ in signals.forever() {
            if !std::mem::take(&mut is_first) {
                work.running.stop();
                continue;
            }
            announce(work, grace);
            let running = work.running.clone();
            if grace.is_zero() || signals::spawn_after(grace, move || running.stop()).is_err() {
                work.running.stop();
            }
            let closing = thread::Builder::new().name("closing".into());
            if closing.spawn_scoped(scope, || close(work)).is_err() {
                close(work);
            }
        }
    })?;
    Ok(handle)
}
