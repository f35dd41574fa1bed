//! The current connection, made once for all callers that need it at the same time.

use std::{
    sync::{
        Arc,
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
    runtime::{self, IoThread},
    sys::sync::Mutex,
    telemetry::{
        Telemetry,
        log_record::{Event, Value},
    },
    transport::credentials::CredentialStore,
};

/// A connect attempt older than this is abandoned when a waiting call times out.
const SILENCE: Duration = Duration::from_secs(2);

/// Makes and holds the connection.
pub struct Link {
    target: Arc<Target>,
    credential_store: Arc<CredentialStore>,
    state: Arc<Mutex<State>>,
    /// The number of connections that were begun.
    made: AtomicU64,
    io_thread: IoThread,
    telemetry: Arc<Telemetry>,
}

enum State {
    Down,
    Connecting(Connecting),
    Up(Connection),
}

/// A connect attempt in progress.
#[derive(Clone)]
struct Connecting {
    number: u64,
    since: Instant,
    outcome: Arc<SetOnce<Result<Connection>>>,
    task: AbortHandle,
}

impl Link {
    /// Creates a link to `target` that isn't connected yet.
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

    /// Returns the target.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Returns an open connection, made now if necessary. With `encrypted` it uses TLS: a connection that was made in
    /// plain text must not carry secrets that were configured later.
    pub async fn connection(&self, encrypted: bool) -> Result<Connection> {
        let serves = |connection: &Connection| connection.handshake.is_some() || !encrypted;
        let outcome = {
            let mut state = self.state.lock();
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
        // The connect attempt began before TLS was configured.
        let why = "the connection isn't encrypted, but now it must be; the next one will be";
        Err(Error::new(Status::Unavailable, why))
    }

    /// Returns the server's limit of concurrent requests on the current connection; [`usize::MAX`] while unknown.
    pub fn max_streams(&self) -> usize {
        match &*self.state.lock() {
            State::Up(connection) => connection.sender.max_streams(),
            State::Connecting(_) | State::Down => usize::MAX,
        }
    }

    /// Aborts a connect attempt that has been silent for too long, so that the next call starts another one.
    pub fn abandon_silence(&self) {
        let mut state = self.state.lock();
        if let State::Connecting(connecting) = &*state
            && connecting.since.elapsed() > SILENCE
        {
            connecting.task.abort();
            *state = State::Down;
        }
    }

    /// Replaces the connection by one with the credentials now in force. Calls use the old connection until the new
    /// one is established; if that fails, the old one stays.
    pub fn replace(&self) {
        let mut state = self.state.lock();
        match &*state {
            State::Down => {}
            State::Up(_) => drop(self.start(None)),
            // The attempt may have read the credentials before they changed.
            State::Connecting(connecting) => {
                connecting.task.abort();
                *state = State::Connecting(self.start(None));
            }
        }
    }

    /// Connects in a separate task, so that a call that times out doesn't abort it for other calls. If the
    /// `last` connection is being aborted, waits for that first: its unsent bytes must not arrive after those of the
    /// next one.
    fn start(&self, last: Option<Connection>) -> Connecting {
        let outcome = Announced::default();
        let connecting = outcome.0.clone();
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let (target, credential_store, state) =
            (self.target.clone(), self.credential_store.clone(), self.state.clone());
        let (io_thread, telemetry) = (self.io_thread.clone(), self.telemetry.clone());
        let task = runtime::spawn(async move {
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
            report(&telemetry, &target.address.text, number, connection.as_ref().err());
            settle(&mut state.lock(), number, &connection);
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
        // This is the only place that sets it.
        let _ = self.0.set(outcome);
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        let _ = self.0.set(Err(interrupted()));
    }
}

/// Applies the outcome of a connect attempt, unless a newer attempt exists.
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

    /// Panics once at the beginning of a connect attempt, if the test requested it.
    pub fn fall_if_planted() {
        // A simulation that runs at the same time has requested none.
        assert!(
            crate::sys::simulated::world().is_some() || !PLANTED.swap(false, Ordering::SeqCst),
            "on purpose"
        );
    }

    #[test]
    fn panic_while_connecting_fails_the_waiting_call_and_the_next_one_connects() {
        // No server listens there.
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
        runtime.start(|| ()).unwrap();
        let link =
            Arc::new(Link::new(target, Arc::new(credential_store), runtime.io_thread(), Arc::default()));
        let connect = || {
            let link = link.clone();
            let deadline = Deadline::within(Duration::from_secs(10));
            runtime
                .block_on(&deadline, true, async move { link.connection(false).await.map(drop) })
                .unwrap_err()
        };
        PLANTED.store(true, Ordering::SeqCst);
        assert!(connect().message().contains("interrupted"));
        let refused = connect();
        assert!(refused.message().contains("nothing listens there"), "{refused}");
    }
}
