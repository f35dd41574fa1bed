//! A TCP connection that is this process's alone: a child of a fork doesn't keep it.

use std::{
    io,
    net::SocketAddr,
    os::fd::AsRawFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpSocket, TcpStream},
    time::Instant,
};

use super::liveness::Liveness;
use crate::sys::{descriptor::apart, fork_private::Private};

/// A connected socket.
pub struct Socket {
    /// Dropped first.
    _private: Private,
    stream: TcpStream,
    liveness: Arc<Liveness>,
}

impl Socket {
    /// Connects to `address`. When the socket is closed, `liveness` tells what becomes of the bytes that it still has to send.
    pub async fn connect(address: SocketAddr, liveness: Arc<Liveness>) -> io::Result<Self> {
        let new = if address.is_ipv4() { TcpSocket::new_v4 } else { TcpSocket::new_v6 };
        let socket = apart(new)?;
        let private = Private::new(socket.as_raw_fd());
        // Without it each call waits for the peer's delayed acknowledgement, 40 ms.
        socket.set_nodelay(true)?;
        // A child that is forked while this closes the socket looks at what is behind its number before it closes that.
        let started = Instant::now();
        let stream = socket.connect(address).await?;
        liveness.set_round_trip(started.elapsed());
        Ok(Socket { _private: private, stream, liveness })
    }
}

/// Closing a socket in the usual way leaves the system to send what is in its buffer, for minutes if the network is down: a request that
/// was given up would then arrive after a newer one.
impl Drop for Socket {
    fn drop(&mut self) {
        if self.liveness.must_discard() {
            // With a linger time of zero, closing discards the buffer and resets the connection.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

/// Not vectored: that would be `writev`, by which a connection that the peer has closed raises SIGPIPE, in a thread that may be the
/// host's.
impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
