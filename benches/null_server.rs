//! A server that acknowledges everything at once. It prints its address; when its standard input ends, it prints how many beats
//! came, of how many tokens, and the longest time between two beats of one token.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a tool of the benchmarks"
)]

use std::{
    collections::HashMap,
    convert::Infallible,
    io::Read,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

#[derive(Default)]
struct Beats {
    count: u64,
    last: HashMap<Bytes, Instant>,
    longest: Duration,
}

fn main() {
    let beats = Arc::new(Mutex::new(Beats::default()));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    println!("{}", listener.local_addr().unwrap());
    std::thread::spawn({
        let beats = beats.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { serve(TcpListener::from_std(listener).unwrap(), beats).await });
        }
    });
    // Until whoever started it is done with it.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    let beats = beats.lock().unwrap();
    println!("{} {} {}", beats.count, beats.last.len(), beats.longest.as_millis());
}

async fn serve(listener: TcpListener, beats: Arc<Mutex<Beats>>) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let beats = beats.clone();
        let service = service_fn(move |request| answer(request, beats.clone()));
        let connection =
            http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move { drop(connection.await) });
    }
}

type Body = StreamBody<tokio_stream::Iter<std::array::IntoIter<Result<Frame<Bytes>, Infallible>, 2>>>;

async fn answer(request: Request<Incoming>, beats: Arc<Mutex<Beats>>) -> Result<Response<Body>, Infallible> {
    let is_beat = request.uri().path().ends_with("/RecordActivityTaskHeartbeat");
    // A client that is gone gets no answer, and misses none.
    let Ok(message) = request.into_body().collect().await else { std::future::pending().await };
    let message = message.to_bytes();
    if is_beat {
        // The token is the first field: its key, its length, its bytes; behind the five bytes of the frame.
        let len = usize::from(message[6] & 0x7f)
            | if message[6] & 0x80 == 0 { 0 } else { usize::from(message[7]) << 7 };
        let start = if message[6] & 0x80 == 0 { 7 } else { 8 };
        let token = message.slice(start..start + len);
        let now = Instant::now();
        let mut beats = beats.lock().unwrap();
        beats.count += 1;
        if let Some(last) = beats.last.insert(token, now) {
            beats.longest = beats.longest.max(now - last);
        }
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [Ok(Frame::data(Bytes::from_static(&[0; 5]))), Ok(Frame::trailers(trailers))];
    let mut response = Response::new(StreamBody::new(tokio_stream::iter(frames)));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    Ok(response)
}
