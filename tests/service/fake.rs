//! A gRPC server that answers as a test chooses: with an error, an invalid message, a late answer, or not at all.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::Handle,
    sync::Notify,
    time::sleep,
};

use temporal_heartbeat::{
    api::rpc,
    model::{deadline::Timeout, error::Error, status::Status},
};

use crate::limited_connection::{LimitedConnection, Limits};

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method's name, without the service.
    pub method: String,
    /// The number of earlier requests of this method.
    pub nth: usize,
    /// The number of the connection, from 0.
    pub connection: usize,
    /// The time of arrival.
    pub at: Instant,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The request's authority.
    pub authority: String,
    /// The request's message as it arrived, which may be compressed.
    pub message: Bytes,
    /// Whether the message is compressed.
    pub compressed: bool,
}

impl Call {
    /// Returns whether the message contains these bytes.
    pub fn has(&self, bytes: &[u8]) -> bool {
        self.message.windows(bytes.len()).any(|window| window == bytes)
    }
}

/// How the server handles a request.
pub enum Answer {
    /// Answers with this message.
    Message(Vec<u8>),
    /// Answers with an error, in the head or behind an empty body.
    Error { code: i32, detail: &'static str, trailers_only: bool },
    /// Answers with these bytes, followed by this gRPC status.
    Raw { body: Vec<u8>, grpc_status: Option<&'static str> },
    /// Answers with these bytes, and announces that it accepts gzip.
    TakingGzip(Vec<u8>),
    /// Refuses a request as gRPC servers do that can't decompress it.
    NoDecompressor,
    /// Answers with an HTTP error.
    Http(u16),
    /// Never answers. The connection works: it answers other requests and PINGs.
    Silence,
    /// Never answers, and sends nothing more on the connection, like a lost network or a dead process.
    Freeze,
    /// Closes the connection.
    Close,
    /// Answers correctly after this time.
    After(Duration),
    /// The same, unless the request's own deadline expires first. Then it answers as grpc-go does: every other time with
    /// DEADLINE_EXCEEDED, otherwise with RST_STREAM(CANCEL).
    WithinDeadline(Duration),
    /// Answers correctly, but sends one byte per second from then on, on the whole connection.
    Slowly,
}

impl Answer {
    pub fn ok() -> Self {
        Answer::Message(Vec::new())
    }

    pub fn error(code: i32) -> Self {
        Answer::Error { code, detail: "", trailers_only: true }
    }
}

/// How the server describes the activity "a". One of its attempts is running.
#[derive(Clone, Copy, Debug, Default)]
pub struct Described {
    /// The number of its attempt.
    pub attempt: u8,
    /// When the last attempt started, in seconds since 1970. 0: the server doesn't report it.
    pub started_s: u8,
    /// The JSON of its details.
    pub details: Option<&'static str>,
    /// The heartbeat timeout of a standalone activity, in seconds. 0: the server doesn't report it.
    pub heartbeat_timeout_s: u8,
    /// The attempt hasn't started yet.
    pub waiting: bool,
    /// The activity is completed, or its workflow is closed.
    pub closed: bool,
}

impl Described {
    pub fn with_details(self, json: &'static str) -> Self {
        Described { details: Some(json), ..self }
    }

    /// Describes the activity of [`TOKEN`]'s workflow.
    pub fn pending(self) -> Answer {
        let info =
            [field(1, b"a"), self.state(3), self.payloads(4), self.start(6), vec![7 << 3, self.attempt]];
        let workflow = if self.closed { field(2, &field(4, &[1 << 3, 1])) } else { Vec::new() };
        Answer::Message([workflow, field(3, &info.concat())].concat())
    }

    /// Describes a standalone activity.
    pub fn standalone(self) -> Answer {
        let status = vec![4 << 3, if self.closed { 2 } else { 1 }];
        let timeout = match self.heartbeat_timeout_s {
            0 => Vec::new(),
            seconds => field(10, &[1 << 3, seconds]),
        };
        let info =
            [status, self.state(5), timeout, self.payloads(12), self.start(14), vec![15 << 3, self.attempt]]
                .concat();
        Answer::Message([field(1, b"r"), field(2, &info)].concat())
    }

    fn state(self, number: u8) -> Vec<u8> {
        vec![number << 3, if self.waiting { 1 } else { 2 }]
    }

    fn start(self, number: u8) -> Vec<u8> {
        if self.started_s == 0 { Vec::new() } else { field(number, &[1 << 3, self.started_s]) }
    }

    fn payloads(self, number: u8) -> Vec<u8> {
        self.details.map_or(Vec::new(), |json| {
            let metadata = field(1, &[field(1, b"encoding"), field(2, b"json/plain")].concat());
            field(number, &field(1, &[metadata, field(2, json.as_bytes())].concat()))
        })
    }
}

/// Encodes a length-delimited field of a message. The number and the length are small.
pub fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

/// Answers a poll with a task of the type "t", which has this number as the id of its activity, and a heartbeat timeout in seconds.
pub fn task(number: usize, heartbeat_timeout_s: u8) -> Answer {
    let id = number.to_string();
    let token = [b"\x0a\x01n\x12\x01w\x1a\x01r\x28\x01", &field(6, id.as_bytes())[..]].concat();
    // The number 16 takes two bytes.
    let heartbeat_timeout = [&[0x82, 1, 2, 1 << 3][..], &[heartbeat_timeout_s]].concat();
    let message = [field(1, &token), field(5, &field(1, b"t")), field(6, id.as_bytes()), heartbeat_timeout];
    Answer::Message(message.concat())
}

/// A running server. It disconnects the process's client when it is dropped.
pub struct Fake {
    pub address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    connections: Arc<AtomicUsize>,
    /// The socket, while the server doesn't listen yet.
    closed: Mutex<Option<(TcpSocket, Server)>>,
    runtime: Handle,
    stop: Arc<Notify>,
    /// Held because a process has one client, so that one test runs at a time.
    _turn: MutexGuard<'static, ()>,
}

/// A task token of the workflow "w" in its run "r", for the first attempt of the activity "a".
pub const TOKEN: &[u8] = b"\x0a\x01n\x12\x01w\x1a\x01r\x28\x01\x32\x01a";

/// A task token of the standalone activity "a" in its run "r", for its first attempt.
pub const STANDALONE_TOKEN: &[u8] = b"\x0a\x01n\x28\x01\x72\x06\x12\x01a\x1a\x01r";

static TURN: Mutex<()> = Mutex::new(());

impl Fake {
    /// Starts a server that greets normally and answers all other requests by `script`, and connects the process to it.
    pub fn connected(script: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        let fake = Self::start(script);
        fake.connect("").unwrap();
        fake
    }

    /// Starts a server without connecting to it. `script` also decides the answers to `GetSystemInfo` and `DescribeNamespace`
    /// when it returns something other than [`Answer::ok`] for them.
    pub fn start(script: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        Self::with_limits(script, Limits::none)
    }

    /// Starts a server like [`Fake::start`]; `limits` decides how long each connection lasts.
    pub fn with_limits(
        script: impl Fn(&Call) -> Answer + Send + Sync + 'static,
        limits: impl Fn() -> Limits + Send + Sync + 'static,
    ) -> Self {
        let fake = Self::closed(script, limits);
        fake.open();
        fake
    }

    /// Starts a server that refuses connections until [`Fake::open`].
    pub fn closed(
        script: impl Fn(&Call) -> Answer + Send + Sync + 'static,
        limits: impl Fn() -> Limits + Send + Sync + 'static,
    ) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        rpc::disconnect(Timeout::Zero).and_then(rpc::Call::wait).unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(Notify::new());
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let server = Server {
            calls: calls.clone(),
            connections: connections.clone(),
            script: Box::new(script),
            limits: Box::new(limits),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        thread::spawn({
            let stop = stop.clone();
            move || runtime.block_on(stop.notified())
        });
        let closed = Mutex::new(Some((socket, server)));
        Fake { address, calls, connections, closed, runtime: handle, stop, _turn: turn }
    }

    /// Starts to listen.
    pub fn open(&self) {
        let (socket, server) = self.closed.lock().unwrap().take().unwrap();
        let _context = self.runtime.enter();
        let listener = socket.listen(1024).unwrap();
        self.runtime.spawn(Arc::new(server).serve(listener));
    }

    /// Connects the process with additional options in JSON, e.g. `,"lazy":true`.
    pub fn connect(&self, more: &str) -> Result<(), Error> {
        rpc::connect(format!("{{\"address\":\"{}\"{more}}}", self.address).as_bytes())
            .and_then(rpc::Call::wait)
    }

    /// Returns the requests of this method that have arrived.
    pub fn calls(&self, method: &str) -> Vec<Call> {
        self.calls.lock().unwrap().iter().filter(|call| call.method == method).cloned().collect()
    }

    /// Forgets the requests so far. Long tests collect many.
    pub fn forget(&self) {
        self.calls.lock().unwrap().clear();
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits until this many requests of a method have arrived.
    pub fn wait_for(&self, method: &str, count: usize) {
        let end = Instant::now() + Duration::from_secs(30);
        while self.calls(method).len() < count {
            assert!(Instant::now() < end, "{count} requests of {method} never arrived");
            thread::yield_now();
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = rpc::disconnect(Timeout::Zero).and_then(rpc::Call::wait);
        self.stop.notify_one();
    }
}

struct Server {
    calls: Arc<Mutex<Vec<Call>>>,
    connections: Arc<AtomicUsize>,
    script: Box<dyn Fn(&Call) -> Answer + Send + Sync>,
    limits: Box<dyn Fn() -> Limits + Send + Sync>,
}

/// The effects that an answer can have on its connection.
#[derive(Default)]
struct Hold {
    close: Notify,
    freeze: Notify,
    slow: Arc<AtomicBool>,
}

type Body = StreamBody<tokio_stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

impl Server {
    async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            stream.set_nodelay(true).unwrap();
            let life = (self.limits)();
            let (age, hold) = (life.age, Arc::new(Hold::default()));
            let stream = LimitedConnection::new(stream, life, hold.slow.clone());
            let connection = self.connections.fetch_add(1, Ordering::SeqCst);
            let server = self.clone();
            tokio::spawn(async move {
                // As in grpc-go, cancelled requests don't end the connection.
                let mut http2 = http2::Builder::new(TokioExecutor::new());
                http2.max_pending_accept_reset_streams(usize::MAX).max_local_error_reset_streams(None);
                let mut serving = pin!(http2.serve_connection(
                    TokioIo::new(stream),
                    service_fn({
                        let hold = hold.clone();
                        move |request| server.clone().answer(connection, request, hold.clone())
                    }),
                ));
                tokio::select! {
                    _ = serving.as_mut() => return,
                    () = hold.close.notified() => return,
                    () = hold.freeze.notified() => std::future::pending().await,
                    () = sleep(age) => serving.as_mut().graceful_shutdown(),
                }
                tokio::select! { _ = serving => (), () = hold.close.notified() => () }
            });
        }
    }

    async fn answer(
        self: Arc<Self>,
        connection: usize,
        request: Request<Incoming>,
        hold: Arc<Hold>,
    ) -> Result<Response<Body>, h2::Error> {
        let (head, body) = request.into_parts();
        let method = head.uri.path().rsplit('/').next().unwrap().to_owned();
        // The client has closed the connection, so it needs no answer.
        let Ok(message) = body.collect().await else { std::future::pending().await };
        let message = message.to_bytes();
        let (compressed, message) = (message[0] == 1, message.slice(5..));
        let authority = head.uri.authority().unwrap().to_string();
        let call = {
            let mut calls = self.calls.lock().unwrap();
            let nth = calls.iter().filter(|call| call.method == method).count();
            let (at, headers) = (Instant::now(), head.headers);
            calls.push(Call { method, nth, connection, at, headers, authority, message, compressed });
            calls.last().unwrap().clone()
        };
        match (self.script)(&call) {
            Answer::Message(message) => Ok(response(frame(&message), Some("0"), "")),
            Answer::TakingGzip(body) => {
                let mut answer = response(body, Some("0"), "");
                answer
                    .headers_mut()
                    .insert("grpc-accept-encoding", HeaderValue::from_static("identity,gzip"));
                answer.headers_mut().insert("grpc-encoding", HeaderValue::from_static("gzip"));
                Ok(answer)
            }
            Answer::NoDecompressor => {
                let mut refused = response(Vec::new(), None, "");
                refused.headers_mut().insert("grpc-status", HeaderValue::from_static("12"));
                let why = "Decompressor%20is%20not%20installed%20for%20grpc-encoding%20%22gzip%22";
                refused.headers_mut().insert("grpc-message", HeaderValue::from_static(why));
                Ok(refused)
            }
            Answer::Error { code, detail, trailers_only: false } => {
                Ok(response(Vec::new(), Some(&code.to_string()), detail))
            }
            Answer::Error { code, detail, trailers_only: true } => {
                let mut refused = response(Vec::new(), None, "");
                refused.headers_mut().extend(status(&code.to_string(), detail));
                Ok(refused)
            }
            Answer::Raw { body, grpc_status } => Ok(response(body, grpc_status, "")),
            Answer::Http(code) => {
                let mut refused = response(Vec::new(), None, "");
                *refused.status_mut() = code.try_into().unwrap();
                Ok(refused)
            }
            Answer::Silence => std::future::pending().await,
            Answer::Freeze => {
                hold.freeze.notify_one();
                std::future::pending().await
            }
            Answer::Close => {
                hold.close.notify_one();
                std::future::pending().await
            }
            Answer::After(time) => {
                sleep(time).await;
                Ok(response(frame(&[]), Some("0"), ""))
            }
            Answer::WithinDeadline(time) => match deadline(&call.headers) {
                Some(deadline) if deadline < time => {
                    sleep(deadline.saturating_sub(AHEAD)).await;
                    if call.nth % 2 == 1 {
                        return Err(h2::Reason::CANCEL.into());
                    }
                    let mut refused = response(Vec::new(), None, "");
                    refused.headers_mut().extend(status("4", ""));
                    Ok(refused)
                }
                _ => {
                    sleep(time).await;
                    Ok(response(frame(&[]), Some("0"), ""))
                }
            },
            Answer::Slowly => {
                hold.slow.store(true, Ordering::SeqCst);
                Ok(response(frame(&[]), Some("0"), ""))
            }
        }
    }
}

/// How much earlier than the client's timer the server's timer ends, although the client's started first.
const AHEAD: Duration = Duration::from_millis(5);

/// Returns the timeout in the request's headers: a number and a unit.
fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at(text.len() - 1);
    let number = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        _ => Duration::from_nanos(number),
    })
}

