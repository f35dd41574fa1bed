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
    /// Its path in a profile of `temporal.toml`, which may contain it.
    pub in_profile: Option<&'static str>,
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

    /// Returns whether it may be changed while connected.
    pub fn is_reconfigurable(&self) -> bool {
        matches!(self.group(), Some("tls" | "codec_tls"))
            || ["api_key", "api_key_path", "grpc_meta", "codec_auth", "codec_headers"].contains(&self.name)
    }

    /// Returns whether an empty text turns the option off, also against the environment.
    pub fn may_be_empty(&self) -> bool {
        self.name == CODEC_ENDPOINT.name
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
            in_profile: None,
            alternative: None,
        }
    }

    const fn default(self, default: &'static str) -> Self {
        Key { default: Some(default), ..self }
    }

    /// Sets the variable of an option that a profile may contain, too.
    const fn variable(self, variable: &'static str) -> Self {
        Key { variable: Some(variable), in_profile: Some(self.name), ..self }
    }

    /// Sets its path in a profile, if that isn't its name.
    const fn in_profile(self, path: &'static str) -> Self {
        Key { in_profile: Some(path), ..self }
    }

    const fn opposite(self) -> Self {
        Key { inverted: true, ..self }
    }

    const fn not_in_profile(self) -> Self {
        Key { in_profile: None, ..self }
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
    ADDRESS = Key::new("address", Kind::Text, "The server's address, as `host:port` or `dns:///host:port`, or `unix:path` for a socket in the file system.")
        .default("127.0.0.1:7233")
        .variable("TEMPORAL_ADDRESS");
    NAMESPACE = Key::new("namespace", Kind::Text, "The namespace of the activities.")
        .default("default")
        .variable("TEMPORAL_NAMESPACE");
    IDENTITY = Key::new(
        "identity",
        Kind::Text,
        "The identity that the server records. `{pid}`, `{host}` and `{job}` in it are replaced by the process id, the host \
         name and the batch job. Default: `{pid}@{host}`, or `{pid}@{host}/{job}` in a batch job.",
    );
    CONNECT_TIMEOUT_MS = Key::new("connect_timeout_ms", TIME, "The time limit for connecting.").default("10000");
    LAZY = Key::new("lazy", Kind::Flag, "Connect with the first call. Files are still read at once.")
        .default("false");
    WHEN_ABSENT = Key::new(
        "when_absent",
        Kind::Word(&["error", "inactive"]),
        "With `inactive`, and no activity in the environment, connect returns at once and dials nothing: an instrumented program also \
         runs by hand. See [inactive mode](hand-off.md#a-program-that-also-runs-by-hand).",
    )
    .default("error");
    API_KEY = Key::new(
        "api_key",
        Kind::Secret,
        "Sent as `authorization: Bearer ...` with every request. Turns TLS on, unless `tls.disabled` is true.",
    )
    .variable("TEMPORAL_API_KEY")
    .or("api_key_path");
    API_KEY_PATH = Key::new(
        "api_key_path",
        Kind::Text,
        "A file with the API key. White space around the key is ignored. Reread when it changes.",
    )
    .or("api_key");
    TLS_DISABLED = Key::new(
        "tls.disabled",
        Kind::Flag,
        "Use plain text, regardless of other options. Default: false with an API key or any other TLS option, else true.",
    )
    .variable("TEMPORAL_TLS")
    .opposite();
    TLS_SERVER_CA_CERT_PATH = Key::new(
        "tls.server_ca_cert_path",
        Kind::Text,
        "A PEM file with the CA certificates that the server's certificate is checked against. Those that can't be used are skipped. \
         Reread when it changes. Older name of the variable: `TEMPORAL_TLS_CA`. \
         Default: the system's.",
    )
    .variable("TEMPORAL_TLS_SERVER_CA_CERT_PATH")
    .or("tls.server_ca_cert_data");
    TLS_SERVER_CA_CERT_DATA = Key::new("tls.server_ca_cert_data", Kind::Secret, "The PEM text itself, instead of a file.")
        .variable("TEMPORAL_TLS_SERVER_CA_CERT_DATA")
        .or("tls.server_ca_cert_path");
    TLS_CLIENT_CERT_PATH = Key::new(
        "tls.client_cert_path",
        Kind::Text,
        "A PEM file with the client certificate and its intermediate certificates. Reread when it changes. Older \
         name of the variable: `TEMPORAL_TLS_CERT`.",
    )
    .variable("TEMPORAL_TLS_CLIENT_CERT_PATH")
    .or("tls.client_cert_data");
    TLS_CLIENT_CERT_DATA = Key::new("tls.client_cert_data", Kind::Secret, "The PEM text itself, instead of a file.")
        .variable("TEMPORAL_TLS_CLIENT_CERT_DATA")
        .or("tls.client_cert_path");
    TLS_CLIENT_KEY_PATH = Key::new(
        "tls.client_key_path",
        Kind::Text,
        "A PEM file with the client certificate's private key, not encrypted. Reread when it changes. Older name of the \
         variable: `TEMPORAL_TLS_KEY`.",
    )
    .variable("TEMPORAL_TLS_CLIENT_KEY_PATH")
    .or("tls.client_key_data");
    TLS_CLIENT_KEY_DATA = Key::new("tls.client_key_data", Kind::Secret, "The PEM text itself, instead of a file.")
        .variable("TEMPORAL_TLS_CLIENT_KEY_DATA")
        .or("tls.client_key_path");
    TLS_SERVER_NAME = Key::new(
        "tls.server_name",
        Kind::Text,
        "The name that the server's certificate must be valid for, also sent as SNI. Default: the host of the \
         address.",
    )
    .variable("TEMPORAL_TLS_SERVER_NAME");
    TLS_DISABLE_HOST_VERIFICATION = Key::new(
        "tls.disable_host_verification",
        Kind::Flag,
        "Don't check the name in the server's certificate. Without a CA option, any certificate is accepted: for tests \
         only.",
    )
    .default("false")
    .variable("TEMPORAL_TLS_DISABLE_HOST_VERIFICATION");
    GRPC_META = Key::new(
        "grpc_meta",
        Kind::Headers,
        "Headers of every request, by name. In names, upper case and `_` equal lower case and `-`. An empty text removes a \
         header from a source of lower precedence. The text of a name that ends in `-bin` is sent in base64.",
    )
    .variable("TEMPORAL_GRPC_META_*");
    AUTHORITY = Key::new("authority", Kind::Text, "The authority in requests. Default: the address.")
        .variable("TEMPORAL_CLIENT_AUTHORITY");
    CONFIG_FILE = Key::new(
        "config_file",
        Kind::Text,
        "The file with profiles. Default: `temporalio/temporal.toml` in the user's configuration directory.",
    )
    .variable("TEMPORAL_CONFIG_FILE")
    .not_in_profile();
    PROFILE = Key::new(
        "profile",
        Kind::Text,
        "The profile in that file; it must exist. Default: `default`, if it exists.",
    )
    .variable("TEMPORAL_PROFILE")
    .not_in_profile();
    PROXY_TARGET_HOST = Key::new(
        "proxy.target_host",
        Kind::Text,
        "An HTTP proxy to connect through (with CONNECT), as `host:port` or `unix:path`. Default: none.",
    );
    PROXY_BASIC_AUTH_USER = Key::new("proxy.basic_auth_user", Kind::Text, "The user for the proxy.");
    PROXY_BASIC_AUTH_PASSWORD = Key::new("proxy.basic_auth_password", Kind::Secret, "The password for the proxy.");
    KEEPALIVE_DISABLED = Key::new("keepalive.disabled", Kind::Flag, "Don't check whether the connection is alive.").default("false");
    KEEPALIVE_INTERVAL_MS = Key::new(
        "keepalive.interval_ms",
        Kind::Integer { min: 1000, max: i32::MAX as i64 },
        "The time between two checks (PINGs). Servers close connections with more than one in 10 s.",
    )
    .default("30000");
    KEEPALIVE_TIMEOUT_MS = Key::new("keepalive.timeout_ms", TIME, "The time limit for the answer to a check.").default("15000");
    RETRY_DISABLED = Key::new(
        "retry.disabled",
        Kind::Flag,
        "Make only one try of each call. Beats of open activities are still retried.",
    )
    .default("false");
    RETRY_INITIAL_INTERVAL_MS = Key::new("retry.initial_interval_ms", TIME, "The pause after the first failed try.").default("100");
    RETRY_MULTIPLIER = Key::new(
        "retry.multiplier",
        Kind::Decimal { min: 1.0, max: 100.0 },
        "The factor from one pause to the next.",
    )
    .default("1.7");
    RETRY_MAX_INTERVAL_MS = Key::new("retry.max_interval_ms", TIME, "The longest pause.").default("2000");
    RETRY_RANDOMIZATION_FACTOR = Key::new(
        "retry.randomization_factor",
        Kind::Decimal { min: 0.0, max: 1.0 },
        "The largest part by which a pause is shortened at random.",
    )
    .default("0.3");
    RETRY_MAX_RETRIES = Key::new(
        "retry.max_retries",
        Kind::Integer { min: 0, max: i32::MAX as i64 },
        "The most retries of a call; 0: as many as its timeout allows.",
    )
    .default("0");
    COMPRESSION = Key::new(
        "compression",
        Kind::Word(&["gzip", "none"]),
        "The compression of requests over 1 KiB, once the server has announced that it accepts it.",
    )
    .default("gzip");
    MAX_MESSAGE_BYTES = Key::new(
        "max_message_bytes",
        Kind::Integer { min: 4096, max: i32::MAX as i64 },
        "The largest message that is sent or read, before compression. A description of an activity contains all running \
         activities of its workflow, with their details.",
    )
    .default("67108864");
    REQUIRE_ENCODED = Key::new(
        "require_encoded",
        Kind::Flag,
        "Refuse details and results that no codec has encoded, for a namespace with encrypted data.",
    )
    .default("false");
    CODEC_ENDPOINT = Key::new(
        "codec_endpoint",
        Kind::Text,
        "The URL of a codec server, without `/encode`: it encodes every value that is sent, and decodes every value that is \
         read. Only `{namespace}` in it is replaced. An empty string turns off that of the environment. Default: none.",
    )
    .variable("TEMPORAL_CODEC_ENDPOINT")
    .in_profile("codec.endpoint");
    CODEC_AUTH = Key::new(
        "codec_auth",
        Kind::Secret,
        "The header `Authorization` of requests to the codec server, such as `Bearer ...`.",
    )
    .variable("TEMPORAL_CODEC_AUTH")
    .in_profile("codec.auth");
    CODEC_HEADERS = Key::new(
        "codec_headers",
        Kind::Headers,
        "More headers of requests to the codec server, by name.",
    );
    CODEC_HTTP_HOST = Key::new(
        "codec_http_host",
        Kind::Text,
        "The host of a codec server that may be reached by plain `http`. Otherwise `http` is accepted for this computer only.",
    );
    CODEC_TLS_SERVER_CA_CERT_PATH = Key::new(
        "codec_tls.server_ca_cert_path",
        Kind::Text,
        "As `tls.server_ca_cert_path`, for the codec server.",
    )
    .or("codec_tls.server_ca_cert_data");
    CODEC_TLS_SERVER_CA_CERT_DATA =
        Key::new("codec_tls.server_ca_cert_data", Kind::Secret, "The PEM text itself, instead of a file.")
            .or("codec_tls.server_ca_cert_path");
    CODEC_TLS_CLIENT_CERT_PATH =
        Key::new("codec_tls.client_cert_path", Kind::Text, "As `tls.client_cert_path`, for the codec server.")
            .or("codec_tls.client_cert_data");
    CODEC_TLS_CLIENT_CERT_DATA =
        Key::new("codec_tls.client_cert_data", Kind::Secret, "The PEM text itself, instead of a file.")
            .or("codec_tls.client_cert_path");
    CODEC_TLS_CLIENT_KEY_PATH =
        Key::new("codec_tls.client_key_path", Kind::Text, "As `tls.client_key_path`, for the codec server.")
            .or("codec_tls.client_key_data");
    CODEC_TLS_CLIENT_KEY_DATA =
        Key::new("codec_tls.client_key_data", Kind::Secret, "The PEM text itself, instead of a file.")
            .or("codec_tls.client_key_path");
    CODEC_TLS_SERVER_NAME =
        Key::new("codec_tls.server_name", Kind::Text, "As `tls.server_name`, for the codec server.");
    CODEC_TLS_DISABLE_HOST_VERIFICATION = Key::new(
        "codec_tls.disable_host_verification",
        Kind::Flag,
        "As `tls.disable_host_verification`, for the codec server.",
    )
    .default("false");
    ENCODE_COMMON_ATTRIBUTES = Key::new(
        "encode_common_attributes",
        Kind::Flag,
        "Encode the message and the stack trace of failures too, for the failure converters of the SDKs. Without a codec they \
         stay readable.",
    )
    .default("false");
    METRICS_ADDRESS = Key::new(
        "metrics_address",
        Kind::Text,
        "The address on which the metrics are served to Prometheus, as ip:port; port 0: any free port. Default: none.",
    );
}
