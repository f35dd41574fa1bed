//! Connects through an HTTP proxy (CONNECT, RFC 9110).

use base64::{Engine, prelude::BASE64_STANDARD};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use super::socket::Socket;
use crate::{
    config::{Address, Proxy},
    model::{
        error::{Error, Result},
        status::Status,
    },
};

/// The largest head of the proxy's answer.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Asks the proxy at the other end of `stream` to connect to `address`.
pub async fn tunnel(mut stream: Socket, proxy: &Proxy, address: &Address) -> Result<Socket> {
    let broken = |why: &str| {
        let proxy = &proxy.address.text;
        let step = "is it an HTTP proxy?";
        Error::new(Status::Unavailable, format!("the proxy {proxy} gave no answer: {why}; {step}"))
    };
    let request = request(proxy, address);
    stream.write_all(request.as_bytes()).await.map_err(|why| broken(&why.to_string()))?;
    let head = read_head(&mut stream).await.map_err(|why| broken(&why))?;
    let status = status_of(&head).ok_or_else(|| broken("its answer isn't HTTP/1"))?;
    if (200..300).contains(&status) { Ok(stream) } else { Err(refused(status, proxy, address)) }
}

fn request(proxy: &Proxy, address: &Address) -> Zeroizing<String> {
    let target = &address.text;
    let mut request = Zeroizing::new(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"));
    if let Some((user, password)) = &proxy.basic_auth {
        let pair = Zeroizing::new(format!("{user}:{}", &**password));
        let pair = Zeroizing::new(BASE64_STANDARD.encode(pair.as_bytes()));
        request.push_str("Proxy-Authorization: Basic ");
        request.push_str(&pair);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    request
}

/// Reads up to the empty line and no further: the bytes after it are the server's.
async fn read_head(stream: &mut Socket) -> std::result::Result<Vec<u8>, String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD_BYTES {
            return Err("the head of its answer is too long".to_owned());
        }
        // Byte by byte is good enough for a short head, read once per connection.
        head.push(stream.read_u8().await.map_err(|why| why.to_string())?);
    }
    Ok(head)
}

/// Returns the number in `HTTP/1.1 200 OK`.
fn status_of(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

fn refused(http_status: u16, proxy: &Proxy, address: &Address) -> Error {
    let (status, step) = match http_status {
        407 if proxy.basic_auth.is_none() => (
            Status::Unauthenticated,
            "it requires a user and a password: give proxy.basic_auth_user and proxy.basic_auth_password",
        ),
        407 => (Status::Unauthenticated, "it doesn't accept this user and password"),
        401 | 403 | 405 => (Status::PermissionDenied, "allow the connection there"),
        _ => (Status::Unavailable, "check that the server is up, and that the proxy can reach it"),
    };
    let (proxy, target) = (&proxy.address.text, &address.text);
    Error::new(
        status,
        format!("the proxy {proxy} refuses to connect to {target}: HTTP status {http_status}; {step}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_http_answer_has_a_status() {
        assert_eq!(status_of(b"HTTP/1.1 200 Connection established\r\n\r\n"), Some(200));
        assert_eq!(status_of(b"HTTP/1.0 407\r\n\r\n"), Some(407));
        for other in [&b"\x15\x03\x01"[..], b"HTTP/2 200\r\n\r\n", b"", b"200\r\n\r\n"] {
            assert_eq!(status_of(other), None);
        }
    }
}
