//! The codec server, which encodes all values that are sent, and decodes all that are read.

use std::net::IpAddr;

use http::uri::{Authority, Uri};

use super::{Address, Security, settings::Settings, table};
use crate::model::error::{Error, Result};

/// A codec server.
#[derive(Clone, Debug, PartialEq)]
pub struct Codec {
    /// Its address.
    pub address: Address,
    /// Its name in requests.
    pub authority: Authority,
    /// The path before `/encode` and `/decode`, without a slash at its end.
    pub path: String,
    /// The headers of each request, and the TLS settings.
    pub security: Security,
}

impl Codec {
    /// Returns whether it runs on this computer.
    pub fn is_on_this_computer(&self) -> bool {
        is_this_computer(&self.address.host)
    }

    /// Reads the options of the codec server, if there is one.
    pub fn from_settings(settings: &Settings, namespace: &str) -> Result<Option<Self>> {
        if settings.is_turned_off(&table::CODEC_ENDPOINT) {
            return Ok(None);
        }
        let Some(endpoint) = settings.text(&table::CODEC_ENDPOINT) else {
            let rest = table::KEYS.iter().filter(|key| key.name.starts_with("codec_") && settings.has(key));
            return match rest.map(|key| settings.source(key)).next() {
                None => Ok(None),
                Some(source) => Err(Error::config(format!(
                    "{source} is given without {} (TEMPORAL_CODEC_ENDPOINT)",
                    table::CODEC_ENDPOINT.name
                ))),
            };
        };
        let source = settings.source(&table::CODEC_ENDPOINT);
        let wrong = |why: &str| {
            let wanted = "must be a URL, e.g. https://codec.example.com:8081/{namespace}";
            Error::config(format!("{source} {wanted}: {why}"))
        };
        if endpoint.replace("{namespace}", "").contains(['{', '}']) {
            return Err(wrong("only {namespace} is replaced in it"));
        }
        let url: Uri = endpoint
            .replace("{namespace}", namespace)
            .parse()
            .map_err(|_| wrong("it can't be read as one"))?;
        let authority = url.authority().ok_or_else(|| wrong("it has no host"))?.clone();
        if authority.as_str().contains('@') {
            return Err(wrong(&format!("it has a user: give {} instead", table::CODEC_AUTH.name)));
        }
        if url.query().is_some() {
            return Err(wrong("it has a query"));
        }
        let is_https = match url.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("it begins with neither https:// nor http://")),
        };
        let port = authority.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let address = Address::parse(&source, &format!("{}:{port}", authority.host()))?;
        let allowed = settings.text(&table::CODEC_HTTP_HOST);
        if !is_https && !is_this_computer(&address.host) && allowed.as_deref() != Some(&address.host) {
            return Err(Error::config(format!(
                "{source} reaches {} by http, so values would be readable on their way: use https, or name the host in {}",
                address.host,
                table::CODEC_HTTP_HOST.name
            )));
        }
        let security = Security::of_codec(settings, is_https, &address.host)?;
        let path = url.path().trim_end_matches('/').to_owned();
        Ok(Some(Codec { address, authority, path, security }))
    }
}

fn is_this_computer(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
