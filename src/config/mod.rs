//! What to connect to, and how: the options of connect, over the environment, over a profile of `temporal.toml`, over the
//! defaults.
//!
//! An option more is an entry of [`table::KEYS`] and a field of [`Options`].

mod address;
mod environment;
mod file;
pub(crate) mod files;
mod given;
pub mod handoff;
mod identity;
pub mod page;
mod security;
mod settings;
pub mod table;
mod value;

use std::{ffi::OsString, net::SocketAddr, time::Duration};

use http::uri::Authority;

use crate::model::{
    error::{Error, Result},
    json::Fault,
    secret::Secret,
    status::Status,
};

pub use address::Address;
use identity::Identity;
pub use security::{Headers, Origin, Place, Security, Tls, secret_value};
use settings::Settings;
pub use value::{Kind, Value};

/// A complete configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Where the server listens.
    pub address: Address,
    /// What requests name as its authority.
    pub authority: Authority,
    /// The namespace of the activities.
    pub namespace: String,
    /// Who the server is told that we are.
    pub identity: Identity,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// Whether connect leaves the connection to the first call.
    pub lazy: bool,
    /// Whether to refuse what no codec has encoded.
    pub require_encoded: bool,
    /// Where the metrics may be fetched.
    pub metrics_address: Option<SocketAddr>,
    /// What secures the connection, and who we are to the server.
    pub security: Security,
    /// The HTTP proxy to go through.
    pub proxy: Option<Proxy>,
    /// How to notice that a connection is dead.
    pub keepalive: Option<Keepalive>,
    /// How calls are tried again.
    pub retry: RetryPolicy,
    /// Whether requests may be compressed.
    pub gzip: bool,
    /// The largest message.
    pub max_message_bytes: usize,
    /// What all of that was made of.
    settings: Settings,
}

/// An HTTP proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct Proxy {
    /// Where it listens.
    pub address: Address,
    /// User and password.
    pub basic_auth: Option<(String, Secret)>,
}

/// How to notice that a connection is dead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keepalive {
    /// How often it is asked.
    pub interval: Duration,
    /// How long the answer may take.
    pub timeout: Duration,
}

/// How calls are tried again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// The pause after the first try that failed.
    pub first_pause: Duration,
    /// By how much each pause is longer than the one before.
    pub growth: f64,
    /// The longest pause.
    pub longest_pause: Duration,
    /// By up to which part pauses are shorter.
    pub jitter: f64,
    /// How many tries a call may make.
    pub max_tries: u32,
}

impl Options {
    /// Reads the JSON of connect, and from environment and file what that leaves open.
    pub fn read(json: &[u8]) -> Result<Self> {
        Self::with_environment(json, std::env::vars_os().collect())
    }

    /// The same with these variables instead of the process's own.
    pub fn with_environment(json: &[u8], variables: Vec<(OsString, OsString)>) -> Result<Self> {
        let default_file = file::default_path(&variables);
        let given = given::read(json)?;
        let environment = environment::read(variables.into_iter())?;
        let profile = file::read(&given.clone().over(environment.clone()), default_file)?;
        environment.check_against(&profile)?;
        Self::from_settings(given.over(environment.over(profile)))
    }

    /// These options with what the JSON of reconfigure changes.
    pub fn reconfigured(&self, json: &[u8]) -> Result<Self> {
        let given = given::read(json)?;
        if let Some(key) = table::KEYS.iter().find(|key| !key.reconfigurable && given.has(key.name)) {
            return Err(config(format!(
                "{} can't be changed while connected: disconnect, and connect anew",
                given.source(key.name)
            )));
        }
        Self::from_settings(given.over(self.settings.clone()))
    }

    fn from_settings(settings: Settings) -> Result<Self> {
        let text = |name| settings.text(name).map(|text| text.to_string());
        let address = Address::parse(&settings.source("address"), &text("address").unwrap_or_default())?;
        let namespace = text("namespace").unwrap_or_default();
        if !Headers::can_carry(&namespace) {
            let source = settings.source("namespace");
            return Err(config(format!("{source} has a character that a gRPC header can't carry")));
        }
        Ok(Options {
            authority: authority(&settings, &address)?,
            namespace,
            identity: Identity::parse(&settings.source("identity"), text("identity"))?,
            connect_timeout: settings.time("connect_timeout_ms"),
            lazy: settings.flag("lazy"),
            security: Security::from_settings(&settings, &address)?,
            proxy: proxy(&settings)?,
            keepalive: (!settings.flag("keepalive.disabled")).then(|| Keepalive {
                interval: settings.time("keepalive.interval_ms"),
                timeout: settings.time("keepalive.timeout_ms"),
            }),
            retry: retry(&settings),
            gzip: text("compression").as_deref() == Some("gzip"),
            max_message_bytes: usize::try_from(settings.integer("max_message_bytes")).unwrap_or(usize::MAX),
            require_encoded: settings.flag("require_encoded"),
            metrics_address: metrics_address(&settings)?,
            address,
            settings,
        })
    }
}

fn authority(settings: &Settings, address: &Address) -> Result<Authority> {
    let text = settings.text("authority");
    let text = text.as_deref().unwrap_or(&address.authority);
    let wrong = || config(format!("{} must be a host, or host:port", settings.source("authority")));
    text.parse::<Authority>().ok().filter(|_| !text.contains('@')).ok_or_else(wrong)
}

fn proxy(settings: &Settings) -> Result<Option<Proxy>> {
    let (user, password) =
        (settings.text("proxy.basic_auth_user"), settings.text("proxy.basic_auth_password"));
    let Some(target) = settings.text("proxy.target_host") else {
        return match (user, password) {
            (None, None) => Ok(None),
            _ => {
                Err(config("options.proxy says who we are, but not to whom: give target_host too".to_owned()))
            }
        };
    };
    let address = Address::parse(&settings.source("proxy.target_host"), &target)?;
    let basic_auth = match (user, password) {
        (Some(user), password) if !user.contains(':') => {
            Some((user.to_string(), password.unwrap_or_else(|| "".into())))
        }
        (Some(_), _) => {
            return Err(config(format!(
                "{} has a colon, which basic authentication can't carry",
                settings.source("proxy.basic_auth_user")
            )));
        }
        (None, None) => None,
        (None, Some(_)) => {
            return Err(config("options.proxy has a basic_auth_password, but no basic_auth_user".to_owned()));
        }
    };
    Ok(Some(Proxy { address, basic_auth }))
}

fn retry(settings: &Settings) -> RetryPolicy {
    let max_tries = match settings.integer("retry.max_retries") {
        _ if settings.flag("retry.disabled") => 1,
        0 => u32::MAX,
        retries => u32::try_from(retries).unwrap_or(u32::MAX).saturating_add(1),
    };
    RetryPolicy {
        first_pause: settings.time("retry.initial_interval_ms"),
        growth: settings.decimal("retry.multiplier"),
        longest_pause: settings.time("retry.max_interval_ms"),
        jitter: settings.decimal("retry.randomization_factor"),
        max_tries,
    }
}

fn metrics_address(settings: &Settings) -> Result<Option<SocketAddr>> {
    let Some(text) = settings.text("metrics_address") else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let source = settings.source("metrics_address");
        Error::new(Status::Config, format!("{source} must be ip:port, e.g. 127.0.0.1:9464 or 0.0.0.0:9464"))
    })
}

fn config(why: String) -> Error {
    Error::new(Status::Config, why)
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        config(fault.0)
    }
}

#[cfg(test)]
mod tests;
