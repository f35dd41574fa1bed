//! The flags of the connection: one for each option of the library, named as the `temporal` command names it.

use std::time::Duration;

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches,
    builder::{PossibleValuesParser, TypedValueParser, ValueParser},
};
use serde_json::{Map, Value as Json, json};
use temporal_heartbeat::{
    api::rpc,
    config::{
        Kind, Value,
        table::{KEYS, Key},
    },
    model::error::Result,
};

use crate::value::to_ms;

/// Options without a flag.
const EXCLUDED: [&str; 1] = ["lazy"];
/// Options with a different flag name, as in the `temporal` command.
const RENAMED: [(&str, &str); 8] = [
    ("connect_timeout_ms", "client-connect-timeout"),
    ("tls.disabled", "tls"),
    ("tls.client_cert_path", "tls-cert-path"),
    ("tls.client_cert_data", "tls-cert-data"),
    ("tls.client_key_path", "tls-key-path"),
    ("tls.client_key_data", "tls-key-data"),
    ("tls.server_ca_cert_path", "tls-ca-path"),
    ("tls.server_ca_cert_data", "tls-ca-data"),
];
/// The option with a flag of the opposite meaning: `--tls` is `tls.disabled: false`.
const INVERTED: &str = "tls.disabled";

/// The options that were given on the command line.
#[derive(Debug, Default)]
pub struct Connection(Map<String, Json>);

impl Connection {
    /// Connects the process.
    pub fn connect(&self) -> Result<()> {
        rpc::connect(Json::Object(self.0.clone()).to_string().as_bytes())
    }
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
        INVERTED => "Whether to use TLS".to_owned(),
        _ => key.help.trim_end_matches('.').to_owned(),
    };
    if let Some(variable) = key.variable {
        help.push_str(&format!(" [env: {variable}]"));
    }
    let argument = Arg::new(key.name)
        .long(flag(key))
        .help(help)
        .global(true)
        .help_heading("Connection")
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
        Kind::Text | Kind::Secret => argument.value_name("TEXT"),
    }
}

/// Parses a flag to the JSON value of its option.
fn parse(key: &Key, text: &str) -> std::result::Result<Json, String> {
    if is_duration(key) {
        let time: Duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
        return Ok(json!(to_ms(time)));
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
    fn flag_names_are_unique() {
        let mut flags: Vec<String> = options().map(flag).collect();
        let count = flags.len();
        flags.sort();
        flags.dedup();
        assert_eq!(flags.len(), count);
    }
}