/// Puts a message into its gRPC frame.
pub fn frame(message: &[u8]) -> Vec<u8> {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(message.len().try_into().unwrap());
    frame.extend_from_slice(message);
    frame.to_vec()
}

fn response(body: Vec<u8>, grpc_status: Option<&str>, detail: &str) -> Response<Body> {
    let mut frames = Vec::new();
    if !body.is_empty() {
        frames.push(Ok(Frame::data(Bytes::from(body))));
    }
    if let Some(code) = grpc_status {
        frames.push(Ok(Frame::trailers(status(code, detail))));
    }
    let mut response = Response::new(StreamBody::new(tokio_stream::iter(frames)));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

/// Returns the trailers of an error with a detail of the given type.
fn status(code: &str, detail: &str) -> HeaderMap {
    #[derive(Clone, PartialEq, Message)]
    struct Details {
        #[prost(int32, tag = "1")]
        code: i32,
        #[prost(message, repeated, tag = "3")]
        details: Vec<prost_types::Any>,
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", code.parse().unwrap());
    trailers.insert("grpc-message", HeaderValue::from_static("the%20fake%20says%20so"));
    if !detail.is_empty() {
        let detail = prost_types::Any {
            type_url: format!("type.googleapis.com/temporal.api.errordetails.v1.{detail}"),
            value: Vec::new(),
        };
        let details = Details { code: code.parse().unwrap(), details: vec![detail] }.encode_to_vec();
        let text = tonic::metadata::MetadataValue::from_bytes(&details);
        trailers.insert("grpc-status-details-bin", HeaderValue::from_bytes(text.as_encoded_bytes()).unwrap());
    }
    trailers
}

/// Counts the statuses, and returns the counts by name.
pub fn tally(statuses: impl IntoIterator<Item = Status>) -> HashMap<String, usize> {
    let mut tally = HashMap::new();
    for status in statuses {
        *tally.entry(status.name().to_string_lossy().into_owned()).or_default() += 1;
    }
    tally
}
