//! gRPC calls over one HTTP/2 connection. The layers above don't deal with connections; this layer doesn't deal with
//! Temporal.

mod connector;
mod credentials;
mod dialer;
mod exchange;
mod frame;
pub mod http1;
mod http2;
mod link;
mod liveness;
mod predecessor;
mod proxy;
mod socket;
mod stream;
pub mod tls;

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::Instant;

use crate::{
    config::Options,
    model::{
        error::{self, Error},
        method::Call,
        status::Status,
    },
    runtime::IoThread,
    telemetry::{
        Telemetry,
        log_record::{Event, Value},
    },
    transport::credentials::{CredentialStore, Credentials, Renewed, log_renewal},
};
use connector::{Connection, Target};
pub use credentials::NewCredentials;
use dialer::Dialer;
#[cfg(test)]
pub use dialer::NEXT_ADDRESS_DELAY;
use exchange::{Answer, Message};
pub use frame::Frame;
use link::Link;
pub use predecessor::Predecessor;

/// Why a try got no response.
#[derive(Debug)]
pub enum TransportError {
    /// The server answered with an error.
    Status(Box<tonic::Status>),
    /// The request was never sent.
    NotSent(Error),
    /// The connection ended, and the server reports that it didn't process the request.
    NotProcessed(Error),
    /// The request may have arrived, but no answer was received.
    OutcomeUnknown(Error),
    /// Like `OutcomeUnknown`, because another request found the connection dead.
    Aborted(Error),
    /// The answer is larger than `max_message_bytes`.
    AnswerTooLarge(Error),
    /// The server can't decompress the request, and didn't process it.
    CompressionRefused,
    /// The try ran out of time.
    TimedOut {
        /// Whether the request may have arrived.
        sent: bool,
    },
}

impl TransportError {
    /// Returns the gRPC code, even if it isn't from the server.
    fn code(&self) -> tonic::Code {
        match self {
            TransportError::Status(status) => status.code(),
            TransportError::NotSent(_)
            | TransportError::NotProcessed(_)
            | TransportError::OutcomeUnknown(_)
            | TransportError::Aborted(_) => tonic::Code::Unavailable,
            TransportError::AnswerTooLarge(_) => tonic::Code::OutOfRange,
            TransportError::CompressionRefused => tonic::Code::Unimplemented,
            TransportError::TimedOut { .. } => tonic::Code::DeadlineExceeded,
        }
    }
}

/// The time limits of one try of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TryTime {
    /// How long the server may take to answer. After that the request is cancelled.
    pub answer: Duration,
    /// The connection is dead if nothing was received on it for this time. A PING is sent halfway, and again during
    /// the try.
    pub silence: Duration,
}

/// The limits of one try that has begun.
#[derive(Clone, Copy, Debug)]
pub struct TryLimits {
    /// When an unanswered request is cancelled.
    pub end: Instant,
    /// As in [`TryTime`].
    pub silence: Duration,
}

impl TryTime {
    /// Returns the limits of a try that begins now.
    pub fn start(self) -> TryLimits {
        TryLimits { end: Instant::now() + self.answer, silence: self.silence }
    }
}

/// The connections to one server, for calls.
pub struct Transport {
    link: Link,
    /// The connection of the long polls: a limit of streams, or an answer of many bytes, must not delay beats.
    long_poll_link: Link,
    credential_store: Arc<CredentialStore>,
    max_message_bytes: usize,
    gzip: AtomicU8,
    /// The longest recent answer time, in milliseconds.
    longest_answer_ms: AtomicU64,
    io_thread: IoThread,
    telemetry: Arc<Telemetry>,
}

/// Whether the server accepts requests that are compressed with gzip.
mod gzip {
    /// Not known yet: requests are sent uncompressed.
    pub const UNKNOWN: u8 = 0;
    /// It accepts them.
    pub const YES: u8 = 1;
    /// It doesn't, or compression is off.
    pub const NO: u8 = 2;
}

