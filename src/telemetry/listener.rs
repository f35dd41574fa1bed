//! Lets Prometheus fetch the figures over HTTP, on the I/O thread.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;

use crate::{
    error::{Error, Result},
    status::Status,
    sys::fork::Unshared,
};

/// Where the figures are.
const PATH: &str = "/metrics";
/// The version of the text form.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// How many may fetch at the same time; others wait.
const MAX_CONNECTIONS: usize = 8;
/// How long one may take to send its request, and to say nothing before the next one.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the client before this one, which was just disconnected, may still hold the address.
const HANDOVER: Duration = Duration::from_millis(500);
/// The pause after an `accept` that failed for lack of descriptors.
const PAUSE: Duration = Duration::from_secs(1);

/// An address that is listened at.
pub struct Listener {
    /// Before the socket, as it is to be dropped.
    unshared: Unshared,
    socket: TcpListener,
}

impl Listener {
    /// Listens at `address`, which the option of this name has.
    pub fn bind(option: &str, address: SocketAddr) -> Result<Self> {
        let last = Instant::now() + HANDOVER;
        let socket = loop {
            match TcpListener::bind(address) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < last => {
                    thread::sleep(HANDOVER / 20);
                }
                bound => break bound,
            }
        };
        let ready = socket.and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
        let socket = ready.map_err(|error| {
            let step = "give another address, or port 0 for any that is free";
            Error::new(Status::Config, format!("{option}: can't listen at {address}: {error}; {step}"))
        })?;
        Ok(Listener { unshared: Unshared::new(&socket), socket })
    }

    /// Where it listens: with the port that was free, if any was asked for.
    pub fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// Answers whoever comes with what `text` makes, until it is dropped.
    pub async fn serve(self, text: impl Fn() -> String + Clone + Send + 'static) {
        let Listener { unshared, socket } = self;
        let Ok(socket) = tokio::net::TcpListener::from_std(socket) else { return };
        // After the socket, so that it is dropped before.
        let _unshared = unshared;
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(place) = room.clone().acquire_owned().await else { return };
            let Ok((stream, _)) = socket.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let text = text.clone();
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(
                    TokioIo::new(stream),
                    service_fn(move |request| answer(request, text.clone())),
                );
            tokio::spawn(async move {
                // Who takes his answer too slowly, or not at all, makes room for others. What becomes of him is no matter.
                let _ = tokio::time::timeout(2 * PATIENCE, connection).await;
                drop(place);
            });
        }
    }
}

fn answer(
    request: Request<Incoming>,
    text: impl Fn() -> String,
) -> impl Future<Output = std::result::Result<Response<Full<Bytes>>, Infallible>> {
    let (status, kind, body) = match (request.uri().path(), request.method()) {
        (PATH, &Method::GET | &Method::HEAD) => (StatusCode::OK, CONTENT_TYPE, text()),
        (PATH, _) => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET only\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, "text/plain", format!("the figures are at {PATH}\n")),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    std::future::ready(Ok(response))
}
