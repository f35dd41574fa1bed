//! One gRPC call on a connection: the request in one frame, the response in one frame, then the status.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::{Reason, RecvStream};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header, uri,
};
use tokio::time::Instant;
use tonic::Code;

use super::{
    TransportError, causes,
    connector::Connection,
    frame::{self, Frame},
    http2::{self, Failure},
};
use crate::model::{error::Error, status::Status};

/// How many bytes of an answer that isn't gRPC are searched for a reason.
const MAX_REASON_BYTES: usize = 4096;

/// The gRPC headers for the server's time limit and for the status.
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// A request, without the parts that the connection adds.
pub struct Message<'a> {
    /// The call's HTTP path.
    pub path: &'static str,
    /// The request headers.
    pub headers: HeaderMap,
    /// The server's name.
    pub authority: &'a uri::Authority,
    /// The message.
    pub frame: Frame,
    /// Whether the message may be compressed.
    pub gzip: bool,
    /// The largest response that is read.
    pub limit: usize,
    /// The server's deadline for the request. The caller of [`run`] enforces the client's.
    pub end: Instant,
}

/// A response, and what its headers show about the server.
pub struct Answer {
    /// The message.
    pub message: Bytes,
    /// Whether the server accepts gzip; `None`: it doesn't say.
    pub takes_gzip: Option<bool>,
}

/// Adds the headers that every gRPC request needs.
pub fn with_grpc_headers(mut headers: HeaderMap) -> HeaderMap {
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-accept-encoding", HeaderValue::from_static("gzip"));
    // A placeholder that each request overwrites, so that its copy of the map needn't grow.
    headers.insert(TIMEOUT, HeaderValue::from_static("1m"));
    headers
}

/// Sends `message` and reads the answer. Calls `written` as soon as frames of the request may have been written.
pub async fn run(
    connection: &Connection,
    message: Message<'_>,
    written: impl FnOnce(),
) -> Result<Answer, TransportError> {
    let (gzip, limit, end) = (message.gzip, message.limit, message.end);
    let (request, body) = request(message).map_err(TransportError::NotSent)?;
    let sent = connection.sender.send(request, body, written).await;
    let (response, in_flight) = sent.map_err(|failure| match failure {
        Failure::Unseen(error) => TransportError::NotProcessed(broken(&causes(&error))),
        Failure::Lost(error) => lost(&error, end),
    })?;
    if response.status() != StatusCode::OK && !is_grpc(response.headers()) {
        let error = no_grpc(connection, response).await;
        in_flight.finish();
        return Err(error);
    }
    let (head, body) = response.into_parts();
    let read = read(body, limit, end).await;
    in_flight.finish();
    let (data, trailers) = read?;

    if is_ok(&head.headers) || is_ok(&trailers) {
        let gzipped = head.headers.get("grpc-encoding").is_some_and(|encoding| encoding == "gzip");
        let message = frame::decode(data, gzipped, limit).map_err(|why| {
            TransportError::OutcomeUnknown(broken(&format!("the server's answer isn't gRPC: {why}")))
        })?;
        return Ok(Answer { message, takes_gzip: takes_gzip(&head.headers) });
    }
    // A server that refuses at once sends the status in the response headers.
    match [&head.headers, &trailers].into_iter().find_map(tonic::Status::from_header_map) {
        Some(status) if gzip && is_about_compression(&status) => Err(TransportError::CompressionRefused),
        Some(status) if status.code() == Code::DeadlineExceeded && is_expired(end) => {
            Err(TransportError::TimedOut { sent: true })
        }
        Some(status) => Err(TransportError::Status(Box::new(status))),
        None => Err(TransportError::OutcomeUnknown(broken("the answer ended without a gRPC status"))),
    }
}

/// Builds the request and its body.
fn request(message: Message<'_>) -> Result<(Request<()>, Bytes), Error> {
    let internal = |why: &str| Error::new(Status::Internal, format!("no request can be made: {why}"));
    let mut parts = uri::Parts::default();
    parts.scheme = Some(uri::Scheme::HTTP);
    parts.authority = Some(message.authority.clone());
    parts.path_and_query = Some(uri::PathAndQuery::from_static(message.path));

    let compressed = if message.gzip { message.frame.compressed() } else { None };
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = Uri::from_parts(parts).map_err(|why| internal(&why.to_string()))?;
    *request.headers_mut() = message.headers;
    request.headers_mut().insert(TIMEOUT, timeout(message.end));
    if compressed.is_some() {
        request.headers_mut().insert("grpc-encoding", HeaderValue::from_static("gzip"));
    }
    Ok((request, compressed.unwrap_or(message.frame).into_bytes()))
}

