//! The address of a server or proxy.

use std::path::PathBuf;

use crate::model::error::{Error, Result};

/// What a server behind a socket in the file system is called in requests and certificates.
const LOCAL_HOST: &str = "localhost";

/// A host and a port, or a socket in the file system.
#[derive(Clone, Debug, PartialEq)]
pub struct Address {
    /// A name or an IP address; an IPv6 address without brackets.
    pub host: String,
    /// The port; 0 for a socket in the file system.
    pub port: u16,
    /// The path of a socket in the file system.
    pub path: Option<PathBuf>,
    /// The address as it was given.
    pub text: String,
}

impl Address {
    /// Returns the authority of requests, unless another one is given.
    pub fn authority(&self) -> &str {
        if self.path.is_some() { LOCAL_HOST } else { &self.text }
    }

    /// Parses `host:port` or `unix:path`. Errors name `source`.
    pub fn parse(source: &str, text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            let wanted = "must be host:port or unix:path, e.g. 127.0.0.1:7233";
            Error::config(format!("{source} {wanted}: {why}"))
        };
        if let Some(path) = text.strip_prefix("unix:") {
            // Clients of gRPC also write unix:///path.
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                return Err(wrong("it has no path"));
            }
            let (host, path) = (LOCAL_HOST.to_owned(), Some(path.into()));
            return Ok(Address { host, port: 0, path, text: text.to_owned() });
        }
        // What gRPC clients in Go write for a name that is resolved by DNS.
        let text = text.strip_prefix("dns:///").unwrap_or(text);
        if text.contains("://") {
            return Err(wrong("it has a scheme; leave that out"));
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("it has no port"))?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(|| wrong("its port is invalid"))?;
        let host = match host.strip_prefix('[').map(|host| host.strip_suffix(']')) {
            Some(Some(inner)) => inner,
            Some(None) => return Err(wrong("its brackets don't match")),
            None if host.contains(':') => {
                return Err(wrong("an IPv6 address needs brackets, e.g. [::1]:7233"));
            }
            None => host,
        };
        if host.is_empty() {
            return Err(wrong("it has no host"));
        }
        if text.parse::<http::uri::Authority>().is_err() || text.contains('@') {
            return Err(wrong("it has a character that a host can't have"));
        }
        Ok(Address { host: host.to_owned(), port, path: None, text: text.to_owned() })
    }
}
