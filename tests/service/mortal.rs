//! Connections that die in the middle of whatever they carry, of age, or of slowness.

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

/// The time from one byte to the next on a connection that has become slow.
const SLOWNESS: Duration = Duration::from_secs(1);

/// How long a connection lasts, and who hears of its end.
pub struct Life {
    /// At this age the server says GOAWAY, and ends the connection when what has begun is answered.
    pub age: Duration,
    /// How many bytes it carries, in both directions together.
    pub bytes: usize,
    /// Called when it dies of that.
    pub epitaph: Box<dyn FnOnce() + Send>,
}

impl Life {
    pub fn immortal() -> Self {
        Life { age: Duration::MAX, bytes: usize::MAX, epitaph: Box::new(|| ()) }
    }
}

/// A connection that ends when it has carried its last byte.
pub struct Mortal {
    stream: TcpStream,
    left: usize,
    epitaph: Option<Box<dyn FnOnce() + Send>>,
    slow: Arc<AtomicBool>,
    /// Until when a slow connection takes nothing.
    pause: Pin<Box<Sleep>>,
}

impl Mortal {
    /// Becomes slow when `slow` does: then it sends a byte a second.
    pub fn new(stream: TcpStream, life: Life, slow: Arc<AtomicBool>) -> Self {
        let pause = Box::pin(sleep(Duration::ZERO));
        Mortal { stream, left: life.bytes, epitaph: Some(life.epitaph), slow, pause }
    }

    /// The bytes that are left, of which there is one at least.
    fn left(&mut self) -> io::Result<usize> {
        if self.left == 0 {
            if let Some(epitaph) = self.epitaph.take() {
                epitaph();
            }
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(self.left)
    }
}

impl AsyncRead for Mortal {
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

impl AsyncWrite for Mortal {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut left = self.left()?;
        if self.slow.load(Ordering::SeqCst) {
            ready!(self.pause.as_mut().poll(context));
            self.pause.as_mut().reset(Instant::now() + SLOWNESS);
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
