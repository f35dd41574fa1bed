//! Shuts a worker down: stops polling, then the commands.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc::Sender},
    thread::{self, Scope},
    time::Duration,
};

use nix::sys::signal::Signal;
use signal_hook::iterator::Handle;
use temporal_heartbeat::api::task_queue::POLL_TIME;

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
            if std::mem::take(&mut is_first) {
                if !worker.args.quiet {
                    console::warning(&format!(
                        "shutting down: no more tasks are taken; the current polls take up to {} s",
                        POLL_TIME.as_secs()
                    ));
                }
                worker.slots.close();
                let running = worker.running.clone();
                if !grace.is_zero() && signals::spawn_after(grace, move || running.stop()).is_ok() {
                    continue;
                }
            }
            worker.running.stop();
        }
    })?;
    Ok(handle)
}
