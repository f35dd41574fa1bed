//! A connection that only this process has: a forked child closes its copy.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::liveness::Liveness;
use crate::sys::network::Connected;

/// A connected socket.
pub struct Socket {
    connected: Connected,
    liveness: Arc<Liveness>,
}

impl Socket {
    /// Waits for a connection. On close, `liveness` decides whether the unsent bytes are discarded.
    pub async fn open(
        connecting: impl Future<Output = io::Result<Connected>>,
        liveness: Arc<Liveness>,
    ) -> io::Result<Self> {
        let started = Instant::now();
        let connected = connecting.await?;
        liveness.set_round_trip(started.elapsed());
        Ok(Socket { connected, liveness })
    }
}

/// Discards the send buffer if necessary. After a normal close the kernel keeps sending it, for minutes if the
/// network is down. A given-up request would then arrive after a newer one.
impl Drop for Socket {
    fn drop(&mut self) {
        if self.liveness.must_discard() {
            self.connected.stream.discard_unsent();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connected.stream).poll_read(context, buffer)
    }
}

/// Not vectored: that would use `writev`, which raises SIGPIPE on a connection that the peer has closed, perhaps in
/// one of the host's threads.
impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connected.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connected.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connected.stream).poll_shutdown(context)
    }
}
