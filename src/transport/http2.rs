//! An HTTP/2 client for calls with one request and one response. It uses `h2` directly: the layers of a general
//! client take half of the time of a call.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use h2::{
    Ping, PingPong, Reason, RecvStream,
    client::{Builder, Connection, SendRequest},
};
use http::{HeaderMap, Request, Response};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Mutex,
    time,
};

use super::liveness::Liveness;
use crate::config::Keepalive;

/// The flow-control windows of the connection and of one response.
const CONNECTION_WINDOW: u32 = 5 * 1024 * 1024;
const STREAM_WINDOW: u32 = 2 * 1024 * 1024;
/// The largest headers of a response, and its largest trailers.
const MAX_HEADER_BYTES: u32 = 16 * 1024;
/// For how long h2 remembers given-up requests, of which it remembers a few. It resets the streams of later answers. Its
/// default is 1 s of real time, which made simulated runs depend on the machine.
const LATE_ANSWER: Duration = Duration::from_secs(60);
/// How long a requested PING may be unanswered when keepalive is off.
const PING_TIMEOUT: Duration = Duration::from_secs(15);

/// Sends requests on one connection; clones share it.
#[derive(Clone)]
pub struct Sender {
    /// The lock's holder gets the next stream. The others wait until the server admits it, so they have surely sent
    /// nothing.
    requests: Arc<Mutex<SendRequest<Bytes>>>,
    /// The server's limit of concurrent requests, as of the last request.
    max_streams: Arc<AtomicUsize>,
    /// The observations of the connection.
    pub liveness: Arc<Liveness>,
}

/// Why there is no response.
pub enum Failure {
    /// The request was never sent, or the server reports that it didn't process it.
    Unseen(h2::Error),
    /// The request may have arrived.
    Lost(h2::Error),
}

/// Opens HTTP/2 on `stream`. Returns the sender and the connection's driver, which must run until it ends. Its end
/// closes the connection and fails the requests in flight.
pub async fn open<Stream>(
    stream: Stream,
    keepalive: Option<Keepalive>,
    liveness: Arc<Liveness>,
) -> Result<(Sender, impl Future<Output = ()> + Send), h2::Error>
where
    Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (requests, mut connection) = Builder::new()
        .enable_push(false)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_window_size(STREAM_WINDOW)
        .max_header_list_size(MAX_HEADER_BYTES)
        .reset_stream_duration(LATE_ANSWER)
        // h2 counts late answers as errors of the server. It would close the connection after 1024 of them.
        .max_local_error_reset_streams(None)
        .handshake(stream)
        .await?;
    let pings = connection.ping_pong();
    let driver = run(connection, pings, keepalive, Closing(liveness.clone()));
    let max_streams = Arc::new(AtomicUsize::new(usize::MAX));
    Ok((Sender { requests: Arc::new(Mutex::new(requests)), max_streams, liveness }, driver))
}

/// Notes that the connection is closed, even if its driver is dropped or panics. It holds no sender, because a sender
/// would keep the connection open.
struct Closing(Arc<Liveness>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.closed();
    }
}

async fn run<Stream>(
    connection: Connection<Stream, Bytes>,
    pings: Option<PingPong>,
    keepalive: Option<Keepalive>,
    closing: Closing,
) where
    Stream: AsyncRead + AsyncWrite + Unpin,
{
    let liveness = &closing.0;
    // The end of this block drops the connection and so closes the socket, before `closing` notes it.
    let mut connection = pin!(connection);
    let mut silent = pin!(until_silent(pings, keepalive, liveness));
    let mut aborted = pin!(liveness.abort_requested());
    poll_fn(|context| {
        if connection.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        if silent.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        aborted.as_mut().poll(context)
    })
    .await;
}

