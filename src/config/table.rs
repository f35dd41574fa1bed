//! The options, one entry each: whatever reads, checks, prints or documents an option does it from here.

use super::value::{Kind, Value};

/// An option of connect.
#[derive(Debug)]
pub struct Key {
    /// Its name; `group.name` for one that stands in an object.
    pub name: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// What it means, in a sentence or two.
    pub help: &'static str,
    /// The default, as it would be written; `None` when there is none, or when it depends.
    pub default: Option<&'static str>,
    /// The environment variable that says the same; one that ends in `*` stands for all that begin so.
    pub variable: Option<&'static str>,
    /// Whether that variable says the opposite.
    pub inverted: bool,
    /// Whether it may stand in a profile of `temporal.toml`.
    pub in_profile: bool,
    /// Whether it may be changed while connected.
    pub reconfigurable: bool,
    /// Another option that says the same in another way: only one of the two may be given.
    pub alternative: Option<&'static str>,
}

impl Key {
    /// The object that it stands in, if it stands in one.
    pub fn group(&self) -> Option<&'static str> {
        self.name.split_once('.').map(|(group, _)| group)
    }

    /// Its name in that object.
    pub fn short_name(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(_, name)| name)
    }

    /// The value that it has when nobody gives one.
    pub fn default_value(&self) -> Option<Value> {
        self.kind.parse(self.default?).ok()
    }

    const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Key {
            name,
            kind,
            help,
            default: None,
            variable: None,
            inverted: false,
            in_profile: false,
            reconfigurable: false,
            alternative: None,
        }
    }

    const fn default(self, default: &'static str) -> Self {
        Key { default: Some(default), ..self }
    }

    const fn variable(self, variable: &'static str) -> Self {
        Key { variable: Some(variable), ..self }
    }

    const fn opposite_variable(self, variable: &'static str) -> Self {
        Key { variable: Some(variable), inverted: true, ..self }
    }

    const fn in_profile(self) -> Self {
        Key { in_profile: true, ..self }
    }

    const fn reconfigurable(self) -> Self {
        Key { reconfigurable: true, ..self }
    }

    const fn or(self, alternative: &'static str) -> Self {
        Key { alternative: Some(alternative), ..self }
    }
}

/// The option of this name.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// A time in milliseconds that isn't zero.
const TIME: Kind = Kind::Integer { min: 1, max: i32::MAX as i64 };

