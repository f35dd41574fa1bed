//! The table of options. All code that reads, checks, prints or documents options uses it.

use super::value::{Kind, Value};

/// An option of connect.
#[derive(Debug)]
pub struct Key {
    /// The option's name; `group.name` for one in an object.
    pub name: &'static str,
    /// The kind of its value.
    pub kind: Kind,
    /// Its description, in a sentence or two.
    pub help: &'static str,
    /// The default as text; `None` when there is none, or when it depends on other options.
    pub default: Option<&'static str>,
    /// The environment variable with the same meaning; with `*` at the end, all variables with this prefix.
    pub variable: Option<&'static str>,
    /// Whether the variable has the opposite meaning.
    pub inverted: bool,
    /// Whether a profile of `temporal.toml` may contain it.
    pub in_profile: bool,
    /// Whether it may be changed while connected.
    pub reconfigurable: bool,
    /// An alternative to this option: only one of the two may be given.
    pub alternative: Option<&'static str>,
}

impl Key {
    /// Returns the name of the object that contains it, if any.
    pub fn group(&self) -> Option<&'static str> {
        self.name.split_once('.').map(|(group, _)| group)
    }

    /// Returns its name within that object.
    pub fn short_name(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(_, name)| name)
    }

    /// Returns its default value.
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

/// A time in milliseconds that isn't zero.
const TIME: Kind = Kind::Integer { min: 1, max: i32::MAX as i64 };

macro_rules! options {
    ($($option:ident = $key:expr;)*) => {
        $(
            #[allow(missing_docs, reason = "the entry has its own help")]
            pub static $option: Key = $key;
        )*

        /// All options, in the order of the documentation.
        pub static KEYS: &[&Key] = &[$(&$option,)*];
    };
}

