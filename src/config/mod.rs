//! The options of connect. Sources in order of precedence: the caller's JSON, environment variables, a profile of
//! `temporal.toml`, the defaults.
//!
//! To add an option, add an entry to [`table::KEYS`] and a field to [`Options`].

mod address;
mod codec;
mod environment;
mod file;
pub(crate) mod files;
mod given;
pub mod handoff;
mod identity;
mod security;
mod settings;
pub mod table;
mod value;

use std::{ffi::OsString, net::SocketAddr, time::Duration};

use http::uri::Authority;

use crate::{
    model::{
        codec::OwnCodec,
        error::{Error, Result},
        secret::Secret,
    },
    sys,
};

pub use address::Address;
pub use codec::Codec;
use identity::Identity;
pub use security::{Headers, Origin, Place, Security, Tls, secret_value};
use settings::Settings;
pub use value::{Kind, Value};

/// A complete configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The server's address.
    pub address: Address,
    /// The authority in requests.
    pub authority: Authority,
    /// The namespace of the activities.
    pub namespace: String,
    /// The identity that the server records.
    pub identity: Identity,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// Whether the first call makes the connection, instead of connect.
    pub lazy: bool,
    /// Whether values that no codec has encoded are refused.
    pub require_encoded: bool,
    /// The codec server.
    pub codec: Option<Codec>,
    /// A codec of the program, which replaces the codec server.
    pub own_codec: Option<OwnCodec>,
    /// Whether the codec also encodes the message and the stack trace of failures.
    pub encode_common_attributes: bool,
    /// The address on which the metrics are served.
    pub metrics_address: Option<SocketAddr>,
    /// The credentials and the TLS settings.
    pub security: Security,
    /// The HTTP proxy to connect through.
    pub proxy: Option<Proxy>,
    /// How to detect that a connection is dead.
    pub keepalive: Option<Keepalive>,
    /// How calls are retried.
    pub retry: RetryPolicy,
    /// Whether requests may be compressed.
    pub gzip: bool,
    /// The largest message, in bytes.
    pub max_message_bytes: usize,
    /// The settings that all of these were made from.
    settings: Settings,
}

/// An HTTP proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct Proxy {
    /// The proxy's address.
    pub address: Address,
    /// The user and password.
    pub basic_auth: Option<(String, Secret)>,
}

/// How to detect that a connection is dead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keepalive {
    /// The time between two PINGs.
    pub interval: Duration,
    /// How long the answer to a PING may take.
    pub timeout: Duration,
}

/// How calls are retried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// The pause after the first failed try.
    pub first_pause: Duration,
    /// The factor from one pause to the next.
    pub growth: f64,
    /// The longest pause.
    pub longest_pause: Duration,
    /// The largest part by which jitter shortens a pause.
    pub jitter: f64,
    /// The most tries of a call.
    pub max_tries: u32,
}

impl Options {
    /// Reads the JSON of connect, and missing values from the environment and the file, unless the environment can't be
    /// trusted.
    pub fn read(json: &[u8]) -> Result<Self> {
        if sys::environment::is_untrusted() {
            return Self::from_settings(given::read(json)?);
        }
        Self::with_environment(json, std::env::vars_os().collect())
    }

    /// Does the same with these variables instead of the process's.
    pub fn with_environment(json: &[u8], variables: Vec<(OsString, OsString)>) -> Result<Self> {
        let default_file = file::default_path(&variables);
        let given = given::read(json)?;
        let environment = environment::read(variables.into_iter())?;
        let profile = file::read(&given.clone().over(environment.clone()), default_file)?;
        environment.check_against(&profile)?;
        Self::from_settings(given.over(environment.over(profile)))
    }

    /// Returns whether the JSON of connect asks for an inactive process, because there is no activity in the environment.
    /// Checks the options in the JSON; the other sources aren't read.
    pub fn are_inactive(json: &[u8]) -> Result<bool> {
        let when_absent = given::read(json)?.text(&table::WHEN_ABSENT);
        Ok(when_absent.as_deref() == Some("inactive") && handoff::is_absent()?)
    }

    /// Returns the settings in the JSON of reconfigure, if they may be changed.
    fn read_changes(json: &[u8]) -> Result<Settings> {
        let given = given::read(json)?;
        match table::KEYS.iter().find(|key| !key.is_reconfigurable() && given.has(key)) {
            Some(key) => Err(Error::config(format!(
                "{} can't be changed while connected: disconnect, then connect again",
                given.source(key)
            ))),
            None => Ok(given),
        }
    }

    /// Checks the JSON of reconfigure for a process without options.
    pub fn check_changes(json: &[u8]) -> Result<()> {
        Self::read_changes(json).map(drop)
    }

    /// Returns these options with the changes from the JSON of reconfigure.
    pub fn reconfigured(&self, json: &[u8]) -> Result<Self> {
        let changed = Self::from_settings(Self::read_changes(json)?.over(self.settings.clone()))?;
        Ok(Options { own_codec: self.own_codec.clone(), ..changed })
    }

