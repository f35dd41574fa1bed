//! The flags of the connection: one for each option of the library, named as the `temporal` command names it.

use std::time::Duration;

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches,
    builder::{PossibleValuesParser, TypedValueParser, ValueParser},
};
use serde_json::{Map, Value as Json, json};
use temporal_heartbeat::{
    api::rpc::{self, Call},
    config::{
        Kind, Value,
        table::{KEYS, Key},
    },
    model::error::Result,
};

use crate::value::to_ms;

/// The heading of these flags.
pub const HEADING: &str = "Connection";
/// Options that `-h` shows; `--help` shows all.
const COMMON: [&str; 6] = ["address", "namespace", "api_key", "tls.disabled", "config_file", "profile"];
/// Options without a flag.
const EXCLUDED: [&str; 2] = ["lazy", "when_absent"];
/// Options with a different flag name, as in the `temporal` command.
const RENAMED: [(&str, &str); 9] = [
    ("codec_headers", "codec-header"),
    ("connect_timeout_ms", "client-connect-timeout"),
    ("tls.disabled", "tls"),
    ("tls.client_cert_path", "tls-cert-path"),
    ("tls.client_cert_data", "tls-cert-data"),
    ("tls.client_key_path", "tls-key-path"),
    ("tls.client_key_data", "tls-key-data"),
    ("tls.server_ca_cert_path", "tls-ca-path"),
    ("tls.server_ca_cert_data", "tls-ca-data"),
];
/// Messages of the library that name a group of options.
const PHRASES: [(&str, &str); 4] = [
    (
        "give codec_endpoint, or the codec itself to connect, or encoded values (THB_ENCODING_PAYLOADS)",
        "give --codec-endpoint",
    ),
    ("set tls to false (", "set --tls=false ("),
    ("set tls (", "set --tls ("),
    ("unless `tls.disabled` is true", "unless --tls=false is given"),
];
/// The option with a flag of the opposite meaning: `--tls` is `tls.disabled: false`.
const INVERTED: &str = "tls.disabled";

/// The options that were given on the command line.
#[derive(Debug, Default)]
pub struct Connection(Map<String, Json>);

impl Connection {
    /// Connects the process.
    pub fn connect(&self) -> Result<()> {
        connect(self.0.clone())
    }

    /// Connects the process within a call's timeout, unless a flag sets the time for connecting.
    pub fn connect_within(&self, timeout: Duration) -> Result<()> {
        let mut options = self.0.clone();
        options.entry("connect_timeout_ms").or_insert_with(|| to_ms(timeout).max(1).into());
        connect(options)
    }
}

fn connect(options: Map<String, Json>) -> Result<()> {
    rpc::connect(Json::Object(options).to_string().as_bytes()).and_then(Call::wait)
}

/// Replaces the names of options in a message of the library by the flags.
pub fn with_flags(message: &str) -> String {
    let message = PHRASES.iter().fold(message.to_owned(), |text, (from, to)| text.replace(from, to));
    let mut keys: Vec<&Key> = options().collect();
    // A name can be the start of another one.
    keys.sort_by_key(|key| std::cmp::Reverse(key.name.len()));
    keys.into_iter().fold(message, |text, key| {
        let flag = format!("--{}", flag(key));
        let text =
            text.replace(&format!("options.{}", key.name), &flag).replace(&format!("`{}`", key.name), &flag);
        // A name without one of these characters may be a usual word.
        if key.name.contains(['.', '_']) { replace_word(&text, key.name, &flag) } else { text }
    })
}

/// Replaces a word between spaces or marks of a sentence. So names of files stay the same.
fn replace_word(text: &str, word: &str, by: &str) -> String {
    let replace = |part: &str| {
        let end = part.trim_end_matches([',', ';', ':', '.', '\n']);
        match end == word {
            true => format!("{by}{}", part.get(end.len()..).unwrap_or_default()),
            false => part.to_owned(),
        }
    };
    text.split(' ').map(replace).collect::<Vec<_>>().join(" ")
}

fn flag(key: &Key) -> String {
    match RENAMED.iter().find(|(name, _)| *name == key.name) {
        Some((_, flag)) => (*flag).to_owned(),
        None => key.name.trim_end_matches("_ms").replace(['.', '_'], "-"),
    }
}

fn is_duration(key: &Key) -> bool {
    key.name.ends_with("_ms")
}

fn options() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().copied().filter(|key| !EXCLUDED.contains(&key.name))
}

