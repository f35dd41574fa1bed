//! The end of a worker: no more tasks, then no more commands.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc::Sender},
    thread::{self, Scope},
    time::Duration,
};

use signal_hook::iterator::{Handle, Signals};

use super::Worker;
use crate::{child::process_group, console, run::supervisor::Event};

/// The signals that ask for the end.
const SIGNALS: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// Who is to be told when commands are to be stopped.
#[derive(Clone, Default)]
pub struct Shutdown(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    running: Vec<(u64, Sender<Event>)>,
    stopped: bool,
}

impl Shutdown {
    /// A command runs.
    pub fn add(&self, number: u64, events: Sender<Event>) {
        let mut state = self.lock();
        if state.stopped {
            // Whoever isn't there any more needs no word; so below.
            let _ = events.send(Event::Shutdown);
        }
        state.running.push((number, events));
    }

    /// It has ended.
    pub fn remove(&self, number: u64) {
        self.lock().running.retain(|(running, _)| *running != number);
    }

    /// Stops all commands.
    fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        for (_, events) in &state.running {
            let _ = events.send(Event::Shutdown);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first signal ends the taking of tasks at once, and the commands after `grace`; the second the commands at once. Until it is closed.
pub fn on_signals<'scope>(
    scope: &'scope Scope<'scope, '_>,
    worker: &'scope Worker,
    grace: Duration,
) -> io::Result<Handle> {
    let mut signals = Signals::new(SIGNALS.into_iter().filter(|signal| !process_group::is_ignored(*signal)))?;
    let handle = signals.handle();
    thread::Builder::new().name("signal".into()).spawn_scoped(scope, move || {
        let mut first = true;
        for _ in signals.forever() {
            if std::mem::take(&mut first) {
                if !worker.settings.quiet {
                    let seconds = temporal_heartbeat::api::task_queue::POLL_TIME.as_secs();
                    console::warning(&format!(
                        "ending: no more tasks are taken; the polls under way take up to {seconds} s"
                    ));
                }
                worker.slots.close();
                // Its thread may outlive the worker: there is nobody to be stopped then.
                let running = worker.shutdown.clone();
                let stop = move || {
                    thread::sleep(grace);
                    running.stop();
                };
                if !grace.is_zero() && thread::Builder::new().name("grace".into()).spawn(stop).is_ok() {
                    continue;
                }
            }
            worker.shutdown.stop();
        }
    })?;
    Ok(handle)
}
