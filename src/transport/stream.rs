//! The byte stream of a connection, encrypted or not. It reports the peer's first bytes.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf},
    sync::oneshot,
};

use super::liveness::Liveness;

/// How many first bytes are reported: the header of an HTTP/2 frame.
pub const OPENING_BYTES: usize = 9;

/// The peer's first bytes, or the error that came instead.
#[derive(Debug)]
pub enum Opening {
    /// The first bytes; fewer than [`OPENING_BYTES`] if the stream then ended or failed.
    Received(Vec<u8>),
    /// The connection failed before any byte.
    Failed(io::Error),
}

/// The default limit of a frame's payload, with room for its header. h2 writes header and payload separately, and
/// without the buffer each would become a separate packet or TLS record.
const WRITE_BUFFER_BYTES: usize = 16 * 1024 + 16;

/// A plain or encrypted byte stream.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for T {}

/// The stream of a connection.
pub struct Stream {
    bytes: BufWriter<Box<dyn ByteStream>>,
    liveness: Arc<Liveness>,
    /// Until the opening is complete: its bytes so far, and the channel to report it on.
    opening: Option<(Vec<u8>, oneshot::Sender<Opening>)>,
}

impl Stream {
    /// Creates the stream, and a channel that receives the peer's opening.
    pub fn new(bytes: Box<dyn ByteStream>, liveness: Arc<Liveness>) -> (Self, oneshot::Receiver<Opening>) {
        let (sender, receiver) = oneshot::channel();
        let bytes = BufWriter::with_capacity(WRITE_BUFFER_BYTES, bytes);
        (Stream { bytes, liveness, opening: Some((Vec::new(), sender)) }, receiver)
    }

    /// Adds freshly read bytes to the opening, and reports it when it is complete.
    fn record_opening(&mut self, read: &io::Result<()>, fresh: &[u8]) {
        let Some((mut first, sender)) = self.opening.take() else { return };
        first.extend(fresh.iter().take(OPENING_BYTES - first.len()));
        let opening = match read {
            Ok(()) if !fresh.is_empty() && first.len() < OPENING_BYTES => {
                self.opening = Some((first, sender));
                return;
            }
            Err(why) if first.is_empty() => Opening::Failed(copy(why)),
            Ok(()) | Err(_) => Opening::Received(first),
        };
        // The receiver may have been dropped.
        let _ = sender.send(opening);
    }
}

/// Copies an error, which `io::Error` can't do. Keeps a TLS error as its source; others become text.
fn copy(why: &io::Error) -> io::Error {
    match why.get_ref().and_then(|inner| inner.downcast_ref::<tokio_rustls::rustls::Error>()) {
        Some(inner) => io::Error::new(why.kind(), inner.clone()),
        None => io::Error::new(why.kind(), why.to_string()),
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.bytes).poll_read(context, buffer));
        if buffer.filled().len() > before {
            self.liveness.received();
        }
        if self.opening.is_some() {
            self.record_opening(&read, buffer.filled().get(before..).unwrap_or_default());
        }
        Poll::Ready(read)
    }
}

/// Not vectored, so that h2 combines small requests of many callers into one write. A vectored write would also use
/// `writev`, which raises SIGPIPE on a connection that the peer has closed, perhaps in one of the host's threads.
impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.bytes).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use h2::{client, server};
    use tokio::io::DuplexStream;

    use super::*;

    /// Counts the writes to it.
    struct Counted(DuplexStream, Arc<AtomicUsize>);

    impl AsyncRead for Counted {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(context, buffer)
        }
    }

    impl AsyncWrite for Counted {
        fn poll_write(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.1.fetch_add(1, Ordering::SeqCst);
            Pin::new(&mut self.0).poll_write(context, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(context)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(context)
        }
    }

    /// Returns how many writes it takes to begin `requests` requests of `size` bytes at the same time.
    async fn writes(requests: usize, size: usize) -> usize {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let count = Arc::new(AtomicUsize::new(0));
        let (stream, _opening) = Stream::new(Box::new(Counted(ours, count.clone())), Arc::default());
        let (mut client, connection) = client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut server = server::handshake(theirs).await.unwrap();
        let before = count.load(Ordering::SeqCst);
        // Kept, because dropping a request cancels it.
        let mut waiting = Vec::new();
        for _ in 0..requests {
            let (response, mut body) = client.send_request(http::Request::new(()), false).unwrap();
            body.send_data(vec![0; size].into(), true).unwrap();
            waiting.push((response, body));
        }
        let mut bodies = Vec::new();
        for _ in 0..requests {
            bodies.push(server.accept().await.unwrap().unwrap().0.into_body());
        }
        tokio::spawn(async move { while server.accept().await.is_some() {} });
        for mut body in bodies {
            while body.data().await.is_some() {}
        }
        count.load(Ordering::SeqCst) - before
    }

    #[tokio::test]
    async fn small_requests_share_a_write_and_a_large_one_needs_one() {
        // One of the writes may be the acknowledgement of the handshake.
        assert!(writes(10, 500).await <= 2);
        assert!(writes(1, 5000).await <= 2);
    }
}