/// Sends PINGs, at the keepalive interval and on request. Returns when one isn't answered in time.
async fn until_silent(pings: Option<PingPong>, keepalive: Option<Keepalive>, liveness: &Liveness) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    let timeout = keepalive.map_or(PING_TIMEOUT, |keepalive| keepalive.timeout);
    loop {
        match keepalive {
            // Send one at the interval, or earlier on request.
            Some(keepalive) => drop(time::timeout(keepalive.interval, liveness.ping_wanted()).await),
            None => liveness.ping_wanted().await,
        }
        liveness.ping_sent();
        if !matches!(time::timeout(timeout, pings.ping(Ping::opaque())).await, Ok(Ok(_))) {
            return;
        }
        liveness.pong_received();
    }
}

/// A request on a connection. If dropped before [`InFlight::finish`], it counts as given up.
pub struct InFlight {
    liveness: Arc<Liveness>,
    given_up: bool,
}

impl InFlight {
    fn begin(liveness: &Arc<Liveness>) -> Self {
        liveness.begin_request();
        InFlight { liveness: liveness.clone(), given_up: true }
    }

    /// Notes that the request isn't given up.
    pub fn finish(mut self) {
        self.given_up = false;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.liveness.end_request(self.given_up);
    }
}

impl Sender {
    /// Returns whether the connection is closed.
    pub fn is_closed(&self) -> bool {
        // After a GOAWAY the connection stays open for its current requests.
        self.liveness.is_closed()
            || self.requests.try_lock().is_ok_and(|mut requests| {
                matches!(requests.poll_ready(&mut Context::from_waker(Waker::noop())), Poll::Ready(Err(_)))
            })
    }

    /// Returns the server's limit of concurrent requests, as far as known.
    pub fn max_streams(&self) -> usize {
        self.max_streams.load(Ordering::Relaxed)
    }

    /// Sends a request with its body, and waits for the response headers. Calls `written` as soon as frames of the
    /// request may have been written. Dropping the result before the end of the response cancels the request.
    pub async fn send(
        &self,
        request: Request<()>,
        body: Bytes,
        written: impl FnOnce(),
    ) -> Result<(Response<RecvStream>, InFlight), Failure> {
        let (response, mut stream) = {
            let mut requests = self.requests.lock().await;
            self.max_streams.store(requests.current_max_send_streams(), Ordering::Relaxed);
            let ready = poll_fn(|context| requests.poll_ready(context)).await;
            ready.and_then(|()| requests.send_request(request, false)).map_err(Failure::Unseen)?
        };
        let (in_flight, begun) = (InFlight::begin(&self.liveness), time::Instant::now());
        written();
        // In one piece: h2 sends as much of it as the server's window allows.
        stream.send_data(body, true).map_err(Failure::Lost)?;
        match response.await {
            Ok(response) => {
                self.liveness.answered(begun.elapsed());
                Ok((response, in_flight))
            }
            Err(error) => {
                // The server ended the stream, or the connection ended.
                in_flight.finish();
                Err(without_response(error))
            }
        }
    }
}

/// Classifies a request that ended without a response. A server that closes the connection gracefully, or has no
/// capacity, reports which requests it doesn't process (RFC 9113, section 8.7). h2 fails exactly those with the
/// GOAWAY.
fn without_response(error: h2::Error) -> Failure {
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    if error.is_remote() && (refused || error.is_go_away()) {
        Failure::Unseen(error)
    } else {
        Failure::Lost(error)
    }
}