impl Transport {
    /// Creates the transport for the server in `options`; the first call connects. Every request gets `headers`.
    pub fn new(
        options: &Options,
        headers: HeaderMap,
        io_thread: IoThread,
        telemetry: Arc<Telemetry>,
    ) -> error::Result<Self> {
        let headers = exchange::with_grpc_headers(headers);
        let credential_store = Arc::new(CredentialStore::open(options.security.clone(), headers)?);
        let link = || {
            let target = Target {
                address: options.address.clone(),
                authority: options.authority.clone(),
                proxy: options.proxy.clone(),
                keepalive: options.keepalive,
                dialer: Dialer::default(),
            };
            Link::new(target, credential_store.clone(), io_thread.clone(), telemetry.clone())
        };
        let (link, long_poll_link) = (link(), link());
        let transport = Transport {
            link,
            long_poll_link,
            credential_store,
            max_message_bytes: options.max_message_bytes,
            gzip: AtomicU8::new(if options.gzip { gzip::UNKNOWN } else { gzip::NO }),
            longest_answer_ms: AtomicU64::new(0),
            io_thread,
            telemetry,
        };
        transport.warn_of_skipped_certificates();
        Ok(transport)
    }

    fn warn_of_skipped_certificates(&self) {
        let credentials = self.credential_store.current();
        if let Some(skipped) = credentials.tls.as_ref().and_then(|tls| tls.skipped()) {
            let peer = &[("peer", Value::Text(self.peer()))];
            self.telemetry.log.write(Event::CertificatesSkipped, peer, || skipped.to_owned());
        }
    }

    /// Sends one request and waits for its response, within `limits`. It can't overtake its `predecessor`. If it is
    /// given up, it becomes the predecessor of the next request.
    pub async fn unary(
        &self,
        call: Call,
        request: Frame,
        limits: TryLimits,
        predecessor: &mut Predecessor,
    ) -> Result<Bytes, TransportError> {
        if request.message_bytes() > self.max_message_bytes {
            let (length, limit) = (request.message_bytes(), self.max_message_bytes);
            return Err(TransportError::NotSent(Error::new(
                Status::TooLarge,
                format!("the request has {length} bytes, and max_message_bytes is {limit}"),
            )));
        }
        let mut credentials = self.credential_store.current();
        let mut is_repeated = false;
        loop {
            let outcome = self.attempt(call, &request, &credentials, limits, predecessor).await;
            match &outcome {
                Err(TransportError::CompressionRefused) if !is_repeated => {
                    self.gzip.store(gzip::NO, Ordering::Relaxed);
                }
                // The key file may contain a new key: then the beat succeeds after all.
                Err(TransportError::Status(status))
                    if !is_repeated && status.code() == tonic::Code::Unauthenticated =>
                {
                    let _ = tokio::time::timeout_at(limits.end, self.reload_credentials()).await;
                    if Arc::ptr_eq(&credentials, &self.credential_store.current()) {
                        return outcome;
                    }
                }
                _ => return outcome,
            }
            credentials = self.credential_store.current();
            is_repeated = true;
        }
    }

    /// Returns the longest recent answer time.
    pub fn longest_answer(&self) -> Duration {
        Duration::from_millis(self.longest_answer_ms.load(Ordering::Relaxed))
    }

    /// Returns the metrics and the log.
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// Rereads the files with credentials, and puts changed ones in force.
    pub async fn reload_credentials(&self) {
        let reloaded = self.credential_store.reload(&self.io_thread).await;
        log_renewal(&reloaded, &self.telemetry, self.peer());
        if let Ok(Renewed::Tls) = reloaded {
            self.warn_of_skipped_certificates();
            self.replace_connections();
        }
    }

    /// Puts other credentials in force. Returns whether to call [`Transport::replace_connections`] after that.
    pub fn secure(&self, options: &Options) -> error::Result<bool> {
        let replaces_connection =
            self.credential_store.change(self.credential_store.read(options.security.clone())?);
        self.warn_of_skipped_certificates();
        Ok(replaces_connection)
    }

