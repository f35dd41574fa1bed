//! Requests over HTTP/1.1 to another server than Temporal's.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header, uri::Authority};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout_at};

use super::{
    causes,
    connector::{Route, reach},
    credentials::{CredentialStore, Credentials, NewCredentials, Renewed, log_renewal},
    dialer::Dialer,
    liveness::Liveness,
    stream::ByteStream,
    tls::Protocol,
};
use crate::{
    config::{Address, Proxy, Security},
    model::{
        error::{Error, Result},
        status::Status,
    },
    runtime::{self, IoThread},
    sys::sync::Mutex,
    telemetry::Telemetry,
};

/// How long an unused connection stays open. Servers close theirs after a minute or more.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The most unused connections.
const MAX_IDLE: usize = 4;
/// The part of a request's time in which a connection that was unused must answer, and the longest such time. The
/// connection may be dead without a sign, and then the rest is for a new one.
const REUSE_PART: u32 = 2;
const LONGEST_REUSE: Duration = Duration::from_secs(5);

/// What to connect to, and how.
pub struct Server {
    /// The address.
    pub address: Address,
    /// The name in requests.
    pub authority: Authority,
    /// The proxy to connect through.
    pub proxy: Option<Proxy>,
}

/// A client of one server.
pub struct Http1 {
    server: Arc<Server>,
    host: HeaderValue,
    dialer: Arc<Dialer>,
    credentials: Arc<CredentialStore>,
    io_thread: IoThread,
    idle: Mutex<Vec<Idle>>,
}

/// A connection without a request.
struct Idle {
    sender: Sender,
    since: Instant,
}

type Sender = SendRequest<Full<Bytes>>;

/// A response.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

/// Why there is no response.
#[derive(Debug)]
pub enum NoAnswer {
    /// The server can't be reached, or the connection ended.
    Broken(Error),
    /// There was no complete response in time.
    TimedOut,
    /// The response is over the limit.
    TooLarge,
}

impl Http1 {
    /// Creates a client. Reads the files that `security` names; connects with the first request. Each request has
    /// `headers`.
    pub fn new(server: Server, security: Security, headers: HeaderMap, io_thread: IoThread) -> Result<Self> {
        let host = HeaderValue::from_str(server.authority.as_str());
        Ok(Http1 {
            host: host.map_err(|why| Error::config(format!("{} is no host: {why}", server.authority)))?,
            server: Arc::new(server),
            dialer: Arc::default(),
            credentials: Arc::new(CredentialStore::open(security, headers)?),
            io_thread,
            idle: Mutex::default(),
        })
    }

    /// Reads other credentials. They come into force by [`Http1::secure`].
    pub fn read_credentials(&self, security: Security) -> Result<NewCredentials> {
        self.credentials.read(security)
    }

    /// Puts other credentials in force.
    pub fn secure(&self, credentials: NewCredentials) {
        if self.credentials.change(credentials) {
            self.idle.lock().clear();
        }
    }

    /// Rereads the files with credentials.
    pub async fn reload_credentials(&self, telemetry: &Telemetry) {
        let reloaded = self.credentials.reload(&self.io_thread).await;
        log_renewal(&reloaded, telemetry, &self.server.address.text);
        if let Ok(Renewed::Tls) = reloaded {
            self.idle.lock().clear();
        }
    }

    /// Sends a POST request, and reads the response, of at most `limit` bytes. The server may get the request twice.
    pub async fn post(
        &self,
        path: &str,
        body: Bytes,
        limit: usize,
        end: Instant,
    ) -> std::result::Result<Answer, NoAnswer> {
        let credentials = self.credentials.current();
        let request = self.request(path, body, &credentials).map_err(NoAnswer::Broken)?;
        let mut idle = self.take_idle();
        loop {
            let (is_reused, now) = (idle.is_some(), Instant::now());
            let left = end.saturating_duration_since(now);
            let end = now + if is_reused { (left / REUSE_PART).min(LONGEST_REUSE) } else { left };
            let exchange = async {
                let sender = match idle.take() {
                    Some(sender) => sender,
                    None => self.connect(credentials.clone(), end).await.map_err(NoAnswer::Broken)?,
                };
                self.exchange(sender, request.clone(), limit).await
            };
            let answer = timeout_at(end, exchange).await.unwrap_or(Err(NoAnswer::TimedOut));
            // The server may have closed the connection while it was unused.
            if answer.is_ok() || !is_reused {
                return answer;
            }
        }
    }

    fn request(&self, path: &str, body: Bytes, credentials: &Credentials) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::post(path)
            .body(Full::new(body))
            .map_err(|why| Error::new(Status::Internal, format!("the request is invalid: {why}")))?;
        let headers = request.headers_mut();
        headers.extend(credentials.headers.clone());
        headers.insert(header::HOST, self.host.clone());
        Ok(request)
    }

    async fn exchange(
        &self,
        mut sender: Sender,
        request: Request<Full<Bytes>>,
        limit: usize,
    ) -> std::result::Result<Answer, NoAnswer> {
        let response = sender.send_request(request).await.map_err(|why| self.broken(&why))?;
        let status = response.status();
        let body = match Limited::new(response.into_body(), limit).collect().await {
            Ok(body) => body.to_bytes(),
            Err(why) if why.is::<LengthLimitError>() => return Err(NoAnswer::TooLarge),
            Err(why) => return Err(self.broken(&*why)),
        };
        self.put_idle(sender);
        Ok(Answer { status, body })
    }

    fn broken(&self, why: &(dyn std::error::Error + 'static)) -> NoAnswer {
        let (peer, why) = (&self.server.address.text, causes(why));
        let hint = match self.credentials.current().tls {
            None => "; does it speak HTTP/1.1 there, without TLS?",
            Some(_) => "",
        };
        NoAnswer::Broken(Error::new(
            Status::Unavailable,
            format!("the connection to {peer} failed: {why}{hint}"),
        ))
    }

    fn take_idle(&self) -> Option<Sender> {
        let mut idle = self.idle.lock();
        idle.retain(|one| one.since.elapsed() < IDLE_TIMEOUT && one.sender.is_ready());
        idle.pop().map(|one| one.sender)
    }

    fn put_idle(&self, sender: Sender) {
        let mut idle = self.idle.lock();
        if idle.len() < MAX_IDLE {
            idle.push(Idle { sender, since: Instant::now() });
        }
    }

    async fn connect(&self, credentials: Arc<Credentials>, end: Instant) -> Result<Sender> {
        let (server, dialer) = (self.server.clone(), self.dialer.clone());
        self.io_thread.run(connect(server, dialer, credentials, end)).await
    }
}

async fn connect(
    server: Arc<Server>,
    dialer: Arc<Dialer>,
    credentials: Arc<Credentials>,
    end: Instant,
) -> Result<Sender> {
    let peer = &server.address.text;
    let route = Route { address: &server.address, proxy: server.proxy.as_ref(), dialer: &dialer };
    let socket = reach(route, end, &Arc::new(Liveness::default())).await?;
    let bytes: Box<dyn ByteStream> = match &credentials.tls {
        None => Box::new(socket),
        Some(encryption) => Box::new(encryption.start(socket, peer, Protocol::Http1).await?.0),
    };
    let (sender, connection) = http1::handshake(TokioIo::new(bytes))
        .await
        .map_err(|why| Error::new(Status::Unavailable, format!("no HTTP with {peer}: {}", causes(&why))))?;
    runtime::spawn(async move { drop(connection.await) });
    Ok(sender)
}
