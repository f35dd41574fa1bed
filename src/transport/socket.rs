//! A TCP connection that is this process's alone: a child of a fork doesn't keep it.

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

use crate::sys::{descriptor::apart, private::Private};

/// A connected socket.
pub struct Socket {
    /// Dropped first.
    _private: Private,
    stream: TcpStream,
}

impl Socket {
    /// To the first address of `host` that takes the connection.
    pub async fn connect(host: &str, port: u16) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in lookup_host((host, port)).await? {
            match Self::to(address).await {
                Ok(socket) => return Ok(socket),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn to(address: SocketAddr) -> io::Result<Self> {
        let new = if address.is_ipv4() { TcpSocket::new_v4 } else { TcpSocket::new_v6 };
        let socket = apart(new)?;
        let private = Private::new(socket.as_raw_fd());
        // Without it each call waits for the peer's delayed acknowledgement, 40 ms.
        socket.set_nodelay(true)?;
        // A child that is forked while this closes the socket looks at what is behind its number before it closes that.
        let stream = socket.connect(address).await?;
        Ok(Socket { _private: private, stream })
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
