//! The current connection, made once for all who want it at the same time.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::SetOnce, task::AbortHandle, time::Instant};

use super::connector::{self, Connection, Target};
use crate::{
    model::{
        error::{Error, Result},
        status::Status,
    },
    runtime::IoThread,
    telemetry::{
        Telemetry,
        log_record::{Event, Value},
    },
    transport::credentials::CredentialStore,
};

/// A connect attempt older than this is abandoned when a waiting call times out.
const SILENCE: Duration = Duration::from_secs(2);

/// Where a connection comes from.
pub struct Link {
    target: Arc<Target>,
    credential_store: Arc<CredentialStore>,
    state: Arc<Mutex<State>>,
    /// How many connections were begun.
    made: AtomicU64,
    io_thread: IoThread,
    telemetry: Arc<Telemetry>,
}

enum State {
    Down,
    Connecting(Connecting),
    Up(Connection),
}

/// Somebody connects.
#[derive(Clone)]
struct Connecting {
    number: u64,
    since: Instant,
    outcome: Arc<SetOnce<Result<Connection>>>,
    task: AbortHandle,
}

impl Link {
    /// To `target`, not connected yet.
    pub fn new(
        target: Target,
        credential_store: Arc<CredentialStore>,
        io_thread: IoThread,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        Link {
            target: Arc::new(target),
            credential_store,
            state: Arc::new(Mutex::new(State::Down)),
            made: AtomicU64::new(0),
            io_thread,
            telemetry,
        }
    }

    /// What it connects to.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// A connection that was alive a moment ago; an encrypted one, where it has to be: what was connected in plain text before may not
    /// carry what is secret now.
    pub async fn connection(&self, encrypted: bool) -> Result<Connection> {
        let serves = |connection: &Connection| connection.handshake.is_some() || !encrypted;
        let outcome = {
            let mut state = lock(&self.state);
            match &*state {
                State::Up(connection) if !connection.sender.is_closed() && serves(connection) => {
                    return Ok(connection.clone());
                }
                State::Connecting(connecting) if !connecting.outcome.initialized() => {
                    connecting.outcome.clone()
                }
                last => {
                    let last = if let State::Up(connection) = last { Some(connection.clone()) } else { None };
                    let connecting = self.start(last);
                    *state = State::Connecting(connecting.clone());
                    connecting.outcome
                }
            }
        };
        let connection = outcome.wait().await.clone()?;
        if serves(&connection) {
            return Ok(connection);
        }
        // It was being made when that changed.
        let why = "the connection isn't encrypted, and has to be by now; the next one is";
        Err(Error::new(Status::Unavailable, why))
    }

    /// How many requests the server takes at once on the current connection; [`usize::MAX`] while that isn't known.
    pub fn max_streams(&self) -> usize {
        match &*lock(&self.state) {
            State::Up(connection) => connection.sender.max_streams(),
            State::Connecting(_) | State::Down => usize::MAX,
        }
    }

    /// Ends a connect attempt that has been silent for long, so that the next call starts another one.
    pub fn abandon_silence(&self) {
        let mut state = lock(&self.state);
        if let State::Connecting(connecting) = &*state
            && connecting.since.elapsed() > SILENCE
        {
            connecting.task.abort();
            *state = State::Down;
        }
    }

    /// Replaces the connection by one with the credentials that are in force now. Until there is one, calls have the old
    /// one; should there be none, they keep it.
    pub fn replace(&self) {
        let mut state = lock(&self.state);
        match &*state {
            State::Down => {}
            State::Up(_) => drop(self.start(None)),
            // It may have read the credentials before they changed.
            State::Connecting(connecting) => {
                connecting.task.abort();
                *state = State::Connecting(self.start(None));
            }
        }
    }