impl Args for Connection {
    fn augment_args(command: Command) -> Command {
        command.args(options().map(argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn argument(key: &'static Key) -> Arg {
    let mut help = match key.name {
        INVERTED => "Whether to use TLS [default: if there is an API key or another flag of TLS]".to_owned(),
        _ => with_flags(key.help.trim_end_matches('.')),
    };
    if let Some(default) = key.default {
        help.push_str(&format!(" [default: {}]", shown_default(key, default)));
    } else if let Some((text, default)) = help.split_once(". Default: ") {
        help = format!("{text} [default: {default}]");
    }
    if let Some(variable) = key.variable {
        // Without a space, so that the line doesn't break before the name.
        help.push_str(&format!(" [env:{variable}]"));
    }
    let argument = Arg::new(key.name)
        .long(flag(key))
        .help(help)
        .global(true)
        .help_heading(HEADING)
        .hide_short_help(!COMMON.contains(&key.name))
        .action(ArgAction::Set)
        .value_parser(ValueParser::new(move |text: &str| parse(key, text)));
    match key.kind {
        Kind::Flag => {
            argument.value_name("BOOL").num_args(0..=1).require_equals(true).default_missing_value("true")
        }
        Kind::Headers => argument
            .value_name("KEY=VALUE")
            .action(ArgAction::Append)
            .value_parser(ValueParser::new(parse_header)),
        _ if is_duration(key) => argument.value_name("DURATION"),
        Kind::Word(words) => {
            argument.value_name("WORD").value_parser(PossibleValuesParser::new(words).map(Json::String))
        }
        Kind::Integer { .. } | Kind::Decimal { .. } => argument.value_name("NUMBER"),
        Kind::Text | Kind::Secret => argument.value_name(match key.name {
            "address" | "proxy.target_host" | "metrics_address" => "HOST:PORT",
            "namespace" | "profile" => "NAME",
            name if name.ends_with("_path") || name == "config_file" => "PATH",
            _ => "TEXT",
        }),
    }
}

/// Returns the default as the flag's user would write it.
fn shown_default(key: &Key, default: &str) -> String {
    match default.parse() {
        Ok(ms) if is_duration(key) => humantime::format_duration(Duration::from_millis(ms)).to_string(),
        _ => default.to_owned(),
    }
}

/// Parses a flag to the JSON value of its option.
fn parse(key: &Key, text: &str) -> std::result::Result<Json, String> {
    if is_duration(key) {
        let time: Duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
        return match key.kind {
            Kind::Integer { min, .. } if i128::from(to_ms(time)) < i128::from(min) => {
                let min = Duration::from_millis(min.unsigned_abs());
                Err(format!("it must be at least {}", humantime::format_duration(min)))
            }
            _ => Ok(json!(to_ms(time))),
        };
    }
    let value = key.kind.parse(text).map_err(|wanted| format!("it must be {wanted}"))?;
    Ok(match value {
        Value::Flag(flag) => json!(flag != (key.name == INVERTED)),
        Value::Integer(number) => json!(number),
        Value::Decimal(number) => json!(number),
        _ => json!(text),
    })
}

fn parse_header(text: &str) -> std::result::Result<(String, Json), String> {
    let (name, value) = text.split_once('=').ok_or("it must be KEY=VALUE")?;
    Ok((name.to_owned(), json!(value)))
}

impl FromArgMatches for Connection {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        let mut connection = Connection::default();
        connection.update_from_arg_matches(matches)?;
        Ok(connection)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> std::result::Result<(), clap::Error> {
        for key in options() {
            let value = if key.kind == Kind::Headers {
                let headers = matches.get_many::<(String, Json)>(key.name);
                headers.map(|headers| Json::Object(headers.cloned().collect()))
            } else {
                matches.get_one::<Json>(key.name).cloned()
            };
            let Some(value) = value else { continue };
            match key.group() {
                None => _ = self.0.insert(key.name.to_owned(), value),
                Some(group) => {
                    self.0.entry(group).or_insert_with(|| json!({}))[key.short_name()] = value;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Json {
        let command = Connection::augment_args(Command::new("x").no_binary_name(true));
        let matches = command.try_get_matches_from(arguments).unwrap();
        Json::Object(Connection::from_arg_matches(&matches).unwrap().0)
    }

    #[test]
    fn flags_become_the_options_of_connect() {
        assert_eq!(read(&[]), json!({}));
        let given = ["--address", "a:1", "--namespace=n", "--client-connect-timeout", "1m"];
        assert_eq!(read(&given), json!({"address": "a:1", "namespace": "n", "connect_timeout_ms": 60_000}));
    }

    #[test]
    fn messages_name_flags() {
        let said = |text: &str| with_flags(text);
        assert_eq!(
            said("options.tls.client_cert_path is bad: give tls.client_key_path"),
            "--tls-cert-path is bad: give --tls-key-path"
        );
        assert_eq!(
            said("both options.api_key and options.api_key_path"),
            "both --api-key and --api-key-path"
        );
        assert_eq!(said("set api_key, or api_key_path."), "set --api-key, or --api-key-path.");
        assert_eq!(said("As `tls.client_cert_path`, twice."), "As --tls-cert-path, twice.");
        assert_eq!(
            said(
                "is set: give codec_endpoint, or the codec itself to connect, or encoded values (THB_ENCODING_PAYLOADS)"
            ),
            "is set: give --codec-endpoint"
        );
        assert_eq!(said("set tls to false (TEMPORAL_TLS=false)"), "set --tls=false (TEMPORAL_TLS=false)");
        assert_eq!(
            said("options.tls.disabled and options.connect_timeout_ms"),
            "--tls and --client-connect-timeout"
        );
        // A path, and usual words.
        let same = "can't read /a/api_key; the address of the profile";
        assert_eq!(said(same), same);
    }

    #[test]
    fn flag_names_are_unique() {
        let mut flags: Vec<String> = options().map(flag).collect();
        let count = flags.len();
        flags.sort();
        flags.dedup();
        assert_eq!(flags.len(), count);
    }
}
