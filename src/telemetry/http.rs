//! Lets Prometheus fetch the figures over HTTP, on the I/O thread.
//!
//! One request a connection, of which only the first line matters, is little enough to be written here: hyper's server, of which
//! the client's half is used elsewhere, would make the library larger by a tenth.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::AsRawFd,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
};

use crate::{
    model::{
        error::{Error, Result},
        status::Status,
    },
    sys::fork_private::Private,
};

/// Where the figures are.
const PATH: &str = "/metrics";
/// The text form, in its version; and what else is answered.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
/// What ends the head of a request, and how long that may be.
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const MAX_HEAD: usize = 16 * 1024;
/// How many may fetch at the same time; others wait.
const MAX_CONNECTIONS: usize = 8;
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the client before this one, which was just disconnected, may still hold the address.
const HANDOVER: Duration = Duration::from_millis(500);
/// The pause after an `accept` that failed for lack of descriptors.
const PAUSE: Duration = Duration::from_secs(1);

/// An address that is listened at.
pub struct Listener {
    /// Dropped first.
    private: Private,
    socket: TcpListener,
}

impl Listener {
    /// Listens at `address`, which the option of this name has.
    pub fn bind(option: &str, address: SocketAddr) -> Result<Self> {
        let last = Instant::now() + HANDOVER;
        let socket = loop {
            match TcpListener::bind(address) {
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

    /// Where it listens: with the port that was free, if any was asked for.
    pub fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// Answers whoever comes with what `text` makes, until it is dropped.
    pub async fn serve(self, text: impl Fn() -> String + Clone + Send + Sync + 'static) {
        let Listener { private, socket } = self;
        let Ok(socket) = tokio::net::TcpListener::from_std(socket) else { return };
        // After the socket, so that it is dropped before.
        let _private = private;
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(place) = room.clone().acquire_owned().await else { return };
            let Ok((stream, _)) = socket.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let text = text.clone();
            tokio::spawn(async move {
                // Who is too slow makes room for others. What becomes of him is no matter.
                let _ = tokio::time::timeout(PATIENCE, attend(stream, text)).await;
                drop(place);
            });
        }
    }
}

/// Reads one request, answers it, and closes the connection, which each scrape makes anew then: once in some seconds.
async fn attend(mut stream: TcpStream, text: impl Fn() -> String + Send + Sync) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(END_OF_HEAD.len()).any(|bytes| bytes == END_OF_HEAD) {
        if head.len() > MAX_HEAD || stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    stream.write_all(answer(&head, text).as_bytes()).await?;
    stream.shutdown().await?;
    // Closing with bytes unread would take the answer away from a client who hasn't read it yet.
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// The whole answer to a request, of which the head's first line matters: `GET /metrics HTTP/1.1`.
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
    fn only_the_metrics_are_given_and_only_to_who_asks_properly() {
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
    fn who_asks_for_the_head_alone_gets_no_body() {
        let answer = answer(b"HEAD /metrics HTTP/1.1\r\n\r\n", || "x 1\n".to_owned());
        assert!(answer.contains("Content-Length: 4\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    }
}
