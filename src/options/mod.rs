//! What to connect to: the options of connect, over the environment, over a profile of `temporal.toml`, over the defaults.
//!
//! An option more is a line in [`table`] and a field of [`Options`].

mod address;
mod environment;
mod given;
mod settings;
pub mod table;
mod value;

use std::{ffi::OsString, net::SocketAddr, time::Duration};

use crate::{
    error::{Error, Result},
    json::{Fault, Object},
    status::Status,
    sys,
};

pub use address::Address;
use settings::Settings;
pub use value::{Kind, Value};

/// Options that a Temporal client has and this version doesn't obey yet. To ignore them could send a plaintext request
/// where a secure one was meant, so they are refused.
const KEYS_TO_COME: [&str; 12] = [
    "api_key",
    "api_key_path",
    "tls",
    "grpc_meta",
    "profile",
    "config_file",
    "keepalive",
    "retry",
    "proxy",
    "compression",
    "max_message_bytes",
    "authority",
];

/// The same for the variables that every Temporal client reads; those that end in `_` are prefixes.
const VARIABLES_TO_COME: [&str; 6] = [
    "TEMPORAL_API_KEY",
    "TEMPORAL_TLS",
    "TEMPORAL_TLS_",
    "TEMPORAL_GRPC_META_",
    "TEMPORAL_CONFIG_FILE",
    "TEMPORAL_PROFILE",
];

/// A complete configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Where the server listens.
    pub address: Address,
    /// The namespace of the activities.
    pub namespace: String,
    /// Who the server is told that we are; `None` for process and host.
    pub identity: Option<String>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// Whether connect leaves the connection to the first call.
    pub lazy: bool,
    /// Whether to refuse what no codec has encoded.
    pub require_encoded: bool,
    /// Where the metrics may be fetched.
    pub metrics_address: Option<SocketAddr>,
}

impl Options {
    /// Reads the JSON of connect, and from the environment what that leaves open.
    pub fn read(json: &[u8]) -> Result<Self> {
        Self::with_environment(json, std::env::vars_os().collect())
    }

    fn with_environment(json: &[u8], variables: Vec<(OsString, OsString)>) -> Result<Self> {
        refuse_what_is_to_come(json, &variables)?;
        let settings = given::read(json)?.over(environment::read(variables.into_iter())?);
        Self::from_settings(&settings)
    }

    fn from_settings(settings: &Settings) -> Result<Self> {
        let text = |name| settings.text(name).map(|text| text.to_string());
        Ok(Options {
            address: Address::parse(&settings.source("address"), &text("address").unwrap_or_default())?,
            namespace: text("namespace").unwrap_or_default(),
            identity: text("identity"),
            connect_timeout: settings.time("connect_timeout_ms"),
            lazy: settings.flag("lazy"),
            require_encoded: settings.flag("require_encoded"),
            metrics_address: metrics_address(settings)?,
        })
    }

    /// The identity in force for this process.
    pub fn identity(&self) -> String {
        self.identity.clone().unwrap_or_else(|| format!("{}@{}", std::process::id(), sys::host::name()))
    }
}

fn metrics_address(settings: &Settings) -> Result<Option<SocketAddr>> {
    let Some(text) = settings.text("metrics_address") else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let source = settings.source("metrics_address");
        Error::new(Status::Config, format!("{source} must be ip:port, e.g. 127.0.0.1:9464 or 0.0.0.0:9464"))
    })
}

/// The name of a header, as all Temporal clients spell it.
fn header_name(given: &str) -> String {
    given.to_lowercase().replace('_', "-")
}

fn refuse_what_is_to_come(json: &[u8], variables: &[(OsString, OsString)]) -> Result<()> {
    let options = Object::parse("options", json)?;
    if let Some(key) = options.keys().find(|key| KEYS_TO_COME.contains(key)) {
        return Err(not_yet(&format!("the option {key}"), "Leave it out"));
    }
    let set = variables.iter().filter(|(_, value)| !value.is_empty());
    match set.filter_map(|(name, _)| name.to_str()).find(|name| is_to_come(name)) {
        Some(name) => Err(not_yet(&format!("the variable {name}"), "Unset it")),
        None => Ok(()),
    }
}