/// Formats the time until `end` for gRPC: at most eight digits and a unit.
fn timeout(end: Instant) -> HeaderValue {
    let ms = end.saturating_duration_since(Instant::now()).as_millis().clamp(1, 99_999_999);
    let mut timeout = HeaderValue::try_from(format!("{ms}m")).unwrap_or(HeaderValue::from_static("1m"));
    // It differs each time. As a sensitive value it doesn't push recurring headers out of the HPACK table.
    timeout.set_sensitive(true);
    timeout
}

async fn read(
    mut body: RecvStream,
    limit: usize,
    end: Instant,
) -> Result<(BytesMut, HeaderMap), TransportError> {
    let frame_limit = limit.saturating_add(frame::HEADER_BYTES);
    http2::read(&mut body, frame_limit).await.map_err(|error| lost(&error, end))?.ok_or_else(|| {
        let why =
            format!("the response is over {limit} bytes, the most that is read: raise max_message_bytes");
        TransportError::AnswerTooLarge(Error::new(Status::ServerError, why))
    })
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.contains_key(STATUS)
}

/// Returns whether the call has succeeded, without building a status with all its details.
fn is_ok(headers: &HeaderMap) -> bool {
    headers.get(STATUS).is_some_and(|status| status == "0")
}

/// Converts an answer that isn't from a gRPC server.
async fn no_grpc(connection: &Connection, response: Response<RecvStream>) -> TransportError {
    let status = response.status();
    let body = http2::read(&mut response.into_body(), MAX_REASON_BYTES).await;
    let (body, _) = body.ok().flatten().unwrap_or_default();
    // nginx answers so when it requires a client certificate, or a different one.
    if let Some(handshake) = &connection.handshake
        && status.is_client_error()
        && body.windows(15).any(|window| window == b"SSL certificate")
    {
        return TransportError::NotSent(
            handshake.client_refused(&format!("it answers HTTP status {status}")),
        );
    }
    // A gateway checks credentials before the server does.
    let word = || format!("HTTP status {status} from a gateway before the server");
    match status {
        StatusCode::UNAUTHORIZED => {
            return TransportError::Status(Box::new(tonic::Status::unauthenticated(word())));
        }
        StatusCode::FORBIDDEN => {
            return TransportError::Status(Box::new(tonic::Status::permission_denied(word())));
        }
        // The server got nothing of the request, and a retry is no smaller.
        StatusCode::PAYLOAD_TOO_LARGE => {
            let step = "raise its limit (nginx: client_max_body_size), or send less";
            return TransportError::NotSent(Error::new(Status::TooLarge, format!("{}: {step}", word())));
        }
        _ => {}
    }
    let step = "is this a Temporal frontend, or a gateway before one?";
    TransportError::OutcomeUnknown(broken(&format!("HTTP status {status} instead of a gRPC answer; {step}")))
}

fn takes_gzip(headers: &HeaderMap) -> Option<bool> {
    let accepted = headers.get("grpc-accept-encoding")?.to_str().ok()?;
    Some(accepted.split(',').any(|encoding| encoding.trim() == "gzip"))
}

/// Returns whether the server refuses a request because it can't decompress it.
fn is_about_compression(status: &tonic::Status) -> bool {
    matches!(status.code(), tonic::Code::Unimplemented | tonic::Code::Internal)
        && (status.message().contains("grpc-encoding") || status.message().contains("ompress"))
}

/// A server may enforce the request's deadline slightly before this client does: the deadline that it gets is rounded
/// down, and timers here may fire late.
const EXPIRY_TOLERANCE: Duration = Duration::from_millis(50);

fn is_expired(end: Instant) -> bool {
    Instant::now() + EXPIRY_TOLERANCE >= end
}

fn lost(error: &h2::Error, end: Instant) -> TransportError {
    let cancelled = error.is_remote() && error.is_reset() && error.reason() == Some(Reason::CANCEL);
    if cancelled && is_expired(end) {
        TransportError::TimedOut { sent: true }
    } else {
        TransportError::OutcomeUnknown(broken(&causes(error)))
    }
}

fn broken(why: &str) -> Error {
    Error::new(Status::Unavailable, format!("the connection failed: {why}"))
}