    fn from_settings(settings: Settings) -> Result<Self> {
        let text = |key| settings.text(key).map(|text| text.to_string());
        let address =
            Address::parse(&settings.source(&table::ADDRESS), &text(&table::ADDRESS).unwrap_or_default())?;
        let namespace = text(&table::NAMESPACE).unwrap_or_default();
        if !Headers::can_carry(&namespace) {
            let source = settings.source(&table::NAMESPACE);
            return Err(Error::config(format!("{source} has a character that a gRPC header can't carry")));
        }
        Ok(Options {
            authority: authority(&settings, &address)?,
            identity: Identity::parse(&settings.source(&table::IDENTITY), text(&table::IDENTITY))?,
            connect_timeout: settings.time(&table::CONNECT_TIMEOUT_MS),
            lazy: settings.flag(&table::LAZY),
            security: Security::from_settings(&settings, &address)?,
            proxy: proxy(&settings, &address)?,
            keepalive: (!settings.flag(&table::KEEPALIVE_DISABLED)).then(|| Keepalive {
                interval: settings.time(&table::KEEPALIVE_INTERVAL_MS),
                timeout: settings.time(&table::KEEPALIVE_TIMEOUT_MS),
            }),
            retry: retry(&settings),
            gzip: text(&table::COMPRESSION).as_deref() == Some("gzip"),
            max_message_bytes: usize::try_from(settings.integer(&table::MAX_MESSAGE_BYTES))
                .unwrap_or(usize::MAX),
            require_encoded: settings.flag(&table::REQUIRE_ENCODED),
            codec: Codec::from_settings(&settings, &namespace)?,
            own_codec: None,
            encode_common_attributes: settings.flag(&table::ENCODE_COMMON_ATTRIBUTES),
            metrics_address: metrics_address(&settings)?,
            namespace,
            address,
            settings,
        })
    }
}

fn authority(settings: &Settings, address: &Address) -> Result<Authority> {
    let text = settings.text(&table::AUTHORITY);
    let text = text.as_deref().unwrap_or(address.authority());
    let wrong =
        || Error::config(format!("{} must be a host, or host:port", settings.source(&table::AUTHORITY)));
    text.parse::<Authority>().ok().filter(|_| !text.contains('@')).ok_or_else(wrong)
}

fn proxy(settings: &Settings, server: &Address) -> Result<Option<Proxy>> {
    let (user, password) =
        (settings.text(&table::PROXY_BASIC_AUTH_USER), settings.text(&table::PROXY_BASIC_AUTH_PASSWORD));
    let Some(target) = settings.text(&table::PROXY_TARGET_HOST) else {
        return match (user, password) {
            (None, None) => Ok(None),
            _ => Err(Error::config(
                "options.proxy.target_host is missing: the credentials for the proxy are given",
            )),
        };
    };
    let address = Address::parse(&settings.source(&table::PROXY_TARGET_HOST), &target)?;
    if server.path.is_some() {
        return Err(Error::config(format!(
            "an HTTP proxy can't reach {}: give no proxy for it",
            server.text
        )));
    }
    let basic_auth = match (user, password) {
        (Some(user), password) if !user.contains(':') => {
            Some((user.to_string(), password.unwrap_or_else(|| "".into())))
        }
        (Some(_), _) => {
            return Err(Error::config(format!(
                "{} has a colon, which basic authentication can't carry",
                settings.source(&table::PROXY_BASIC_AUTH_USER)
            )));
        }
        (None, None) => None,
        (None, Some(_)) => {
            return Err(Error::config(
                "options.proxy.basic_auth_user is missing: options.proxy.basic_auth_password is given",
            ));
        }
    };
    Ok(Some(Proxy { address, basic_auth }))
}

fn retry(settings: &Settings) -> RetryPolicy {
    let max_tries = match settings.integer(&table::RETRY_MAX_RETRIES) {
        _ if settings.flag(&table::RETRY_DISABLED) => 1,
        0 => u32::MAX,
        retries => u32::try_from(retries).unwrap_or(u32::MAX).saturating_add(1),
    };
    RetryPolicy {
        first_pause: settings.time(&table::RETRY_INITIAL_INTERVAL_MS),
        growth: settings.decimal(&table::RETRY_MULTIPLIER),
        longest_pause: settings.time(&table::RETRY_MAX_INTERVAL_MS),
        jitter: settings.decimal(&table::RETRY_RANDOMIZATION_FACTOR),
        max_tries,
    }
}

fn metrics_address(settings: &Settings) -> Result<Option<SocketAddr>> {
    let Some(text) = settings.text(&table::METRICS_ADDRESS) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let source = settings.source(&table::METRICS_ADDRESS);
        Error::config(format!("{source} must be ip:port, e.g. 127.0.0.1:9464 or 0.0.0.0:9464"))
    })
}

#[cfg(test)]
mod tests;