fn is_to_come(variable: &str) -> bool {
    VARIABLES_TO_COME
        .iter()
        .any(|name| if name.ends_with('_') { variable.starts_with(name) } else { variable == *name })
}

fn not_yet(what: &str, step: &str) -> Error {
    Error::new(
        Status::Unimplemented,
        format!(
            "{what} isn't obeyed by this version, which connects in plain text without credentials. {step}, or reach \
                 the server through a proxy that adds them"
        ),
    )
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Error::new(Status::Config, fault.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, variables: &[(&str, &str)]) -> Result<Options> {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Options::with_environment(json.as_bytes(), variables)
    }

    fn refused(json: &str, variables: &[(&str, &str)]) -> (Status, String) {
        let error = read(json, variables).unwrap_err();
        (error.status(), error.message().to_owned())
    }

    #[test]
    fn nothing_given_means_the_local_server() {
        let options = read("", &[]).unwrap();
        assert_eq!(options.address.authority, "127.0.0.1:7233");
        assert_eq!(options.namespace, "default");
        assert!(!options.lazy);
        assert!(options.identity().starts_with(&format!("{}@", std::process::id())));
        assert_eq!(read("{}", &[]).unwrap(), options);
    }

    #[test]
    fn an_option_wins_over_its_variable_and_that_over_the_default() {
        let variables = [("TEMPORAL_ADDRESS", "env:1"), ("TEMPORAL_NAMESPACE", "env")];
        let options = read("{\"address\":\"[::1]:2\"}", &variables).unwrap();
        assert_eq!((options.address.host.as_str(), options.address.port), ("::1", 2));
        assert_eq!(options.namespace, "env");
    }

    #[test]
    fn an_empty_variable_is_no_variable() {
        assert_eq!(read("", &[("TEMPORAL_ADDRESS", ""), ("TEMPORAL_API_KEY", "")]), read("", &[]));
    }

    #[test]
    fn what_is_not_obeyed_yet_is_refused_by_name() {
        for key in KEYS_TO_COME {
            let (status, message) = refused(&format!("{{\"{key}\":true}}"), &[]);
            assert_eq!(status, Status::Unimplemented);
            assert!(message.contains(key), "{message}");
        }
        for name in [
            "TEMPORAL_API_KEY",
            "TEMPORAL_TLS",
            "TEMPORAL_TLS_SERVER_NAME",
            "TEMPORAL_GRPC_META_X",
            "TEMPORAL_PROFILE",
        ] {
            let (status, message) = refused("", &[(name, "secret")]);
            assert_eq!(status, Status::Unimplemented);
            assert!(message.contains(name) && !message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn other_variables_are_not_ours() {
        assert!(read("", &[("TEMPORAL_TLSX", "1"), ("TEMPORAL_ACTIVITY_ID", "1"), ("PATH", "x")]).is_ok());
    }

    #[test]
    fn an_address_that_is_none_says_why() {
        for (address, why) in [
            ("localhost", "no port"),
            ("http://localhost:7233", "scheme"),
            ("localhost:0", "port"),
            ("localhost:x", "port"),
            (":7233", "no host"),
            ("::1:7233", "brackets"),
            ("[::1:7233", "brackets"),
            ("a b:7233", "character"),
            ("u@h:7233", "character"),
        ] {
            let (status, message) = refused(&format!("{{\"address\":\"{address}\"}}"), &[]);
            assert_eq!(status, Status::Config);
            assert!(message.contains("options.address") && message.contains(why), "{address}: {message}");
        }
        assert!(refused("", &[("TEMPORAL_ADDRESS", "x")]).1.contains("TEMPORAL_ADDRESS"));
    }

    #[test]
    fn options_of_the_wrong_kind_are_configuration_errors() {
        for json in [
            "{\"lazy\":1}",
            "{\"connect_timeout_ms\":0}",
            "{\"namespace\":\"\"}",
            "{\"nonsense\":1}",
            "nonsense",
        ] {
            assert_eq!(refused(json, &[]).0, Status::Config, "{json}");
        }
    }
}
