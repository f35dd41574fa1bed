//! Makes a connection: name, TCP, a proxy perhaps, TLS perhaps, HTTP/2.

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use super::{
    dialer::Dialer,
    http2::{self, Sender},
    liveness::Liveness,
    proxy,
    socket::Socket,
    stream::{Bytes, Opening, Stream},
    tls::{self, Handshake},
};
use crate::{
    config::{Address, Keepalive, Proxy},
    model::{
        error::{Error, Result},
        status::Status,
    },
    transport::credentials::Credentials,
};

/// How long one attempt to connect may take, however patient its callers are.
pub const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// The first byte of a TLS alert, and that of its version.
const TLS_ALERT: [u8; 2] = [0x15, 0x03];
/// What an HTTP/2 server says first is a frame of this type, which stands behind three bytes of length.
const SETTINGS: u8 = 4;

/// What to connect to, and how.
pub struct Target {
    /// The server.
    pub address: Address,
    /// The server's name in requests.
    pub authority: http::uri::Authority,
    /// What to go through.
    pub proxy: Option<Proxy>,
    /// How to notice that a connection is dead.
    pub keepalive: Option<Keepalive>,
    /// Chooses among the addresses of a name.
    pub dialer: Dialer,
}

/// A connection that requests are sent on; clones share it.
#[derive(Clone)]
pub struct Connection {
    /// Tells it from others to the same address.
    pub number: u64,
    /// Takes requests.
    pub sender: Sender,
    /// What went before, if it is encrypted.
    pub handshake: Option<Arc<Handshake>>,
}

/// Connects to `target`.
pub async fn connect(target: &Target, credentials: &Credentials, number: u64) -> Result<Connection> {
    let end = Instant::now() + CONNECT_PATIENCE;
    match tokio::time::timeout_at(end, connect_until(target, credentials, number, end)).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let (at, seconds) = (&target.address.authority, CONNECT_PATIENCE.as_secs());
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
    let peer = &target.address.authority;
    let liveness = Arc::new(Liveness::default());
    let socket = reach(target, end, &liveness).await?;
    let (bytes, handshake): (Box<dyn Bytes>, _) = match &credentials.tls {
        None => (Box::new(socket), None),
        Some(encryption) => {
            let (stream, handshake) = encryption.start(socket, peer).await?;
            (Box::new(stream), Some(Arc::new(handshake)))
        }
    };
    let (stream, opening) = Stream::new(bytes, liveness.clone());

    let (sender, driver) = http2::open(stream, target.keepalive, liveness).await.map_err(|error| {
        let why = super::causes(&error);
        Error::new(Status::Unavailable, format!("no HTTP/2 with {peer}: {why}"))
    })?;
    tokio::spawn(driver);
    match check(opening, peer, handshake.as_deref()).await {
        Ok(()) => Ok(Connection { number, sender, handshake }),
        Err(Fault::Mute(error)) => Err(if speaks_tls(target, end).await { told_plain(peer) } else { error }),
        Err(Fault::Said(error)) => Err(error),
    }
}

/// Makes the TCP connection to the server, itself or through the proxy.
async fn reach(target: &Target, end: Instant, liveness: &Arc<Liveness>) -> Result<Socket> {
    let Some(proxy) = &target.proxy else {
        return target.dialer.connect(&target.address, end, liveness).await;
    };
    let connected = target.dialer.connect(&proxy.address, end, liveness).await;
    let socket = connected.map_err(|error| error.because("it is the proxy"))?;
    proxy::tunnel(socket, proxy, &target.address).await
}

/// Whether the server answers a client that speaks TLS.
async fn speaks_tls(target: &Target, end: Instant) -> bool {
    match reach(target, end, &Arc::default()).await {
        Ok(socket) => tls::is_spoken(socket).await,
        Err(_) => false,
    }
}

/// Why there is no HTTP/2.
enum Fault {
    /// As far as it can be told.
    Said(Error),
    /// The server ended the connection without a word.
    Mute(Error),
}

/// Waits until the server has said something, and looks whether that is HTTP/2: whatever is wrong with how we talk to it,
/// down to a client certificate that it doesn't like, shows by then.
async fn check(
    opening: oneshot::Receiver<Opening>,
    peer: &str,
    handshake: Option<&Handshake>,
) -> std::result::Result<(), Fault> {
    let unavailable = |why: &str| Error::new(Status::Unavailable, format!("{peer} {why}"));
    let (said, end) = match opening.await {
        Ok(Opening::Said(said)) => (said, None),
        Ok(Opening::Failed(why)) => (Vec::new(), Some(why)),
        // Writing failed before anything was read, which says no more than that it is over.
        Err(_) => (Vec::new(), None),
    };
    Err(match (said.as_slice(), handshake) {
        ([_, _, _, SETTINGS, ..], _) => return Ok(()),
        ([], Some(handshake)) => Fault::Said(handshake.explain_end(end.as_ref())),
        ([], None) => {
            let why = end.map_or_else(|| "without a word".to_owned(), |why| why.to_string());
            Fault::Mute(unavailable(&format!(
                "ended the connection at once: {why}; is this the server's address?"
            )))
        }
        (said, None) if said.starts_with(&TLS_ALERT) => Fault::Said(told_plain(peer)),
        // It may be an HTTP server that takes secure connections at the same port.
        (said, None) if said.starts_with(b"HTTP/") => {
            Fault::Mute(unavailable("answers in HTTP/1, not in gRPC's HTTP/2; is this the server's address?"))
        }
        _ => Fault::Said(unavailable("doesn't speak gRPC's HTTP/2; is this the server's address?")),
    })
}

fn told_plain(peer: &str) -> Error {
    let what = "speaks TLS, and we were told to speak plain text";
    Error::new(Status::Tls, format!("{peer} {what}; set tls (TEMPORAL_TLS=true)"))
}
