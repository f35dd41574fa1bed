//! A gRPC server that answers as a test wants: with an error, with nonsense, late, or not at all.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
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
use tokio::{net::TcpListener, sync::Notify};

use temporal_heartbeat::{calls, deadline::Timeout, error::Error, status::Status};

use crate::mortal::{Life, Mortal};

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method's name, without the service.
    pub method: String,
    /// How many of this method came before.
    pub nth: usize,
    /// The number of the connection that it came on, from 0.
    pub connection: usize,
    /// When.
    pub at: Instant,
    /// The request's headers.
    pub headers: HeaderMap,
    /// Whom it was meant for.
    pub authority: String,
    /// The request's message, as it came: perhaps compressed.
    pub message: Bytes,
    /// Whether it was.
    pub compressed: bool,
}

impl Call {
    /// Whether these bytes stand in the message.
    pub fn has(&self, bytes: &[u8]) -> bool {
        self.message.windows(bytes.len()).any(|window| window == bytes)
    }
}

/// What the server does about a request.
pub enum Answer {
    /// Answers with this message.
    Message(Vec<u8>),
    /// Answers with an error, in the head or behind an empty body.
    Error { code: i32, detail: &'static str, trailers_only: bool },
    /// Answers with these bytes, and this status behind them.
    Raw { body: Vec<u8>, grpc_status: Option<&'static str> },
    /// Answers with these bytes, and says that it takes gzip.
    TakingGzip(Vec<u8>),
    /// Refuses a request as gRPC servers do that can't decompress it.
    NoDecompressor,
    /// Answers with an HTTP error.
    Http(u16),
    /// Never answers.
    Silence,
    /// Closes the connection.
    Close,
    /// Answers well, but late.
    After(Duration),
}

impl Answer {
    pub fn ok() -> Self {
        Answer::Message(Vec::new())
    }

    pub fn error(code: i32) -> Self {
        Answer::Error { code, detail: "", trailers_only: true }
    }
}

/// A description of [`TOKEN`]'s workflow: its activity is at this attempt, and holds this JSON as its details.
pub fn description(attempt: u8, details: Option<&str>) -> Answer {
    let field =
        |number: u8, bytes: &[u8]| [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat();
    let held = details.map_or(Vec::new(), |json| {
        let metadata = field(1, &[field(1, b"encoding"), field(2, b"json/plain")].concat());
        field(4, &field(1, &[metadata, field(2, json.as_bytes())].concat()))
    });
    let activity = [field(1, b"a"), held, vec![7 << 3, attempt]].concat();
    Answer::Message(field(3, &activity))
}

/// A running server; it ends with the process's client.
pub struct Fake {
    pub address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    connections: Arc<AtomicUsize>,
    stop: Arc<Notify>,
    /// There is one client per process, so one test at a time.
    _turn: MutexGuard<'static, ()>,
}

/// A task token of the workflow "w" in its run "r", for the first attempt of the activity "a".
pub const TOKEN: &[u8] = b"\x0a\x01n\x12\x01w\x1a\x01r\x28\x01\x32\x01a";

static TURN: Mutex<()> = Mutex::new(());

impl Fake {
    /// Starts a server that answers greetings well and everything else by `script`, and connects the process to it.
    pub fn connected(script: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        let fake = Self::start(script);
        fake.connect("").unwrap();
        fake
    }

    /// Starts a server without connecting to it; greetings that it should answer are up to `script` as `GetSystemInfo`
    /// and `DescribeNamespace` when it doesn't answer them with [`Answer::ok`] anyway.
    pub fn start(script: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        Self::mortal(script, Life::immortal)
    }

    /// As [`Fake::start`], with connections that last as long as `lives` says of each.
    pub fn mortal(
        script: impl Fn(&Call) -> Answer + Send + Sync + 'static,
        lives: impl Fn() -> Life + Send + Sync + 'static,
    ) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        calls::disconnect(Timeout::Zero).unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(Notify::new());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server {
            calls: calls.clone(),
            connections: connections.clone(),
            script: Box::new(script),
            lives: Box::new(lives),
        };
        thread::spawn({
            let stop = stop.clone();
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let listener = TcpListener::from_std(listener).unwrap();
                    tokio::select! { () = Arc::new(server).serve(listener) => (), () = stop.notified() => () }
                });
            }
        });
        Fake { address, calls, connections, stop, _turn: turn }
    }

    /// Connects the process, with more options in JSON, e.g. `,"lazy":true`.
    pub fn connect(&self, more: &str) -> Result<(), Error> {
        calls::connect(format!("{{\"address\":\"{}\"{more}}}", self.address).as_bytes())
    }

    /// What arrived of this method.
    pub fn calls(&self, method: &str) -> Vec<Call> {
        self.calls.lock().unwrap().iter().filter(|call| call.method == method).cloned().collect()
    }

    /// Forgets what arrived, which in long tests is a lot.
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
            assert!(Instant::now() < end, "{count} of {method} never came");
            thread::yield_now();
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = calls::disconnect(Timeout::Zero);
        self.stop.notify_one();
    }
}

struct Server {
    calls: Arc<Mutex<Vec<Call>>>,
    connections: Arc<AtomicUsize>,
    script: Box<dyn Fn(&Call) -> Answer + Send + Sync>,
    lives: Box<dyn Fn() -> Life + Send + Sync>,
}

type Body = StreamBody<tokio_stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

impl Server {
    async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            stream.set_nodelay(true).unwrap();
            let stream = Mortal::new(stream, (self.lives)());
            let connection = self.connections.fetch_add(1, Ordering::SeqCst);
            let (server, close) = (self.clone(), Arc::new(Notify::new()));
            tokio::spawn(async move {
                let serving = http2::Builder::new(TokioExecutor::new()).serve_connection(
                    TokioIo::new(stream),
                    service_fn({
                        let close = close.clone();
                        move |request| server.clone().answer(connection, request, close.clone())
                    }),
                );
                tokio::select! { _ = serving => (), () = close.notified() => () }
            });
        }
    }

    async fn answer(
        self: Arc<Self>,
        connection: usize,
        request: Request<Incoming>,
        close: Arc<Notify>,
    ) -> Result<Response<Body>, Infallible> {
        let (head, body) = request.into_parts();
        let method = head.uri.path().rsplit('/').next().unwrap().to_owned();
        // A client that is gone gets no answer, and misses none.
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
            Answer::Close => {
                close.notify_one();
                std::future::pending().await
            }
            Answer::After(time) => {
                tokio::time::sleep(time).await;
                Ok(response(frame(&[]), Some("0"), ""))
            }
        }
    }
}

/// A message in its gRPC frame.
pub fn frame(message: &[u8]) -> Vec<u8> {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(message.len().try_into().unwrap());
    frame.extend_from_slice(message);
    frame.to_vec()
}

fn response(body: Vec<u8>, grpc_status: Option<&str>, detail: &str) -> Response<Body> {
    let mut frames = vec![Ok(Frame::data(Bytes::from(body)))];
    if let Some(code) = grpc_status {
        frames.push(Ok(Frame::trailers(status(code, detail))));
    }
    let mut response = Response::new(StreamBody::new(tokio_stream::iter(frames)));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

/// The trailers of an error with a detail of the given type.
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

/// The counts of each status that `call` gave, by name.
pub fn tally(statuses: impl IntoIterator<Item = Status>) -> HashMap<String, usize> {
    let mut tally = HashMap::new();
    for status in statuses {
        *tally.entry(status.name().to_string_lossy().into_owned()).or_default() += 1;
    }
    tally
}
