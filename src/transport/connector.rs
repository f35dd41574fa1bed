//! Makes a connection: name, TCP, a proxy perhaps, TLS perhaps, HTTP/2.

use std::{io, sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::{
    http2::{self, Sender},
    proxy,
    socket::Socket,
    stream::{Bytes, Opening, Stream},
    tls::{self, Handshake},
};
use crate::{
    credentials::Credentials,
    error::{Error, Result},
    options::{Address, Keepalive, Proxy},
    status::Status,
    sys,
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
    match tokio::time::timeout(CONNECT_PATIENCE, connect_patiently(target, credentials, number)).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let why = format!("no answer within {} s", CONNECT_PATIENCE.as_secs());
            Err(unreachable(&target.address, &io::Error::new(io::ErrorKind::TimedOut, why)))
        }
    }
}

async fn connect_patiently(target: &Target, credentials: &Credentials, number: u64) -> Result<Connection> {
    let peer = &target.address.authority;
    let socket = reach(target).await?;
    let (bytes, handshake): (Box<dyn Bytes>, _) = match &credentials.tls {
        None => (Box::new(socket), None),
        Some(encryption) => {
            let (stream, handshake) = encryption.start(socket, peer).await?;
            (Box::new(stream), Some(Arc::new(handshake)))
        }
    };
    let (stream, opening) = Stream::new(bytes);

    let (sender, connection) = http2::open(stream, target.keepalive).await.map_err(|error| {
        let why = super::causes(&error);
        Error::new(Status::Unavailable, format!("no HTTP/2 with {peer}: {why}"))
    })?;
    tokio::spawn(connection);
    match check(opening, peer, handshake.as_deref()).await {
        Ok(()) => Ok(Connection { number, sender, handshake }),
        Err(Fault::Mute(error)) => Err(if speaks_tls(target).await { told_plain(peer) } else { error }),
        Err(Fault::Said(error)) => Err(error),
    }
}

/// Makes the connection to the server, itself or through the proxy.
async fn reach(target: &Target) -> Result<Socket> {
    let Some(proxy) = &target.proxy else { return open_socket(&target.address).await };
    let socket = open_socket(&proxy.address).await.map_err(|error| error.because("it is the proxy"))?;
    proxy::tunnel(socket, proxy, &target.address).await
}

/// Whether the server would have said something to who speaks TLS.
async fn speaks_tls(target: &Target) -> bool {
    match reach(target).await {
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

async fn open_socket(address: &Address) -> Result<Socket> {
    Socket::connect(&address.host, address.port).await.map_err(|error| unreachable(address, &error))
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

fn unreachable(address: &Address, error: &io::Error) -> Error {
    let at = &address.authority;
    let (status, step) = match sys::descriptor::exhausted(error) {
        Some(step) => (Status::LocalLimit, step),
        None if error.kind() == io::ErrorKind::ConnectionRefused => {
            (Status::Unavailable, "nothing listens there; is the server up, and is this its address?")
        }
        None => (Status::Unavailable, "is this the server's address, and is it reachable from here?"),
    };
    Error::new(status, format!("can't connect to {at}: {error}; {step}"))
}
