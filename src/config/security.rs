//! The places of the credentials and TLS settings. Their contents are read later.

use std::{fmt, path::PathBuf};

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio_rustls::rustls::pki_types::ServerName;

use super::{
    Address,
    settings::Settings,
    table::{self, KEYS, Key},
};
use crate::model::{
    error::{Error, Result},
    secret::{self, Secret},
};

/// Everything about a connection that can be changed while connected.
#[derive(Clone, Debug, PartialEq)]
pub struct Security {
    /// The API key.
    pub api_key: Option<Origin>,
    /// Headers of every request.
    pub headers: Headers,
    /// How the connection is encrypted; `None`: it isn't.
    pub tls: Option<Tls>,
}

/// The TLS settings of a connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Tls {
    /// The group of these options.
    pub options: &'static str,
    /// The CAs that may sign the server's certificate; `None`: the system's trusted CAs.
    pub server_ca_cert: Option<Origin>,
    /// The client certificate and its key.
    pub client_cert: Option<(Origin, Origin)>,
    /// The name that the server's certificate must be valid for.
    pub server_name: ServerName<'static>,
    /// Whether the certificate may be valid for another name.
    pub disable_host_verification: bool,
}

/// The options from which TLS settings are read.
struct TlsKeys {
    ca: (&'static Key, &'static Key),
    cert: (&'static Key, &'static Key),
    key: (&'static Key, &'static Key),
    server_name: &'static Key,
    disable_host_verification: &'static Key,
    /// The option with the address.
    address: &'static Key,
}

static TEMPORAL: TlsKeys = TlsKeys {
    ca: (&table::TLS_SERVER_CA_CERT_DATA, &table::TLS_SERVER_CA_CERT_PATH),
    cert: (&table::TLS_CLIENT_CERT_DATA, &table::TLS_CLIENT_CERT_PATH),
    key: (&table::TLS_CLIENT_KEY_DATA, &table::TLS_CLIENT_KEY_PATH),
    server_name: &table::TLS_SERVER_NAME,
    disable_host_verification: &table::TLS_DISABLE_HOST_VERIFICATION,
    address: &table::ADDRESS,
};

static CODEC: TlsKeys = TlsKeys {
    ca: (&table::CODEC_TLS_SERVER_CA_CERT_DATA, &table::CODEC_TLS_SERVER_CA_CERT_PATH),
    cert: (&table::CODEC_TLS_CLIENT_CERT_DATA, &table::CODEC_TLS_CLIENT_CERT_PATH),
    key: (&table::CODEC_TLS_CLIENT_KEY_DATA, &table::CODEC_TLS_CLIENT_KEY_PATH),
    server_name: &table::CODEC_TLS_SERVER_NAME,
    disable_host_verification: &table::CODEC_TLS_DISABLE_HOST_VERIFICATION,
    address: &table::CODEC_ENDPOINT,
};

/// The origin of a credential.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// The name of the origin in errors.
    pub source: String,
    /// The place.
    pub place: Place,
}

/// A value in the options, or a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// The value itself.
    Here(Secret),
    /// The path of a file.
    File(PathBuf),
}

impl Security {
    /// Reads the origins from the options.
    pub fn from_settings(settings: &Settings, address: &Address) -> Result<Self> {
        let api_key = Origin::read(settings, (&table::API_KEY, &table::API_KEY_PATH));
        let disabled = settings.given_flag(&table::TLS_DISABLED);
        let wanted =
            api_key.is_some() || KEYS.iter().any(|key| key.group() == Some("tls") && settings.has(key));
        let tls = match disabled.unwrap_or(!wanted) {
            true => None,
            false => Some(Tls::from_settings(settings, &TEMPORAL, &address.host)?),
        };
        Ok(Security { api_key, headers: Headers::from_settings(settings, &table::GRPC_META)?, tls })
    }

    /// Reads those for the codec server on `host`.
    pub fn of_codec(settings: &Settings, is_https: bool, host: &str) -> Result<Self> {
        let mut headers = Headers::from_settings(settings, &table::CODEC_HEADERS)?;
        if let Some(auth) = settings.text(&table::CODEC_AUTH) {
            let value = secret_value(auth.to_string()).filter(|_| Headers::can_carry(&auth));
            let wrong = || {
                let source = settings.source(&table::CODEC_AUTH);
                Error::config(format!("{source} has a character that a header can't carry"))
            };
            headers.0.insert(header::AUTHORIZATION, value.ok_or_else(wrong)?);
        }
        let tls = match is_https {
            true => Some(Tls::from_settings(settings, &CODEC, host)?),
            false => None,
        };
        Ok(Security { api_key: None, headers, tls })
    }

