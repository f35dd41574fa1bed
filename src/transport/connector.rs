//! Makes a connection: name resolution, TCP, an optional proxy, optional TLS, HTTP/2.

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use super::{
    dialer::Dialer,
    http2::{self, Sender},
    liveness::Liveness,
    proxy,
    socket::Socket,
    stream::{ByteStream, Opening, Stream},
    tls::{self, Handshake, Protocol},
};
use crate::{
    config::{Address, Keepalive, Proxy},
    model::{
        error::{Error, Result},
        status::Status,
    },
    runtime,
    transport::credentials::Credentials,
};

/// The longest time of one connect attempt, however long its callers wait.
pub const CONNECT_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// The first byte of a TLS alert, and of its version.
const TLS_ALERT: [u8; 2] = [0x15, 0x03];
/// The type of the first frame that an HTTP/2 server sends. Three bytes of length precede it.
const SETTINGS: u8 = 4;

/// What to connect to, and how.
pub struct Target {
    /// The server.
    pub address: Address,
    /// The server's name in requests.
    pub authority: http::uri::Authority,
    /// The proxy to connect through.
    pub proxy: Option<Proxy>,
    /// How to detect that a connection is dead.
    pub keepalive: Option<Keepalive>,
    /// Chooses among the addresses of a name.
    pub dialer: Dialer,
}

impl Target {
    fn route(&self) -> Route<'_> {
        Route { address: &self.address, proxy: self.proxy.as_ref(), dialer: &self.dialer }
    }
}

/// A connection for requests; clones share it.
#[derive(Clone)]
pub struct Connection {
    /// Distinguishes it from other connections to the same address.
    pub number: u64,
    /// Sends requests.
    pub sender: Sender,
    /// The TLS handshake, if the connection is encrypted.
    pub handshake: Option<Arc<Handshake>>,
}

/// Connects to `target`.
pub async fn connect(target: &Target, credentials: &Credentials, number: u64) -> Result<Connection> {
    let end = Instant::now() + CONNECT_ATTEMPT_TIMEOUT;
    match tokio::time::timeout_at(end, connect_until(target, credentials, number, end)).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let (at, seconds) = (&target.address.text, CONNECT_ATTEMPT_TIMEOUT.as_secs());
            let why =
                format!("can't connect to {at}: no answer within {seconds} s; is this the server's address?");
            Err(Error::new(Status::Unavailable, why))
        }
    }
}

async fn connect_until(
    target: &Target,
    credentials: &Credentials,
    number: u64,
    end: Instant,
) -> Result<Connection> {
    let peer = &target.address.text;
    let liveness = Arc::new(Liveness::default());
    let socket = reach(target.route(), end, &liveness).await?;
    let (bytes, handshake): (Box<dyn ByteStream>, _) = match &credentials.tls {
        None => (Box::new(socket), None),
        Some(encryption) => {
            let (stream, handshake) = encryption.start(socket, peer, Protocol::Http2).await?;
            (Box::new(stream), Some(Arc::new(handshake)))
        }
    };
    let (stream, opening) = Stream::new(bytes, liveness.clone());

    let (sender, driver) = http2::open(stream, target.keepalive, liveness).await.map_err(|error| {
        let why = super::causes(&error);
        Error::new(Status::Unavailable, format!("no HTTP/2 with {peer}: {why}"))
    })?;
    runtime::spawn(driver);
    match check(opening, peer, handshake.as_deref()).await {
        Ok(()) => Ok(Connection { number, sender, handshake }),
        Err(Fault::Unexplained(error)) => {
            Err(if speaks_tls(target, end).await { not_plain_text(peer) } else { error })
        }
        Err(Fault::Explained(error)) => Err(error),
    }
}

/// How to reach a server.
pub struct Route<'a> {
    /// The server.
    pub address: &'a Address,
    /// The proxy to connect through.
    pub proxy: Option<&'a Proxy>,
    /// Chooses among the addresses of a name.
    pub dialer: &'a Dialer,
}

/// Makes the TCP connection to the server, directly or through the proxy.
pub async fn reach(route: Route<'_>, end: Instant, liveness: &Arc<Liveness>) -> Result<Socket> {
    let Some(proxy) = route.proxy else {
        return route.dialer.connect(route.address, end, liveness).await;
    };
    let connected = route.dialer.connect(&proxy.address, end, liveness).await;
    let socket = connected.map_err(|error| error.with_context("it is the proxy"))?;
    proxy::tunnel(socket, proxy, route.address).await
}

/// Returns whether the server answers a client that speaks TLS.
async fn speaks_tls(target: &Target, end: Instant) -> bool {
    match reach(target.route(), end, &Arc::default()).await {
        Ok(socket) => tls::is_spoken(socket).await,
        Err(_) => false,
    }
}

/// Why there is no HTTP/2.
enum Fault {
    /// The most precise known reason.
    Explained(Error),
    /// The server closed the connection without a reason.
    Unexplained(Error),
}

/// Waits for the server's first bytes, and checks that they are HTTP/2. Before them the server has reported every
/// connection problem, even a rejected client certificate.
async fn check(
    opening: oneshot::Receiver<Opening>,
    peer: &str,
    handshake: Option<&Handshake>,
) -> std::result::Result<(), Fault> {
    let unavailable = |why: &str| Error::new(Status::Unavailable, format!("{peer} {why}"));
    let (received, end) = match opening.await {
        Ok(Opening::Received(bytes)) => (bytes, None),
        Ok(Opening::Failed(why)) => (Vec::new(), Some(why)),
        // Writing failed before anything was read, which shows only that the connection ended.
        Err(_) => (Vec::new(), None),
    };
    Err(match (received.as_slice(), handshake) {
        ([_, _, _, SETTINGS, ..], _) => return Ok(()),
        ([], Some(handshake)) => Fault::Explained(handshake.explain_end(end.as_ref())),
        ([], None) => {
            let why = end.map_or_else(|| "it gave no reason".to_owned(), |why| why.to_string());
            Fault::Unexplained(unavailable(&format!(
                "ended the connection at once: {why}; is this the server's address?"
            )))
        }
        (received, None) if received.starts_with(&TLS_ALERT) => Fault::Explained(not_plain_text(peer)),
        // It may be an HTTP server that also accepts TLS connections on this port.
        (received, None) if received.starts_with(b"HTTP/") => Fault::Unexplained(unavailable(
            "answers in HTTP/1, not in gRPC's HTTP/2; is this the server's address?",
        )),
        _ => Fault::Explained(unavailable("doesn't speak gRPC's HTTP/2; is this the server's address?")),
    })
}

fn not_plain_text(peer: &str) -> Error {
    let what = "speaks TLS, but the connection is configured as plain text";
    Error::new(Status::Tls, format!("{peer} {what}; set tls (TEMPORAL_TLS=true)"))
}
