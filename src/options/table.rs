//! The options, one line each: whatever reads, checks, prints or documents an option does it from here.

use super::value::{Kind, Value};

/// An option of connect.
#[derive(Debug)]
pub struct Key {
    /// Its name; `group.name` for one that stands in an object.
    pub name: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// What it means, in a sentence.
    pub help: &'static str,
    /// The default, as it would be written; `None` when there is none, or when it depends.
    pub default: Option<&'static str>,
    /// The environment variable that says the same; one that ends in `*` stands for all that begin so.
    pub variable: Option<&'static str>,
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
}

/// The option of this name.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// A time in milliseconds that isn't zero.
const TIME: Kind = Kind::Integer { min: 1, max: i32::MAX as i64 };

/// All of them, in the order of the documentation.
pub const KEYS: &[Key] = &[
    Key::new("address", Kind::Text, "Where the server listens, as host:port.")
        .default("127.0.0.1:7233")
        .variable("TEMPORAL_ADDRESS"),
    Key::new("namespace", Kind::Text, "The namespace of the activities.")
        .default("default")
        .variable("TEMPORAL_NAMESPACE"),
    Key::new("identity", Kind::Text, "Who the server is told that we are."),
    Key::new("connect_timeout_ms", TIME, "How long connecting may take.").default("10000"),
    Key::new("lazy", Kind::Flag, "Leave the connection to the first call.").default("false"),
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
