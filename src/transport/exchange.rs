//! One gRPC call on a connection: the request as one frame, the response as one frame, the status behind it.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version, header, uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::{Miss, causes, connector::Connection};
use crate::{error::Error, secret, status::Status};

/// The largest response that is read: a workflow's description lists all of its pending activities with their details.
pub const MAX_RESPONSE_BYTES: usize = 64 * 1024 * 1024;

/// One byte that says whether the message is compressed, four with its length.
const FRAME_HEADER: usize = 5;

/// `headers` with those that make a request a gRPC request.
pub fn with_grpc_headers(mut headers: HeaderMap) -> HeaderMap {
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers
}

/// Sends `message` and reads the answer. The server is told to be done by `end`; the caller sees to it that we are.
pub async fn run(
    mut connection: Connection,
    path: &'static str,
    headers: HeaderMap,
    message: Bytes,
    end: Instant,
) -> Result<Bytes, Miss> {
    let request = request(&connection, path, headers, &message, end).map_err(Miss::Unsent)?;
    let response = connection.sender.try_send_request(request).await.map_err(|mut error| {
        let unsent = error.take_message().is_some();
        let failed = broken(&causes(error.error()));
        if unsent { Miss::Unsent(failed) } else { Miss::Lost(failed) }
    })?;
    let (head, body) = response.into_parts();
    let (data, trailers) = read(body).await?;

    // A server that refuses at once puts the status into the head.
    let status = [&head.headers, &trailers].into_iter().find_map(tonic::Status::from_header_map);
    match status {
        Some(status) if status.code() == tonic::Code::Ok => unframe(data),
        Some(status) => Err(Miss::Refused(Box::new(status))),
        None if head.status == StatusCode::OK => {
            Err(Miss::Lost(broken("the answer ended without a gRPC status")))
        }
        None => {
            let step = "is this a Temporal frontend, or what stands before it?";
            Err(Miss::Lost(broken(&format!("HTTP status {} instead of a gRPC answer; {step}", head.status))))
        }
    }
}

fn request(
    connection: &Connection,
    path: &'static str,
    headers: HeaderMap,
    message: &Bytes,
    end: Instant,
) -> Result<Request<Full<Bytes>>, Error> {
    let internal = |why: &str| Error::new(Status::Internal, format!("no request can be made: {why}"));
    let length = u32::try_from(message.len()).map_err(|_| internal("a message of over 4 GiB"))?;
    // It holds the task token, so that it is wiped like the message.
    let mut frame = Vec::with_capacity(FRAME_HEADER + message.len());
    frame.put_u8(0);
    frame.put_u32(length);
    frame.extend_from_slice(message);

    let mut parts = uri::Parts::default();
    parts.scheme = Some(uri::Scheme::HTTP);
    parts.authority = Some(connection.authority.clone());
    parts.path_and_query = Some(uri::PathAndQuery::from_static(path));

    let mut request = Request::new(Full::new(secret::shared(frame)));
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = Uri::from_parts(parts).map_err(|why| internal(&why.to_string()))?;
    *request.headers_mut() = headers;
    request.headers_mut().insert("grpc-timeout", timeout(end));
    Ok(request)
}

/// gRPC's spelling of what is left until `end`: at most eight digits and a unit.
fn timeout(end: Instant) -> HeaderValue {
    let ms = end.saturating_duration_since(Instant::now()).as_millis().clamp(1, 99_999_999);
    HeaderValue::try_from(format!("{ms}m")).unwrap_or(HeaderValue::from_static("1m"))
}

async fn read(mut body: Incoming) -> Result<(BytesMut, HeaderMap), Miss> {
    let (mut data, mut trailers) = (BytesMut::new(), HeaderMap::new());
    while let Some(frame) = body.frame().await {
        match frame.map_err(|error| Miss::Lost(broken(&causes(&error))))?.into_data() {
            Ok(more) if data.len() + more.len() > MAX_RESPONSE_BYTES + FRAME_HEADER => {
                let why = format!("the response is over {MAX_RESPONSE_BYTES} bytes, the most that is read");
                return Err(Miss::Refused(Box::new(tonic::Status::out_of_range(why))));
            }
            Ok(more) => data.extend_from_slice(&more),
            Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    Ok((data, trailers))
}

fn unframe(mut data: BytesMut) -> Result<Bytes, Miss> {
    let wrong = |why: &str| Err(Miss::Lost(broken(&format!("the server's answer isn't gRPC: {why}"))));
    if data.len() < FRAME_HEADER {
        return wrong("its frame has no header");
    }
    let compressed = data.get_u8() != 0;
    let length = data.get_u32() as usize;
    match (compressed, data.len() == length) {
        (true, _) => wrong("it is compressed, which nobody asked for"),
        (false, false) => wrong("its length isn't the one that it tells"),
        (false, true) => Ok(data.freeze()),
    }
}

fn broken(why: &str) -> Error {
    Error::new(Status::Unavailable, format!("the connection failed: {why}"))
}
