//! The codec: encodes the values that are sent, and decodes those that are read. It is an object of the program, or a codec
//! server.
//!
//! The protocol of the server is that of the SDKs' remote codecs: `POST /encode` and `POST /decode` with the JSON of a `Payloads`, and
//! the same number of values in the answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::{
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::{
    client::rpc_error::{Retry, RpcError},
    config::{self, Options},
    model::{
        codec::OwnCodec,
        error::{Error, Result},
        payload_json,
        status::Status,
    },
    proto::temporal::api::common::v1::Payload,
    runtime::IoThread,
    sys,
    telemetry::{
        Telemetry,
        log_record::{Event, Value},
    },
    transport::{
        NewCredentials, TransportError,
        http1::{Answer, Http1, NoAnswer, Server},
    },
};

/// The most requests to the codec server at a time. Further ones wait.
const MAX_IN_FLIGHT: usize = 16;
/// The longest time of one request.
const LONGEST_TRY: Duration = Duration::from_secs(30);

/// What the codec does with values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Direction {
    /// Encodes them.
    Encode,
    /// Decodes them.
    Decode,
}

impl Direction {
    fn path(self) -> &'static str {
        match self {
            Direction::Encode => "/encode",
            Direction::Decode => "/decode",
        }
    }
}

/// The codec of the client.
pub struct Codec {
    backend: Backend,
    /// Its name in errors, and where it is.
    name: String,
    peer: String,
    slots: Arc<Semaphore>,
    io_thread: IoThread,
    is_failing: AtomicBool,
    telemetry: Arc<Telemetry>,
}

enum Backend {
    Own(OwnCodec),
    Server(CodecServer),
}

impl Codec {
    /// Creates the codec of `options`, if there is one. Sends nothing yet.
    pub fn new(options: &Options, io_thread: IoThread, telemetry: Arc<Telemetry>) -> Result<Option<Self>> {
        let (backend, name, peer) = match (&options.own_codec, &options.codec) {
            (Some(own), _) => (Backend::Own(own.clone()), "the codec".to_owned(), "this process".to_owned()),
            (None, Some(codec)) => {
                let peer = codec.address.text.clone();
                let server = CodecServer::new(codec, options, io_thread.clone())?;
                (Backend::Server(server), format!("the codec server {peer}"), peer)
            }
            (None, None) => return Ok(None),
        };
        let (slots, is_failing) = (Arc::new(Semaphore::new(MAX_IN_FLIGHT)), AtomicBool::new(false));
        Ok(Some(Codec { backend, name, peer, slots, io_thread, is_failing, telemetry }))
    }

