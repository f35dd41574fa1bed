//! Makes a connection: name, TCP, HTTP/2.

use std::{io, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::socket::Socket;
use crate::{
    error::{Error, Result},
    options::Address,
    status::Status,
};

/// How long one attempt to connect may take, however patient its callers are.
pub const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// How often a connection is asked whether it lives; servers punish less than 10 s. The SDKs' figure, as the next.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// How long it has for its answer.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(15);

/// A connection that requests are sent on; clones share it.
#[derive(Clone)]
pub struct Connection {
    /// Tells it from others to the same address.
    pub number: u64,
    /// Takes requests.
    pub sender: SendRequest<Full<Bytes>>,
    /// The server's name in requests.
    pub authority: http::uri::Authority,
}

/// Connects to `address`.
pub async fn connect(address: &Address, number: u64) -> Result<Connection> {
    let connecting = Socket::connect(&address.host, address.port);
    let stream = match tokio::time::timeout(CONNECT_PATIENCE, connecting).await {
        Ok(stream) => stream.map_err(|error| unreachable(address, &error))?,
        Err(_) => {
            let why = format!("no answer within {} s", CONNECT_PATIENCE.as_secs());
            return Err(unreachable(address, &io::Error::new(io::ErrorKind::TimedOut, why)));
        }
    };
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| {
            let why = super::causes(&error);
            Error::new(Status::Unavailable, format!("no HTTP/2 with {}: {why}", address.authority))
        })?;
    // What ends it reaches the calls that are on it.
    tokio::spawn(async move { drop(connection.await) });

    let authority = address.authority.parse().map_err(|_| {
        Error::new(Status::Internal, format!("{} was taken as an address and is none", address.authority))
    })?;
    Ok(Connection { number, sender, authority })
}

fn unreachable(address: &Address, error: &io::Error) -> Error {
    let at = &address.authority;
    let (status, step) = match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => {
            (Status::LocalLimit, "raise the limit of open files (ulimit -n), or close some")
        }
        _ if error.kind() == io::ErrorKind::ConnectionRefused => {
            (Status::Unavailable, "nothing listens there; is the server up, and is this its address?")
        }
        _ => (Status::Unavailable, "is this the server's address, and is it reachable from here?"),
    };
    Error::new(status, format!("can't connect to {at}: {error}; {step}"))
}
