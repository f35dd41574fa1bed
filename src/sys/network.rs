//! Names and TCP connections.

use std::{
    io,
    net::SocketAddr,
    os::fd::AsRawFd,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpSocket, TcpStream, lookup_host},
};

#[cfg(test)]
use super::simulated;
use super::{descriptor::apart, fork_private::Private};

/// A connection to a server.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send {
    /// Has the close discard what the connection still has to send, and reset it.
    fn discard_unsent(&self);
}

/// Returns the addresses of a name.
pub async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    #[cfg(test)]
    if let Some(world) = simulated::world() {
        return world.resolve(host, port).await;
    }
    Ok(lookup_host((host, port)).await?.collect())
}

/// Connects to `address`. A child of a fork doesn't keep the connection.
pub async fn connect(address: SocketAddr) -> io::Result<Box<dyn Connection>> {
    #[cfg(test)]
    if let Some(world) = simulated::world() {
        return world.connect(address).await;
    }
    let new = if address.is_ipv4() { TcpSocket::new_v4 } else { TcpSocket::new_v6 };
    let socket = apart(new)?;
    let private = Private::new(socket.as_raw_fd());
    // Without it each call waits for the peer's delayed acknowledgement, 40 ms.
    socket.set_nodelay(true)?;
    // A child that is forked while this closes the socket checks the file behind the descriptor before it closes that.
    Ok(Box::new(Tcp { _private: private, stream: socket.connect(address).await? }))
}

struct Tcp {
    /// Dropped first.
    _private: Private,
    stream: TcpStream,
}

impl Connection for Tcp {
    fn discard_unsent(&self) {
        // With a linger time of zero, closing discards the buffer and resets the connection.
        let _ = self.stream.set_zero_linger();
    }
}

impl AsyncRead for Tcp {
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
impl AsyncWrite for Tcp {
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