    /// Makes connections with the credentials in force, which replace the current ones.
    pub fn replace_connections(&self) {
        self.link.replace();
        self.long_poll_link.replace();
    }

    /// Returns the server's address as it was given.
    pub fn peer(&self) -> &str {
        &self.link.target().address.text
    }

    /// Returns the server's limit of concurrent requests, as far as known.
    pub fn max_streams(&self) -> usize {
        self.link.max_streams()
    }

    /// Returns the addresses that were tried without success since there was a connection.
    pub fn unanswered_addresses(&self) -> Vec<SocketAddr> {
        self.link.target().dialer.unanswered()
    }

    async fn attempt(
        &self,
        call: Call,
        request: &Frame,
        credentials: &Credentials,
        limits: TryLimits,
        predecessor: &mut Predecessor,
    ) -> Result<Bytes, TransportError> {
        let begun = Instant::now();
        let outcome = self.exchange(call, request, credentials, limits, predecessor).await;
        let took = begun.elapsed();
        if outcome.is_ok() && !call.is_long_poll {
            self.note_answer(took);
        }
        self.telemetry.metrics.tried(call, took, outcome.as_ref().err().map(TransportError::code));
        outcome
    }

    /// Notes an answer time. The longest one decays over some tens of answers.
    fn note_answer(&self, took: Duration) {
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let known = self.longest_answer_ms.load(Ordering::Relaxed);
        self.longest_answer_ms.store(took.max(known - known.div_ceil(16)), Ordering::Relaxed);
    }

    async fn exchange(
        &self,
        call: Call,
        request: &Frame,
        credentials: &Credentials,
        limits: TryLimits,
        predecessor: &mut Predecessor,
    ) -> Result<Bytes, TransportError> {
        let end = limits.end;
        let link = if call.is_long_poll { &self.long_poll_link } else { &self.link };
        let connection = link.connection(credentials.tls.is_some());
        let connection = match tokio::time::timeout_at(end, connection).await {
            Ok(connection) => connection.map_err(TransportError::NotSent)?,
            Err(_) => {
                link.abandon_silence();
                return Err(TransportError::TimedOut { sent: false });
            }
        };
        let liveness = &connection.sender.liveness;
        if !predecessor.settle(liveness, end).await {
            return Err(TransportError::TimedOut { sent: false });
        }
        let message = Message {
            path: call.path,
            headers: credentials.headers.clone(),
            authority: &link.target().authority,
            frame: request.clone(),
            gzip: self.gzip.load(Ordering::Relaxed) == gzip::YES,
            limit: self.max_message_bytes,
            end,
        };
        let watched = predecessor.watch(liveness);
        let answer = await_answer(&connection, message, limits.silence).await;
        if !matches!(answer, Err(TransportError::TimedOut { sent: true })) {
            watched.finish();
        }
        let Answer { message, takes_gzip } = answer?;
        if takes_gzip == Some(true) {
            // Ignored if another request has noted it, or compression is off.
            let _ =
                self.gzip.compare_exchange(gzip::UNKNOWN, gzip::YES, Ordering::Relaxed, Ordering::Relaxed);
        }
        Ok(message)
    }
}

