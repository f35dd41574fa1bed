//! The address of a server or proxy.

use crate::model::error::{Error, Result};

/// A host and a port.
#[derive(Clone, Debug, PartialEq)]
pub struct Address {
    /// A name or an IP address; an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The address as it was given.
    pub authority: String,
}

impl Address {
    /// Parses `host:port`. Errors name `source`.
    pub fn parse(source: &str, text: &str) -> Result<Self> {
        let wrong =
            |why: &str| Error::config(format!("{source} must be host:port, e.g. 127.0.0.1:7233: {why}"));
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
        Ok(Address { host: host.to_owned(), port, authority: text.to_owned() })
    }
}
