//! The bytes of a connection, encrypted or not; what the other side says first is looked at.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};
use tokio_rustls::client::TlsStream;

use super::socket::Socket;

/// How much of what comes first is looked at: the head of an HTTP/2 frame.
pub const OPENING_BYTES: usize = 9;

/// How the other side began.
#[derive(Debug)]
pub enum Opening {
    /// With these bytes; fewer than [`OPENING_BYTES`] when it ended then.
    Said(Vec<u8>),
    /// Not at all: the connection failed.
    Failed(io::Error),
}

/// A connection to read from and write to.
pub struct Stream {
    bytes: Bytes,
    /// Until the opening is complete: what there is of it, and who wants to know.
    opening: Option<(Vec<u8>, oneshot::Sender<Opening>)>,
}

/// Plain or encrypted.
pub enum Bytes {
    /// As they are.
    Plain(Socket),
    /// Encrypted.
    Tls(Box<TlsStream<Socket>>),
}

impl Stream {
    /// The stream, and how the other side will have begun.
    pub fn new(bytes: Bytes) -> (Self, oneshot::Receiver<Opening>) {
        let (tell, opening) = oneshot::channel();
        (Stream { bytes, opening: Some((Vec::new(), tell)) }, opening)
    }

    fn look_at(&mut self, read: &io::Result<()>, fresh: &[u8]) {
        let Some((mut said, tell)) = self.opening.take() else { return };
        said.extend(fresh.iter().take(OPENING_BYTES - said.len()));
        let opening = match read {
            Ok(()) if !fresh.is_empty() && said.len() < OPENING_BYTES => {
                self.opening = Some((said, tell));
                return;
            }
            Err(why) if said.is_empty() => Opening::Failed(copy(why)),
            Ok(()) | Err(_) => Opening::Said(said),
        };
        // Whoever wanted to know may have given up.
        let _ = tell.send(opening);
    }
}

/// An error with what stands behind it, which `io::Error` doesn't copy itself.
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
        let read = ready!(match &mut self.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Bytes::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        });
        if self.opening.is_some() {
            self.look_at(&read, buffer.filled().get(before..).unwrap_or_default());
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Bytes::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_flush(context),
            Bytes::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Bytes::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Bytes::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.bytes {
            Bytes::Plain(stream) => stream.is_write_vectored(),
            Bytes::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