/// All of them, in the order of the documentation. The options of a group stand together. The first of a group is what the
/// group's name alone stands for: `"tls": true` is `"tls": {"disabled": false}`, `"proxy": "a:1"` its `target_host`.
pub const KEYS: &[Key] = &[
    Key::new("address", Kind::Text, "Where the server listens, as `host:port`.")
        .default("127.0.0.1:7233")
        .variable("TEMPORAL_ADDRESS")
        .in_profile(),
    Key::new("namespace", Kind::Text, "The namespace of the activities.")
        .default("default")
        .variable("TEMPORAL_NAMESPACE")
        .in_profile(),
    Key::new(
        "identity",
        Kind::Text,
        "Who the server is told that we are. `{pid}`, `{host}` and `{job}` in it are replaced: the process, the machine, \
         and the batch job that it belongs to. Default: `{pid}@{host}`, or `{pid}@{host}/{job}` in a batch job.",
    ),
    Key::new("connect_timeout_ms", TIME, "How long connecting may take.").default("10000"),
    Key::new(
        "lazy",
        Kind::Flag,
        "Leave the connection to the first call. Files are read at once all the same.",
    )
    .default("false"),
    Key::new(
        "api_key",
        Kind::Secret,
        "Sent as `authorization: Bearer ...` with every request. Turns TLS on, unless `tls.disabled` says otherwise.",
    )
    .variable("TEMPORAL_API_KEY")
    .in_profile()
    .reconfigurable()
    .or("api_key_path"),
    Key::new(
        "api_key_path",
        Kind::Text,
        "A file that holds the API key. White space around it doesn't count. Read again when it changes.",
    )
    .reconfigurable()
    .or("api_key"),
    Key::new(
        "tls.disabled",
        Kind::Flag,
        "Plain text, whatever else is given. Default: false when there is an API key or any other option of TLS, else true.",
    )
    .opposite_variable("TEMPORAL_TLS")
    .in_profile()
    .reconfigurable(),
    Key::new(
        "tls.server_ca_cert_path",
        Kind::Text,
        "A file with the certificates, in PEM, that the server's must be signed by. Read again when it changes. Default: \
         those that the system trusts.",
    )
    .variable("TEMPORAL_TLS_SERVER_CA_CERT_PATH")
    .in_profile()
    .reconfigurable()
    .or("tls.server_ca_cert_data"),
    Key::new("tls.server_ca_cert_data", Kind::Secret, "The same, as the PEM text itself.")
        .variable("TEMPORAL_TLS_SERVER_CA_CERT_DATA")
        .in_profile()
        .reconfigurable()
        .or("tls.server_ca_cert_path"),
    Key::new(
        "tls.client_cert_path",
        Kind::Text,
        "A file with our certificate, in PEM, and those between it and its CA. Read again when it changes.",
    )
    .variable("TEMPORAL_TLS_CLIENT_CERT_PATH")
    .in_profile()
    .reconfigurable()
    .or("tls.client_cert_data"),
    Key::new("tls.client_cert_data", Kind::Secret, "The same, as the PEM text itself.")
        .variable("TEMPORAL_TLS_CLIENT_CERT_DATA")
        .in_profile()
        .reconfigurable()
        .or("tls.client_cert_path"),
    Key::new(
        "tls.client_key_path",
        Kind::Text,
        "A file with the private key of our certificate, in PEM, not encrypted. Read again when it changes.",
    )
    .variable("TEMPORAL_TLS_CLIENT_KEY_PATH")
    .in_profile()
    .reconfigurable()
    .or("tls.client_key_data"),
    Key::new("tls.client_key_data", Kind::Secret, "The same, as the PEM text itself.")
        .variable("TEMPORAL_TLS_CLIENT_KEY_DATA")
        .in_profile()
        .reconfigurable()
        .or("tls.client_key_path"),
    Key::new(
        "tls.server_name",
        Kind::Text,
        "The name that the server's certificate must be valid for, and that it is asked for (SNI). Default: the host of \
         the address.",
    )
    .variable("TEMPORAL_TLS_SERVER_NAME")
    .in_profile()
    .reconfigurable(),
    Key::new(
        "tls.disable_host_verification",
        Kind::Flag,
        "Don't check what name the server's certificate is valid for. When no CA is given either, any certificate is \
         taken: for tests only.",
    )
    .default("false")
    .variable("TEMPORAL_TLS_DISABLE_HOST_VERIFICATION")
    .in_profile()
    .reconfigurable(),
    Key::new(
        "grpc_meta",
        Kind::Headers,
        "Headers of every request, by name. In a name, upper case and `_` are the same as lower case and `-`. An empty text \
         takes a header away that was given in a lower place. A name that ends in `-bin` has its text sent in base64.",
    )
    .variable("TEMPORAL_GRPC_META_*")
    .in_profile()
    .reconfigurable(),
    Key::new(
        "authority",
        Kind::Text,
        "What requests name as the server's authority. Default: the address.",
    )
    .variable("TEMPORAL_CLIENT_AUTHORITY")
    .in_profile(),
    Key::new(
        "config_file",
        Kind::Text,
        "The file that profiles stand in. Default: `temporalio/temporal.toml` in the user's directory for configuration.",
    )
    .variable("TEMPORAL_CONFIG_FILE"),
    Key::new(
        "profile",
        Kind::Text,
        "The profile of that file. One that is named must be there. Default: `default`, if it is there.",
    )
    .variable("TEMPORAL_PROFILE"),
    Key::new(
        "proxy.target_host",
        Kind::Text,
        "An HTTP proxy to connect through (by CONNECT), as `host:port`. Default: none.",
    ),
    Key::new("proxy.basic_auth_user", Kind::Text, "Who we are to the proxy."),
    Key::new("proxy.basic_auth_password", Kind::Secret, "Our password there."),
    Key::new("keepalive.disabled", Kind::Flag, "Don't ask whether the connection lives.").default("false"),
    Key::new(
        "keepalive.interval_ms",
        Kind::Integer { min: 1000, max: i32::MAX as i64 },
        "How often that is asked. Servers close connections that ask more often than every 10 s.",
    )
    .default("30000"),
    Key::new("keepalive.timeout_ms", TIME, "How long the answer may take.").default("15000"),
    Key::new(
        "retry.disabled",
        Kind::Flag,
        "Make one try of each call. Activities held open beat on as their heartbeat timeout needs.",
    )
    .default("false"),
    Key::new("retry.initial_interval_ms", TIME, "The pause after the first try that failed.").default("100"),
    Key::new(
        "retry.multiplier",
        Kind::Decimal { min: 1.0, max: 100.0 },
        "By how much each pause is longer than the one before.",
    )
    .default("1.7"),
    Key::new("retry.max_interval_ms", TIME, "The longest pause.").default("2000"),
    Key::new(
        "retry.randomization_factor",
        Kind::Decimal { min: 0.0, max: 1.0 },
        "By up to which part a pause is shorter, at random.",
    )
    .default("0.3"),
    Key::new(
        "retry.max_retries",
        Kind::Integer { min: 0, max: i32::MAX as i64 },
        "How many tries may follow the first; 0: as many as the time of the call allows.",
    )
    .default("0"),
    Key::new(
        "compression",
        Kind::Word(&["gzip", "none"]),
        "How requests over 1 KiB are compressed once the server has said that it takes it so.",
    )
    .default("gzip"),
    Key::new(
        "max_message_bytes",
        Kind::Integer { min: 4096, max: i32::MAX as i64 },
        "The largest message that is sent, and the largest that is read, uncompressed.",
    )
    .default("67108864"),
    Key::new(
        "require_encoded",
        Kind::Flag,
        "Refuse details and results that no codec has encoded, for a namespace whose data are encrypted.",
    )
    .default("false"),
    Key::new(
        "metrics_address",
        Kind::Text,
        "Where Prometheus may fetch the metrics, as ip:port; port 0 is any that is free. Nowhere without it.",
    ),
];
