//! Connections of the fake server that end after a number of bytes or an age, or become slow.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

/// The time from one byte to the next on a slow connection.
const BYTE_INTERVAL: Duration = Duration::from_secs(1);

/// When a connection ends.
pub struct Limits {
    /// At this age the server sends GOAWAY, and closes the connection when the open requests are answered.
    pub age: Duration,
    /// The number of bytes that it carries, in both directions together.
    pub bytes: usize,
    /// Called when the connection ends by its number of bytes.
    pub on_end: Box<dyn FnOnce() + Send>,
}

impl Limits {
    pub fn none() -> Self {
        Limits { age: Duration::MAX, bytes: usize::MAX, on_end: Box::new(|| ()) }
    }
}

/// A connection that ends when it has carried its last byte.
pub struct LimitedConnection {
    stream: TcpStream,
    left: usize,
    on_end: Option<Box<dyn FnOnce() + Send>>,
    slow: Arc<AtomicBool>,
    /// Ends when a slow connection accepts the next byte.
    pause: Pin<Box<Sleep>>,
}

impl LimitedConnection {
    /// Sends one byte per second while `slow` is set.
    pub fn new(stream: TcpStream, limits: Limits, slow: Arc<AtomicBool>) -> Self {
        let pause = Box::pin(sleep(Duration::ZERO));
        LimitedConnection { stream, left: limits.bytes, on_end: Some(limits.on_end), slow, pause }
    }

    /// Returns the number of bytes that are left, at least one. Fails when none is.
    fn left(&mut self) -> io::Result<usize> {
        if self.left == 0 {
            if let Some(on_end) = self.on_end.take() {
                on_end();
            }
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(self.left)
    }
}

impl AsyncRead for LimitedConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.left()?.min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(left));
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut part))?;
        let read = part.filled().len();
        buffer.advance(read);
        self.left -= read;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LimitedConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut left = self.left()?;
        if self.slow.load(Ordering::SeqCst) {
            ready!(self.pause.as_mut().poll(context));
            self.pause.as_mut().reset(Instant::now() + BYTE_INTERVAL);
            left = 1;
        }
        let part = &bytes[..bytes.len().min(left)];
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, part))?;
        self.left -= written;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