/// Sends `message` and waits for the answer until its deadline. Aborts the connection if it receives nothing for
/// `silence`.
async fn await_answer(
    connection: &Connection,
    message: Message<'_>,
    silence: Duration,
) -> Result<Answer, TransportError> {
    let (liveness, end) = (&connection.sender.liveness, message.end);
    let is_written = AtomicBool::new(false);
    let timed_out = || TransportError::TimedOut { sent: is_written.load(Ordering::Relaxed) };
    let mut answer = pin!(exchange::run(connection, message, || is_written.store(true, Ordering::Relaxed)));
    let mut until = async |time: Instant| match tokio::time::timeout_at(time, answer.as_mut()).await {
        Err(_) => None,
        Ok(Err(TransportError::OutcomeUnknown(error))) if liveness.is_aborted() => {
            Some(Err(TransportError::Aborted(error)))
        }
        Ok(outcome) => Some(outcome),
    };
    loop {
        let now = Instant::now();
        if now >= end {
            // The server is alive but slow. Dropping the request cancels it with RST_STREAM.
            return Err(timed_out());
        }
        let look = end.min(now + silence / 2);
        if let Some(outcome) = until(look).await {
            return outcome;
        }
        // If this process was stopped, the answer may have arrived. Let the connection's driver read it first.
        tokio::task::yield_now().await;
        if let Some(outcome) = until(look).await {
            return outcome;
        }
        if liveness.is_dead(silence) {
            liveness.abort().await;
            return Err(timed_out());
        }
        liveness.request_ping(silence / 4);
    }
}

/// Returns an error's message with those of its causes.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, sync::mpsc, thread};

    use h2::server;
    use tokio::io::{AsyncRead, AsyncWrite};

    use super::*;

    async fn connected(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Connection {
        let liveness = Arc::new(liveness::Liveness::default());
        let (stream, _opening) = stream::Stream::new(Box::new(stream), liveness.clone());
        let (sender, driver) = http2::open(stream, None, liveness).await.unwrap();
        tokio::spawn(driver);
        Connection { number: 0, sender, handshake: None }
    }

    async fn call(
        connection: &Connection,
        time: Duration,
        silence: Duration,
    ) -> Result<Answer, TransportError> {
        let message = Message {
            path: "/s/m",
            headers: exchange::with_grpc_headers(HeaderMap::new()),
            authority: &http::uri::Authority::from_static("server"),
            frame: Frame::plain(&prost_types::Timestamp::default()),
            gzip: false,
            limit: 1000,
            end: Instant::now() + time,
        };
        await_answer(connection, message, silence).await
    }

    #[tokio::test(start_paused = true)]
    async fn connection_that_dies_after_the_request_arrived_is_detected() {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move {
            let mut server = server::handshake(theirs).await.unwrap();
            let _taken = server.accept().await.unwrap().unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
            // Like grpc-go with each request.
            server.ping_pong().unwrap().send_ping(h2::Ping::opaque()).unwrap();
            let _ = tokio::time::timeout(Duration::from_millis(10), server.accept()).await;
            std::future::pending::<()>().await;
        });
        let connection = connected(ours).await;
        let began = Instant::now();
        let outcome = call(&connection, Duration::from_secs(5), Duration::from_secs(1)).await;
        assert!(matches!(outcome, Err(TransportError::TimedOut { sent: true })));
        assert!(connection.sender.liveness.is_aborted() && began.elapsed() <= Duration::from_secs(2));
    }

    #[tokio::test]
    async fn answer_received_while_the_process_was_stopped_counts() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (answered, was_answered) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                listener.set_nonblocking(true).unwrap();
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let mut server = server::handshake(listener.accept().await.unwrap().0).await.unwrap();
                let (_, mut taken) = server.accept().await.unwrap().unwrap();
                let mut head = http::Response::new(());
                head.headers_mut().insert("grpc-status", http::HeaderValue::from_static("0"));
                let mut body = taken.send_response(head, false).unwrap();
                body.send_data(Bytes::from_static(b"\0\0\0\0\0"), true).unwrap();
                let _ = tokio::time::timeout(Duration::from_millis(100), server.accept()).await;
                answered.send(()).unwrap();
                while server.accept().await.is_some() {}
            });
        });
        let connection = connected(tokio::net::TcpStream::connect(address).await.unwrap()).await;
        let time = Duration::from_secs(1);
        let calling = call(&connection, time, time);
        let stopped = async {
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            // This thread drives the whole runtime, so blocking it freezes the transport.
            was_answered.recv().unwrap();
            thread::sleep(time);
        };
        let (outcome, ()) = tokio::join!(calling, stopped);
        outcome.map(drop).unwrap();
    }
}