// The options of a group follow each other. The group's name alone sets the first of them: `"tls": true` means
// `"tls": {"disabled": false}`, and `"proxy": "a:1"` sets `target_host`.
options! {
    ADDRESS = Key::new("address", Kind::Text, "Where the server listens, as `host:port`.")
        .default("127.0.0.1:7233")
        .variable("TEMPORAL_ADDRESS")
        .in_profile();
    NAMESPACE = Key::new("namespace", Kind::Text, "The namespace of the activities.")
        .default("default")
        .variable("TEMPORAL_NAMESPACE")
        .in_profile();
    IDENTITY = Key::new(
        "identity",
        Kind::Text,
        "Who the server is told that we are. `{pid}`, `{host}` and `{job}` in it are replaced: the process, the machine, \
         and the batch job that it belongs to. Default: `{pid}@{host}`, or `{pid}@{host}/{job}` in a batch job.",
    );
    CONNECT_TIMEOUT_MS = Key::new("connect_timeout_ms", TIME, "How long connecting may take.").default("10000");
    LAZY = Key::new(
        "lazy",
        Kind::Flag,
        "Leave the connection to the first call. Files are read at once all the same.",
    )
    .default("false");
    API_KEY = Key::new(
        "api_key",
        Kind::Secret,
        "Sent as `authorization: Bearer ...` with every request. Turns TLS on, unless `tls.disabled` says otherwise.",
    )
    .variable("TEMPORAL_API_KEY")
    .in_profile()
    .reconfigurable()
    .or("api_key_path");
    API_KEY_PATH = Key::new(
        "api_key_path",
        Kind::Text,
        "A file that holds the API key. White space around it doesn't count. Read again when it changes.",
    )
    .reconfigurable()
    .or("api_key");
    TLS_DISABLED = Key::new(
        "tls.disabled",
        Kind::Flag,
        "Plain text, whatever else is given. Default: false when there is an API key or any other option of TLS, else true.",
    )
    .opposite_variable("TEMPORAL_TLS")
    .in_profile()
    .reconfigurable();
    TLS_SERVER_CA_CERT_PATH = Key::new(
        "tls.server_ca_cert_path",
        Kind::Text,
        "A file with the certificates, in PEM, that the server's must be signed by. Read again when it changes. Default: \
         those that the system trusts.",
    )
    .variable("TEMPORAL_TLS_SERVER_CA_CERT_PATH")
    .in_profile()
    .reconfigurable()
    .or("tls.server_ca_cert_data");
    TLS_SERVER_CA_CERT_DATA = Key::new("tls.server_ca_cert_data", Kind::Secret, "The same, as the PEM text itself.")
        .variable("TEMPORAL_TLS_SERVER_CA_CERT_DATA")
        .in_profile()
        .reconfigurable()
        .or("tls.server_ca_cert_path");
    TLS_CLIENT_CERT_PATH = Key::new(
        "tls.client_cert_path",
        Kind::Text,
        "A file with our certificate, in PEM, and those between it and its CA. Read again when it changes.",
    )
    .variable("TEMPORAL_TLS_CLIENT_CERT_PATH")
    .in_profile()
    .reconfigurable()
    .or("tls.client_cert_data");
    TLS_CLIENT_CERT_DATA = Key::new("tls.client_cert_data", Kind::Secret, "The same, as the PEM text itself.")
        .variable("TEMPORAL_TLS_CLIENT_CERT_DATA")
        .in_profile()
        .reconfigurable()
        .or("tls.client_cert_path");
    TLS_CLIENT_KEY_PATH = Key::new(
        "tls.client_key_path",
        Kind::Text,
        "A file with the private key of our certificate, in PEM, not encrypted. Read again when it changes.",
    )
    .variable("TEMPORAL_TLS_CLIENT_KEY_PATH")
    .in_profile()
    .reconfigurable()
    .or("tls.client_key_data");
    TLS_CLIENT_KEY_DATA = Key::new("tls.client_key_data", Kind::Secret, "The same, as the PEM text itself.")
        .variable("TEMPORAL_TLS_CLIENT_KEY_DATA")
        .in_profile()
        .reconfigurable()
        .or("tls.client_key_path");
    TLS_SERVER_NAME = Key::new(
        "tls.server_name",
        Kind::Text,
        "The name that the server's certificate must be valid for, and that it is asked for (SNI). Default: the host of \
         the address.",
    )
    .variable("TEMPORAL_TLS_SERVER_NAME")
    .in_profile()
    .reconfigurable();
    TLS_DISABLE_HOST_VERIFICATION = Key::new(
        "tls.disable_host_verification",
        Kind::Flag,
        "Don't check what name the server's certificate is valid for. When no CA is given either, any certificate is \
         taken: for tests only.",
    )
    .default("false")
    .variable("TEMPORAL_TLS_DISABLE_HOST_VERIFICATION")
    .in_profile()
    .reconfigurable();
    GRPC_META = Key::new(
        "grpc_meta",
        Kind::Headers,
        "Headers of every request, by name. In a name, upper case and `_` are the same as lower case and `-`. An empty text \
         takes a header away that was given in a lower place. A name that ends in `-bin` has its text sent in base64.",
    )
    .variable("TEMPORAL_GRPC_META_*")
    .in_profile()
    .reconfigurable();
    AUTHORITY = Key::new(
        "authority",
        Kind::Text,
        "What requests name as the server's authority. Default: the address.",
    )
    .variable("TEMPORAL_CLIENT_AUTHORITY")
    .in_profile();
    CONFIG_FILE = Key::new(
        "config_file",
        Kind::Text,
        "The file that profiles stand in. Default: `temporalio/temporal.toml` in the user's directory for configuration.",
    )
    .variable("TEMPORAL_CONFIG_FILE");
    PROFILE = Key::new(
        "profile",
        Kind::Text,
        "The profile of that file. One that is named must be there. Default: `default`, if it is there.",
    )
    .variable("TEMPORAL_PROFILE");
    PROXY_TARGET_HOST = Key::new(
        "proxy.target_host",
        Kind::Text,
        "An HTTP proxy to connect through (by CONNECT), as `host:port`. Default: none.",
    );
    PROXY_BASIC_AUTH_USER = Key::new("proxy.basic_auth_user", Kind::Text, "Who we are to the proxy.");
    PROXY_BASIC_AUTH_PASSWORD = Key::new("proxy.basic_auth_password", Kind::Secret, "Our password there.");
    KEEPALIVE_DISABLED = Key::new("keepalive.disabled", Kind::Flag, "Don't ask whether the connection lives.").default("false");
    KEEPALIVE_INTERVAL_MS = Key::new(
        "keepalive.interval_ms",
        Kind::Integer { min: 1000, max: i32::MAX as i64 },
        "How often that is asked. Servers close connections that ask more often than every 10 s.",
    )
    .default("30000");
    KEEPALIVE_TIMEOUT_MS = Key::new("keepalive.timeout_ms", TIME, "How long the answer may take.").default("15000");
    RETRY_DISABLED = Key::new(
        "retry.disabled",
        Kind::Flag,
        "Make one try of each call. Activities held open beat on as their heartbeat timeout needs.",
    )
    .default("false");
    RETRY_INITIAL_INTERVAL_MS = Key::new("retry.initial_interval_ms", TIME, "The pause after the first try that failed.").default("100");
    RETRY_MULTIPLIER = Key::new(
        "retry.multiplier",
        Kind::Decimal { min: 1.0, max: 100.0 },
        "By how much each pause is longer than the one before.",
    )
    .default("1.7");
    RETRY_MAX_INTERVAL_MS = Key::new("retry.max_interval_ms", TIME, "The longest pause.").default("2000");
    RETRY_RANDOMIZATION_FACTOR = Key::new(
        "retry.randomization_factor",
        Kind::Decimal { min: 0.0, max: 1.0 },
        "By up to which part a pause is shorter, at random.",
    )
    .default("0.3");
    RETRY_MAX_RETRIES = Key::new(
        "retry.max_retries",
        Kind::Integer { min: 0, max: i32::MAX as i64 },
        "How many tries may follow the first; 0: as many as the time of the call allows.",
    )
    .default("0");
    COMPRESSION = Key::new(
        "compression",
        Kind::Word(&["gzip", "none"]),
        "How requests over 1 KiB are compressed once the server has said that it takes it so.",
    )
    .default("gzip");
    MAX_MESSAGE_BYTES = Key::new(
        "max_message_bytes",
        Kind::Integer { min: 4096, max: i32::MAX as i64 },
        "The largest message that is sent, and the largest that is read, uncompressed.",
    )
    .default("67108864");
    REQUIRE_ENCODED = Key::new(
        "require_encoded",
        Kind::Flag,
        "Refuse details and results that no codec has encoded, for a namespace whose data are encrypted.",
    )
    .default("false");
    METRICS_ADDRESS = Key::new(
        "metrics_address",
        Kind::Text,
        "Where Prometheus may fetch the metrics, as ip:port; port 0 is any that is free. Nowhere without it.",
    );
}