    /// Connects in a task of its own, so that a waiting call that gives up doesn't end it for the others. If the `last` connection is
    /// being aborted, that is completed first: bytes that it still holds must not arrive after those of the next one.
    fn start(&self, last: Option<Connection>) -> Connecting {
        let outcome = Announced::default();
        let connecting = outcome.0.clone();
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let (target, credential_store, state) =
            (self.target.clone(), self.credential_store.clone(), self.state.clone());
        let (io_thread, telemetry) = (self.io_thread.clone(), self.telemetry.clone());
        let task = tokio::spawn(async move {
            #[cfg(test)]
            tests::fall_if_planted();
            if let Some(last) = last {
                last.sender.liveness.abort_completed().await;
            }
            let credentials = credential_store.current();
            let connection = io_thread.run(connector::connect(&target, &credentials, number)).await;
            if connection.is_ok() {
                credential_store.tested(&credentials);
            }
            report(&telemetry, &target.address.authority, number, connection.as_ref().err());
            settle(&mut lock(&state), number, &connection);
            outcome.set(connection);
        });
        Connecting { number, since: Instant::now(), outcome: connecting, task: task.abort_handle() }
    }
}

/// The outcome of a connect attempt. Dropped without one, as when the task is aborted or panics, it sets an error.
#[derive(Default)]
struct Announced(Arc<SetOnce<Result<Connection>>>);

impl Announced {
    fn set(&self, outcome: Result<Connection>) {
        // Nobody else sets it.
        let _ = self.0.set(outcome);
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        let _ = self.0.set(Err(interrupted()));
    }
}

/// Takes in how connecting ended; what was begun later counts.
fn settle(state: &mut State, number: u64, outcome: &Result<Connection>) {
    let awaited = match state {
        State::Connecting(connecting) => connecting.number == number,
        State::Up(connection) => outcome.is_ok() && connection.number < number,
        State::Down => outcome.is_ok(),
    };
    if awaited {
        *state = outcome.as_ref().map_or(State::Down, |connection| State::Up(connection.clone()));
    }
}

fn report(telemetry: &Telemetry, peer: &str, number: u64, failure: Option<&Error>) {
    let fields = &[("peer", Value::Text(peer)), ("connection", Value::Number(number))];
    match failure {
        Some(error) => {
            telemetry.metrics.connect_failures.one();
            telemetry.log.write(Event::ConnectFailed, fields, || error.to_string());
        }
        None => {
            if number > 0 {
                telemetry.metrics.reconnects.one();
            }
            let again = if number > 0 { "again " } else { "" };
            telemetry.log.write(Event::Connected, fields, || format!("connected {again}to {peer}"));
        }
    }
}

/// Held for a few instructions at a time; what panics in between leaves the state whole.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn interrupted() -> Error {
    Error::new(Status::Unavailable, "connecting was interrupted")
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicBool, time::Duration};

    use super::*;
    use crate::transport::dialer::Dialer;
    use crate::{config::Options, model::deadline::Deadline, runtime::Runtime};

    static PLANTED: AtomicBool = AtomicBool::new(false);

    /// A panic where a connection is begun, once.
    pub fn fall_if_planted() {
        assert!(!PLANTED.swap(false, Ordering::SeqCst), "on purpose");
    }

    #[test]
    fn a_panic_while_connecting_fails_the_waiting_call_and_the_next_one_connects() {
        // Nothing listens there.
        let options = Options::read(br#"{"address":"127.0.0.1:1"}"#).unwrap();
        let target = Target {
            address: options.address,
            authority: options.authority,
            proxy: None,
            keepalive: None,
            dialer: Dialer::default(),
        };
        let credential_store = CredentialStore::open(options.security, http::HeaderMap::new()).unwrap();
        let runtime = Runtime::new();
        runtime.start().unwrap();
        let link =
            Arc::new(Link::new(target, Arc::new(credential_store), runtime.io_thread(), Arc::default()));
        let connect = || {
            let link = link.clone();
            let deadline = Deadline::within(Duration::from_secs(10));
            runtime
                .block_on(deadline, true, async move { link.connection(false).await.map(drop) })
                .unwrap_err()
        };
        PLANTED.store(true, Ordering::SeqCst);
        assert!(connect().message().contains("interrupted"));
        let refused = connect();
        assert!(refused.message().contains("nothing listens there"), "{refused}");
    }
}
