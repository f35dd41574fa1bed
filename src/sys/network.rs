//! Names and connections.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    os::fd::AsRawFd,
    path::Path,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream, UnixSocket, UnixStream},
};

#[cfg(test)]
use super::simulated;
use super::{blocking, descriptor::apart, fork_private::Private};

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
    if let Ok(address) = host.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let host = host.to_owned();
    let resolve = move || apart(|| (host.as_str(), port).to_socket_addrs());
    let resolved = blocking::run(resolve).await??;
    Ok(resolved.collect())
}

/// A connection that a child of a fork doesn't keep.
pub struct Connected {
    /// Dropped first. A simulated connection has none.
    _private: Option<Private>,
    pub stream: Box<dyn Connection>,
}

/// Connects to `address`.
pub async fn connect(address: SocketAddr) -> io::Result<Connected> {
    #[cfg(test)]
    if let Some(world) = simulated::world() {
        return Ok(Connected { _private: None, stream: world.connect(address).await? });
    }
    let new = if address.is_ipv4() { TcpSocket::new_v4 } else { TcpSocket::new_v6 };
    let socket = apart(new)?;
    let private = Private::new(socket.as_raw_fd());
    // Without it each call waits for the peer's delayed acknowledgement, 40 ms.
    socket.set_nodelay(true)?;
    // A child that is forked while this closes the socket checks the file behind the descriptor before it closes that.
    Ok(Connected { _private: Some(private), stream: Box::new(socket.connect(address).await?) })
}

/// Connects to the socket at `path` in the file system.
pub async fn connect_to_path(path: &Path) -> io::Result<Connected> {
    let socket = apart(UnixSocket::new_stream)?;
    let private = Private::new(socket.as_raw_fd());
    Ok(Connected { _private: Some(private), stream: Box::new(socket.connect(path).await?) })
}

impl Connection for UnixStream {
    fn discard_unsent(&self) {
        // Nothing is unsent: what was written is already with the peer.
    }
}

impl Connection for TcpStream {
    fn discard_unsent(&self) {
        // With a linger time of zero, closing discards the buffer and resets the connection.
        let _ = self.set_zero_linger();
    }
}