/// Reads a body and its trailers. Returns `None` as soon as the body is over `limit` bytes.
pub async fn read(body: &mut RecvStream, limit: usize) -> Result<Option<(BytesMut, HeaderMap)>, h2::Error> {
    let mut data = BytesMut::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        if data.len() + piece.len() > limit {
            return Ok(None);
        }
        data.extend_from_slice(&piece);
        // Let the server send as many bytes again.
        body.flow_control().release_capacity(piece.len())?;
    }
    Ok(Some((data, body.trailers().await?.unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::*;

    use h2::server::{self, SendResponse};
    use tokio::io::DuplexStream;

    const LONG: Duration = Duration::from_secs(60);

    type Server = server::Connection<DuplexStream, Bytes>;

    /// Returns a sender with its driver as a task, and a server that accepts `at_once` concurrent requests.
    async fn connected(at_once: u32, keepalive: Option<Keepalive>) -> (Sender, Server) {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let mut builder = server::Builder::new();
        builder.max_concurrent_streams(at_once);
        let (opened, server) = tokio::join!(open(ours, keepalive, Arc::default()), builder.handshake(theirs));
        let (sender, connection) = opened.unwrap();
        tokio::spawn(connection);
        (sender, server.unwrap())
    }

    fn call(sender: &Sender) -> tokio::task::JoinHandle<Result<(BytesMut, HeaderMap), Failure>> {
        let sender = sender.clone();
        tokio::spawn(async move {
            let (response, in_flight) =
                sender.send(Request::new(()), Bytes::from_static(b"question"), || ()).await?;
            let whole = read(&mut response.into_body(), 100).await.map_err(Failure::Lost)?;
            in_flight.finish();
            Ok(whole.expect("a short answer"))
        })
    }

    async fn next(server: &mut Server) -> SendResponse<Bytes> {
        server.accept().await.unwrap().unwrap().1
    }

    fn answer(mut to: SendResponse<Bytes>) {
        let mut body = to.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from_static(b"ans"), false).unwrap();
        body.send_data(Bytes::from_static(b"wer"), false).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
        body.send_trailers(trailers).unwrap();
    }

    #[tokio::test]
    async fn response_has_its_trailers() {
        let (sender, mut server) = connected(10, None).await;
        let call = call(&sender);
        answer(next(&mut server).await);
        tokio::spawn(async move { while server.accept().await.is_some() {} });
        let (body, trailers) = call.await.unwrap().ok().unwrap();
        assert_eq!((&body[..], trailers.len()), (&b"answer"[..], 1));
        assert!(!sender.is_closed());
    }

    #[tokio::test]
    async fn request_waiting_for_a_stream_was_not_sent() {
        let (sender, mut server) = connected(1, None).await;
        let first = call(&sender);
        let begun = next(&mut server).await;
        // One more request waits inside `send` for the server's limit, and further ones wait for its lock.
        let others: Vec<_> = (0..3).map(|_| call(&sender)).collect();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        drop((begun, server));
        assert!(matches!(first.await.unwrap(), Err(Failure::Lost(_))));
        let mut unsent = 0;
        for other in others {
            unsent += usize::from(matches!(other.await.unwrap(), Err(Failure::Unseen(_))));
        }
        assert_eq!(unsent, 2);
        assert!(sender.is_closed());
    }

    #[tokio::test]
    async fn refused_stream_was_not_processed() {
        let (sender, mut server) = connected(10, None).await;
        let (refused, failed) = (call(&sender), call(&sender));
        next(&mut server).await.send_reset(Reason::REFUSED_STREAM);
        next(&mut server).await.send_reset(Reason::INTERNAL_ERROR);
        tokio::spawn(async move { while server.accept().await.is_some() {} });
        assert!(matches!(refused.await.unwrap(), Err(Failure::Unseen(_))));
        assert!(matches!(failed.await.unwrap(), Err(Failure::Lost(_))));
    }

    #[tokio::test]
    async fn request_after_the_last_stream_of_goaway_was_not_processed() {
        let (sender, mut server) = connected(10, None).await;
        let seen = call(&sender);
        let _begun = next(&mut server).await;
        let unseen = call(&sender);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        server.abrupt_shutdown(Reason::NO_ERROR);
        tokio::spawn(async move { while server.accept().await.is_some() {} });
        assert!(matches!(unseen.await.unwrap(), Err(Failure::Unseen(_))));
        assert!(matches!(seen.await.unwrap(), Err(Failure::Lost(_))));
    }

    #[tokio::test]
    async fn requests_before_a_graceful_shutdown_are_answered() {
        let (sender, mut server) = connected(10, None).await;
        let call = call(&sender);
        let begun = next(&mut server).await;
        server.graceful_shutdown();
        let serving = tokio::spawn(async move { while server.accept().await.is_some() {} });
        time::timeout(LONG, async {
            while !sender.is_closed() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        assert!(!call.is_finished());
        answer(begun);
        assert!(call.await.unwrap().is_ok());
        time::timeout(LONG, serving).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn draining_connection_answers_pings() {
        let (sender, mut server) = connected(10, None).await;
        let (given_up, other) = (call(&sender), call(&sender));
        let (_first, begun) = (next(&mut server).await, next(&mut server).await);
        server.graceful_shutdown();
        tokio::spawn(async move { while server.accept().await.is_some() {} });
        time::timeout(LONG, async {
            while !sender.is_closed() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        given_up.abort();
        assert!(given_up.await.is_err());
        time::timeout(LONG, sender.liveness.settle(sender.liveness.pings(), LONG)).await.unwrap();
        assert!(!sender.liveness.is_aborted());
        answer(begun);
        assert!(other.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn calls_to_a_silent_server_are_lost() {
        let soon = Duration::from_millis(20);
        let (sender, mut server) = connected(10, Some(Keepalive { interval: soon, timeout: soon })).await;
        let call = call(&sender);
        let _begun = next(&mut server).await;
        // The server isn't driven any more, so it answers no PING.
        assert!(matches!(time::timeout(LONG, call).await.unwrap().unwrap(), Err(Failure::Lost(_))));
        assert!(sender.is_closed());
    }

    #[tokio::test]
    async fn connection_closes_when_its_last_sender_is_dropped() {
        let (sender, mut server) = connected(10, None).await;
        let liveness = sender.liveness.clone();
        drop(sender);
        // The server sees the end of the connection.
        assert!(!matches!(time::timeout(LONG, server.accept()).await.unwrap(), Some(Ok(_))));
        drop(server);
        while !liveness.is_closed() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn late_answers_to_many_given_up_requests_cost_no_connection() {
        let (sender, mut server) = connected(10_000, None).await;
        let first = call(&sender);
        answer(next(&mut server).await);
        while !first.is_finished() {
            assert!(poll_once(server.accept()).await.is_pending());
            tokio::task::yield_now().await;
        }

        let mut requests: Vec<_> =
            (0..1100).map(|_| Box::pin(sender.send(Request::new(()), Bytes::new(), || ()))).collect();
        for request in &mut requests {
            assert!(poll_once(request.as_mut()).await.is_pending());
        }
        for _ in 0..requests.len() {
            next(&mut server).await.send_response(Response::new(()), true).unwrap();
        }
        // The answers are on their way when the requests are given up.
        assert!(poll_once(server.accept()).await.is_pending());
        drop(requests);
        let last = call(&sender);
        tokio::spawn(async move {
            while let Some(Ok((_, to))) = server.accept().await {
                answer(to);
            }
        });
        assert!(time::timeout(LONG, last).await.unwrap().unwrap().is_ok());
    }

    async fn poll_once<T>(work: impl Future<Output = T>) -> Poll<T> {
        let mut work = pin!(work);
        tokio::task::unconstrained(poll_fn(|context| Poll::Ready(work.as_mut().poll(context)))).await
    }

    #[tokio::test]
    async fn aborted_connection_is_closed_before_its_requests_end() {
        let (sender, mut server) = connected(10, None).await;
        let call = call(&sender);
        let _begun = next(&mut server).await;
        time::timeout(LONG, sender.liveness.abort()).await.unwrap();
        assert!(matches!(call.await.unwrap(), Err(Failure::Lost(_))));
        assert!(sender.is_closed() && sender.liveness.is_aborted());
    }

    #[tokio::test]
    async fn abandoned_request_is_settled_by_a_ping() {
        let (sender, mut server) = connected(10, None).await;
        let call = call(&sender);
        let _begun = next(&mut server).await;
        call.abort();
        assert!(call.await.is_err());
        assert!(sender.liveness.must_discard());
        let given_up = sender.liveness.pings();
        tokio::spawn(async move { while server.accept().await.is_some() {} });
        time::timeout(LONG, sender.liveness.settle(given_up, LONG)).await.unwrap();
        assert!(!sender.is_closed() && !sender.liveness.must_discard());
    }
}
