//! Connections that die in the middle of whatever they carry.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// How long a connection lasts, and who hears of its end.
pub struct Life {
    /// How many bytes it carries, in both directions together.
    pub bytes: usize,
    /// Called when it dies of that.
    pub epitaph: Box<dyn FnOnce() + Send>,
}

impl Life {
    pub fn immortal() -> Self {
        Life { bytes: usize::MAX, epitaph: Box::new(|| ()) }
    }
}

/// A connection that ends when it has carried its last byte.
pub struct Mortal {
    stream: TcpStream,
    left: usize,
    epitaph: Option<Box<dyn FnOnce() + Send>>,
}

impl Mortal {
    pub fn new(stream: TcpStream, life: Life) -> Self {
        Mortal { stream, left: life.bytes, epitaph: Some(life.epitaph) }
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
        let left = self.left()?;
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