    /// Returns all origins.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        let tls = self.tls.iter().flat_map(|tls| {
            let client = tls.client_cert.iter().flat_map(|(cert, key)| [cert, key]);
            tls.server_ca_cert.iter().chain(client)
        });
        self.api_key.iter().chain(tls)
    }
}

impl Tls {
    fn from_settings(settings: &Settings, keys: &TlsKeys, host: &str) -> Result<Self> {
        let name = settings.text(keys.server_name);
        let name = name.as_deref().unwrap_or(host).to_owned();
        let source = if settings.has(keys.server_name) {
            settings.source(keys.server_name)
        } else {
            settings.source(keys.address)
        };
        let server_name = ServerName::try_from(name).map_err(|_| {
            Error::config(format!("{source} has no name or IP address that a certificate could be for"))
        })?;
        let cert = Origin::read(settings, keys.cert);
        let key = Origin::read(settings, keys.key);
        let client_cert = match (cert, key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(Origin { source, .. }), None) => {
                return Err(Error::config(format!(
                    "{source} is given without the certificate's key: give {}",
                    keys.key.1.name
                )));
            }
            (None, Some(Origin { source, .. })) => {
                return Err(Error::config(format!(
                    "{source} is given without its certificate: give {}",
                    keys.cert.1.name
                )));
            }
        };
        Ok(Tls {
            options: keys.server_name.group().unwrap_or_default(),
            server_ca_cert: Origin::read(settings, keys.ca),
            client_cert,
            server_name,
            disable_host_verification: settings.flag(keys.disable_host_verification),
        })
    }
}

impl Origin {
    /// Returns whether the content may change without reconfigure.
    pub fn is_file(&self) -> bool {
        matches!(self.place, Place::File(_))
    }

    fn read(settings: &Settings, (data, path): (&Key, &Key)) -> Option<Self> {
        let here = settings.text(data).map(|text| (data, Place::Here(text)));
        let file = settings.text(path).map(|path_text| (path, Place::File(PathBuf::from(&*path_text))));
        let (key, place) = here.or(file)?;
        Some(Origin { source: settings.source(key), place })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Here(_) => f.write_str(&self.source),
            Place::File(path) => write!(f, "{} ({})", self.source, path.display()),
        }
    }
}

/// Headers of every request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Headers(HeaderMap);

impl Headers {
    /// Returns whether a header value can contain this text.
    pub fn can_carry(text: &str) -> bool {
        text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
    }

    /// Returns the headers.
    pub fn map(&self) -> &HeaderMap {
        &self.0
    }

    fn from_settings(settings: &Settings, key: &Key) -> Result<Self> {
        let given = settings.headers(key);
        let mut headers = HeaderMap::new();
        for (name, text) in given.iter().filter(|(_, text)| !text.is_empty()) {
            let wrong =
                |why: &str| Error::config(format!("{}: the header {name:?} {why}", settings.source(key)));
            let header: HeaderName =
                name.parse().map_err(|_| wrong("has a name that a header can't have"))?;
            if is_reserved(header.as_str()) {
                return Err(wrong("is reserved for the protocol"));
            }
            let value = if name.ends_with("-bin") {
                secret_value(BASE64_STANDARD_NO_PAD.encode(text.as_bytes()))
            } else {
                secret_value(text.to_string()).filter(|_| Self::can_carry(text))
            };
            headers.insert(header, value.ok_or_else(|| wrong("has a character that a header can't carry"))?);
        }
        Ok(Headers(headers))
    }
}

/// Creates a header value that isn't logged, and that is wiped when the last request with it is dropped.
pub fn secret_value(text: String) -> Option<HeaderValue> {
    let bytes = secret::shared(text);
    let mut value = HeaderValue::from_maybe_shared(bytes).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Returns the name of a header, normalized as in all Temporal clients.
pub fn header_name(given: &str) -> String {
    given.to_lowercase().replace('_', "-")
}

/// Returns whether gRPC or HTTP/2 sets this header itself.
fn is_reserved(name: &str) -> bool {
    let own =
        ["te", "content-type", "content-length", "host", "connection", "transfer-encoding", "user-agent"];
    name.starts_with("grpc-") || own.contains(&name)
}
