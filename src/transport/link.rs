//! The current connection, made once for all who want it at the same time.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::watch;

use super::connector::{self, Connection};
use crate::{
    error::{Error, Result},
    options::Address,
    status::Status,
    telemetry::{
        Telemetry,
        record::{Event, Value},
    },
};

/// Where a connection comes from.
pub struct Link {
    address: Address,
    state: Arc<Mutex<State>>,
    /// How many connections were begun.
    made: AtomicU64,
    telemetry: Arc<Telemetry>,
}

enum State {
    Down,
    /// Somebody connects; the outcome is announced here.
    Connecting(watch::Receiver<Option<Result<Connection>>>),
    Up(Connection),
}

impl Link {
    /// To the server at `address`, not connected yet.
    pub fn new(address: Address, telemetry: Arc<Telemetry>) -> Self {
        Link { address, state: Arc::new(Mutex::new(State::Down)), made: AtomicU64::new(0), telemetry }
    }

    /// The server's address, as it was given.
    pub fn peer(&self) -> &str {
        &self.address.authority
    }

    /// A connection that was alive a moment ago.
    pub async fn connection(&self) -> Result<Connection> {
        let mut outcome = {
            let mut state = lock(&self.state);
            match &*state {
                State::Up(connection) if !connection.sender.is_closed() => return Ok(connection.clone()),
                // Who connects announces the outcome before he is gone, unless he has panicked.
                State::Connecting(outcome) if outcome.has_changed().is_ok() => outcome.clone(),
                State::Connecting(_) | State::Up(_) | State::Down => {
                    let outcome = self.start();
                    *state = State::Connecting(outcome.clone());
                    outcome
                }
            }
        };
        match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or_else(|| Err(interrupted())),
            Err(_) => Err(interrupted()),
        }
    }

    /// Lets the next call connect anew, if the connection of this number is still the current one. Calls that are under way
    /// on it may end there.
    pub fn abandon(&self, number: u64) {
        let mut state = lock(&self.state);
        if matches!(&*state, State::Up(connection) if connection.number == number) {
            *state = State::Down;
        }
    }

    /// Connects in a task of its own, so that it doesn't matter which of those who wait gives up first.
    fn start(&self) -> watch::Receiver<Option<Result<Connection>>> {
        let (announce, outcome) = watch::channel(None);
        let (address, state, telemetry) = (self.address.clone(), self.state.clone(), self.telemetry.clone());
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            #[cfg(test)]
            tests::fall_if_planted();
            let connection = connector::connect(&address, number).await;
            report(&telemetry, &address.authority, number, connection.as_ref().err());
            *lock(&state) =
                connection.as_ref().map_or(State::Down, |connection| State::Up(connection.clone()));
            announce.send_replace(Some(connection));
        });
        outcome
    }
}

fn report(telemetry: &Telemetry, peer: &str, number: u64, failure: Option<&Error>) {
    let fields = &[("peer", Value::Text(peer)), ("connection", Value::Number(number))];
    match failure {
        Some(error) => {
            telemetry.metrics.connect_failures.one();
            telemetry.journal.tell(Event::ConnectFailed, fields, || error.to_string());
        }
        None => {
            if number > 0 {
                telemetry.metrics.reconnects.one();
            }
            let again = if number > 0 { "again " } else { "" };
            telemetry.journal.tell(Event::Connected, fields, || format!("connected {again}to {peer}"));
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
    use crate::options::Options;

    static PLANTED: AtomicBool = AtomicBool::new(false);

    /// A panic where a connection is begun, once.
    pub fn fall_if_planted() {
        assert!(!PLANTED.swap(false, Ordering::SeqCst), "on purpose");
    }

    #[tokio::test]
    async fn a_panic_while_connecting_fails_who_waits_and_the_next_one_connects() {
        // Nothing listens there.
        let options = Options::read(br#"{"address":"127.0.0.1:1"}"#).unwrap();
        let link = Link::new(options.address, Arc::default());
        PLANTED.store(true, Ordering::SeqCst);
        let fallen = tokio::time::timeout(Duration::from_secs(10), link.connection()).await.unwrap();
        assert!(fallen.err().unwrap().message().contains("interrupted"));
        let next = tokio::time::timeout(Duration::from_secs(10), link.connection()).await.unwrap();
        let refused = next.err().unwrap();
        assert!(refused.message().contains("nothing listens there"), "{refused}");
    }
}