    /// Reads the credentials of `options`. They come into force by [`Codec::secure`].
    pub fn read_credentials(&self, options: &Options) -> Result<Option<NewCredentials>> {
        match (&self.backend, &options.codec) {
            (Backend::Server(server), Some(changed)) => {
                server.http.read_credentials(changed.security.clone()).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Puts other credentials in force.
    pub fn secure(&self, credentials: NewCredentials) {
        if let Backend::Server(server) = &self.backend {
            server.http.secure(credentials);
        }
    }

    /// Rereads the files with credentials.
    pub async fn reload_credentials(&self) {
        if let Backend::Server(server) = &self.backend {
            server.http.reload_credentials(&self.telemetry).await;
        }
    }

    /// Encodes or decodes values, in one try that ends at `end`.
    pub async fn convert(
        &self,
        direction: Direction,
        payloads: Vec<Payload>,
        end: Instant,
    ) -> std::result::Result<Vec<Payload>, RpcError> {
        let metrics = &self.telemetry.metrics;
        metrics.codec_requests.one();
        let conversion = async {
            let slot = self.slots.clone().acquire_owned().await;
            // Waiting for other requests takes none of the time of this one.
            let end = end.min(Instant::now() + LONGEST_TRY);
            let conversion = async {
                match &self.backend {
                    Backend::Own(own) => {
                        // A codec that hangs keeps its slot, so that the number of threads is limited.
                        self.io_thread.run(convert_here(own.clone(), direction, payloads, slot)).await
                    }
                    Backend::Server(server) => {
                        let _slot = slot;
                        server.ask(direction, payloads, end).await
                    }
                }
            };
            timeout_at(end, conversion).await
        };
        let converted = match timeout_at(end, conversion).await {
            Ok(Ok(converted)) => converted,
            Ok(Err(_)) | Err(_) => Err(timed_out()),
        };
        let converted = converted.map_err(|failed| {
            // Errors of the connection name the server.
            let is_server = matches!(self.backend, Backend::Server(_));
            let is_named = is_server && failed.error.message().contains(&self.peer);
            let prefix = if is_named { "the codec server:" } else { &self.name };
            RpcError { error: failed.error.prefixed(prefix), ..failed }
        });
        self.log(&converted);
        converted
    }

    fn log<T>(&self, converted: &std::result::Result<T, RpcError>) {
        let peer = &[("peer", Value::Text(&self.peer))];
        let was_failing = self.is_failing.swap(converted.is_err(), Ordering::Relaxed);
        match converted {
            Err(failed) => {
                self.telemetry.metrics.codec_failures.one();
                self.telemetry.log.write(Event::CodecFailed, peer, || failed.error.message().to_owned());
            }
            Ok(_) if was_failing => {
                self.telemetry.log.write(Event::CodecAnswers, peer, || format!("{} works again", self.name));
            }
            Ok(_) => {}
        }
    }
}

/// Lets a codec of the program convert values, on a thread for work that blocks.
async fn convert_here(
    OwnCodec(codec): OwnCodec,
    direction: Direction,
    payloads: Vec<Payload>,
    slot: std::result::Result<OwnedSemaphorePermit, AcquireError>,
) -> std::result::Result<Vec<Payload>, RpcError> {
    let count = payloads.len();
    let converted = sys::blocking::run(move || {
        let _slot = slot;
        match direction {
            Direction::Encode => codec.encode(payloads),
            Direction::Decode => codec.decode(payloads),
        }
    });
    let failed = |error: Error| match error.is_retryable() {
        true => RpcError::temporary(error),
        false => RpcError::permanent(error),
    };
    match converted.await {
        Ok(Ok(converted)) => check_count(converted, count),
        Ok(Err(error)) => Err(failed(error.prefixed("failed:"))),
        Err(why) => Err(failed(Error::new(Status::Internal, format!("didn't run: {why}")))),
    }
}

fn check_count(converted: Vec<Payload>, count: usize) -> std::result::Result<Vec<Payload>, RpcError> {
    if converted.len() == count {
        return Ok(converted);
    }
    let why = format!("returned {} values for {count}", converted.len());
    Err(RpcError::permanent(Error::new(Status::ServerError, why)))
}

/// The client of a codec server.
struct CodecServer {
    http: Http1,
    path: String,
    max_message_bytes: usize,
}

impl CodecServer {
    fn new(codec: &config::Codec, options: &Options, io_thread: IoThread) -> Result<Self> {
        let namespace = HeaderValue::from_str(&options.namespace)
            .map_err(|_| Error::config("the namespace has a character that a header can't carry"))?;
        let headers = HeaderMap::from_iter([
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (header::USER_AGENT, HeaderValue::from_static(super::USER_AGENT)),
            (header::HeaderName::from_static("x-namespace"), namespace),
        ]);
        let server = Server {
            address: codec.address.clone(),
            authority: codec.authority.clone(),
            // A proxy can't reach this computer.
            proxy: options.proxy.clone().filter(|_| !codec.is_on_this_computer()),
        };
        Ok(CodecServer {
            http: Http1::new(server, codec.security.clone(), headers, io_thread)?,
            path: codec.path.clone(),
            max_message_bytes: options.max_message_bytes,
        })
    }

    async fn ask(
        &self,
        direction: Direction,
        payloads: Vec<Payload>,
        end: Instant,
    ) -> std::result::Result<Vec<Payload>, RpcError> {
        let count = payloads.len();
        let body = Bytes::from(payload_json::to_json(payloads));
        let path = format!("{}{}", self.path, direction.path());
        let answer = match self.http.post(&path, body, self.max_message_bytes, end).await {
            Ok(answer) => answer,
            Err(NoAnswer::Broken(error)) => return Err(TransportError::NotSent(error).into()),
            Err(NoAnswer::TimedOut) => return Err(timed_out()),
            Err(NoAnswer::TooLarge) => {
                let why = format!(
                    "gave an answer over {} bytes, which is max_message_bytes",
                    self.max_message_bytes
                );
                return Err(RpcError::permanent(Error::new(Status::TooLarge, why)));
            }
        };
        let Answer { status, body } = answer;
        if !status.is_success() {
            return Err(refused(status, direction));
        }
        let wrong = |why: String| {
            let why = format!("gave an answer to POST {} that can't be used: {why}", direction.path());
            RpcError::permanent(Error::new(Status::ServerError, why))
        };
        check_count(payload_json::from_json(&body).map_err(wrong)?, count)
    }
}

fn timed_out() -> RpcError {
    let error = Error::new(Status::Timeout, "gave no answer in time");
    RpcError { timed_out: true, ..RpcError::temporary(error) }
}

/// Classifies the HTTP status of an answer. The body isn't repeated, because it may show values.
fn refused(status: StatusCode, direction: Direction) -> RpcError {
    let (kind, retry, step) = match status.as_u16() {
        300..=399 => {
            (Status::ServerError, Retry::Never, "; redirects aren't followed: give the URL where it answers")
        }
        401 => (Status::Unauthenticated, Retry::WithOtherCredentials, "; give codec_auth or codec_headers"),
        403 => (
            Status::PermissionDenied,
            Retry::WithOtherCredentials,
            "; does it allow these credentials this namespace?",
        ),
        404 | 405 => (Status::ServerError, Retry::Never, "; codec_endpoint is its URL without /encode"),
        413 => (Status::TooLarge, Retry::Never, "; keep large state elsewhere and record where"),
        429 => (Status::ResourceExhausted, Retry::Slowly, ""),
        408 | 425 | 500..=599 => (Status::Unavailable, Retry::Soon, ""),
        _ => (Status::ServerError, Retry::Never, ""),
    };
    let message = format!("answered HTTP status {} to POST {}{step}", status.as_u16(), direction.path());
    let error = Error::new(kind, message);
    let may_succeed = matches!(retry, Retry::Soon | Retry::Slowly);
    let error = if may_succeed { error.temporary(None) } else { error };
    RpcError { retry, ..RpcError::permanent(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_retried() {
        for (code, status, retry) in [
            (301, Status::ServerError, Retry::Never),
            (400, Status::ServerError, Retry::Never),
            (401, Status::Unauthenticated, Retry::WithOtherCredentials),
            (404, Status::ServerError, Retry::Never),
            (429, Status::ResourceExhausted, Retry::Slowly),
            (500, Status::Unavailable, Retry::Soon),
            (503, Status::Unavailable, Retry::Soon),
        ] {
            let failed = refused(StatusCode::from_u16(code).unwrap(), Direction::Encode);
            assert_eq!((failed.error.status(), failed.retry), (status, retry), "{code}");
            let is_temporary = matches!(retry, Retry::Soon | Retry::Slowly);
            assert_eq!(failed.error.is_retryable(), is_temporary, "{code}");
        }
    }
}
