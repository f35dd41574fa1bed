//! Serves the metrics to Prometheus over HTTP, on the I/O thread.
//!
//! Each connection has one request, of which only the first line matters, so this is written here: the server of
//! hyper would make the library a tenth larger.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    net::{SocketAddr, TcpListener},
    os::fd::AsRawFd,
    thread,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::AbortHandle,
};

use crate::{
    model::{
        error::{Error, Result},
        status::Status,
    },
    sys::{descriptor::apart, fork_private::Private},
};

/// The path of the metrics.
const PATH: &str = "/metrics";
/// The media types of the metrics and of other answers.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
/// The end of a request's head, and the largest head.
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const MAX_HEAD: usize = 16 * 1024;
/// The most connections at once. A further one ends the oldest, which is probably idle: an answer takes milliseconds.
const MAX_CONNECTIONS: usize = 8;
/// The longest time of one connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client that was just disconnected may still hold the address.
const HANDOVER: Duration = Duration::from_millis(500);
/// The pause after `accept` failed for lack of descriptors.
const PAUSE: Duration = Duration::from_secs(1);

/// A listening socket.
pub struct Listener {
    /// Dropped before the socket.
    private: Private,
    socket: TcpListener,
}

impl Listener {
    /// Listens on `address`, the value of the option `option`.
    pub fn bind(option: &str, address: SocketAddr) -> Result<Self> {
        let last = Instant::now() + HANDOVER;
        let socket = loop {
            match apart(|| TcpListener::bind(address)) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < last => {
                    thread::sleep(HANDOVER / 20);
                }
                bound => break bound,
            }
        };
        let ready = socket.and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
        let socket = ready.map_err(|error| {
            let step = "give another address, or port 0 for any that is free";
            Error::new(Status::Config, format!("{option}: can't listen at {address}: {error}; {step}"))
        })?;
        Ok(Listener { private: Private::new(socket.as_raw_fd()), socket })
    }

    /// Returns the address it listens on, with the port that the system chose for port 0.
    pub fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// Answers requests with the output of `text`, until it is dropped.
    pub async fn serve(self, text: impl Fn() -> String + Clone + Send + Sync + 'static) {
        let Listener { private, socket } = self;
        let Ok(socket) = tokio::net::TcpListener::from_std(socket) else { return };
        // Declared after the socket, so that it is dropped before it.
        let _private = private;
        let mut connections = VecDeque::new();
        loop {
            let accepted = poll_fn(|context| apart(|| socket.poll_accept(context))).await;
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            connections.retain(|connection: &AbortHandle| !connection.is_finished());
            if connections.len() >= MAX_CONNECTIONS
                && let Some(oldest) = connections.pop_front()
            {
                oldest.abort();
            }
            // A client that is too slow is disconnected. Its errors don't matter.
            let attended = tokio::time::timeout(CONNECTION_TIMEOUT, attend(stream, text.clone()));
            connections.push_back(tokio::spawn(async move { drop(attended.await) }).abort_handle());
        }
    }
}

/// Reads one request, answers it, and closes the connection. A new connection every few seconds costs little.
async fn attend(mut stream: TcpStream, text: impl Fn() -> String + Send + Sync) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(END_OF_HEAD.len()).any(|bytes| bytes == END_OF_HEAD) {
        if head.len() > MAX_HEAD || stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    stream.write_all(answer(&head, text).as_bytes()).await?;
    stream.shutdown().await?;
    // Closing with unread bytes would reset the connection, and the client could lose the answer.
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Returns the complete answer. Only the first line of the request's head matters: `GET /metrics HTTP/1.1`.
fn answer(head: &[u8], text: impl Fn() -> String) -> String {
    let whole = head.windows(END_OF_HEAD.len()).any(|bytes| bytes == END_OF_HEAD);
    let line = head.split(|byte| *byte == b'\r').next().and_then(|line| std::str::from_utf8(line).ok());
    let words: Vec<_> = line.filter(|_| whole).unwrap_or_default().split(' ').collect();
    let (method, path) = match words[..] {
        [method, target, version] if version.starts_with("HTTP/1.") => {
            (method, target.split('?').next().unwrap_or_default())
        }
        _ => ("", ""),
    };
    let (status, kind, body) = match (method, path) {
        ("", _) => ("400 Bad Request", PLAIN, "this is no request\n".to_owned()),
        ("GET" | "HEAD", PATH) => ("200 OK", EXPOSITION, text()),
        ("GET" | "HEAD", _) => ("404 Not Found", PLAIN, format!("the metrics are at {PATH}\n")),
        _ => ("405 Method Not Allowed", PLAIN, "GET only\n".to_owned()),
    };
    let length = body.len();
    let body = if method == "HEAD" { "" } else { &body };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nAllow: GET, HEAD\r\nConnection: close\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_line(request: &[u8]) -> String {
        answer(request, || "x 1\n".to_owned()).lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn only_valid_requests_for_the_metrics_succeed() {
        for (request, status) in [
            (&b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"[..], "HTTP/1.1 200 OK"),
            (b"GET /metrics?x=1 HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK"),
            (b"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found"),
            (b"POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"),
            (b"GET /metrics HTTP/1.1\r\n", "HTTP/1.1 400 Bad Request"),
            (b"PRI * HTTP/2.0\r\n\r\n", "HTTP/1.1 400 Bad Request"),
            (b"\xff\x00\r\n\r\n", "HTTP/1.1 400 Bad Request"),
            (b"", "HTTP/1.1 400 Bad Request"),
        ] {
            assert_eq!(first_line(request), status, "{:?}", String::from_utf8_lossy(request));
        }
    }

    #[test]
    fn head_request_gets_no_body() {
        let answer = answer(b"HEAD /metrics HTTP/1.1\r\n\r\n", || "x 1\n".to_owned());
        assert!(answer.contains("Content-Length: 4\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    }
}
