//! The flags of a connection: one for each option of the library's table, named as the `temporal` command names it.

use std::time::Duration;

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, builder::ValueParser, error::ErrorKind,
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

/// Options that make no sense here.
const LEFT_OUT: [&str; 1] = ["lazy"];
/// What the `temporal` command calls otherwise than the options are called.
const RENAMED: [(&str, &str); 10] = [
    ("connect_timeout_ms", "client-connect-timeout"),
    ("tls.disabled", "tls"),
    ("tls.client_cert_path", "tls-cert-path"),
    ("tls.client_cert_data", "tls-cert-data"),
    ("tls.client_key_path", "tls-key-path"),
    ("tls.client_key_data", "tls-key-data"),
    ("tls.server_ca_cert_path", "tls-ca-path"),
    ("tls.server_ca_cert_data", "tls-ca-data"),
    ("grpc_meta", "grpc-meta"),
    ("config_file", "config-file"),
];
/// The one option that the flag says the other way round: `--tls` is `tls.disabled: false`.
const INVERTED: &str = "tls.disabled";

/// What was given on the command line.
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

fn is_time(key: &Key) -> bool {
    key.name.ends_with("_ms")
}

fn shown() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|key| !LEFT_OUT.contains(&key.name))
}

impl Args for Connection {
    fn augment_args(command: Command) -> Command {
        shown().fold(command, |command, key| {
            let flag = flag(key);
            let mut help = match key.name {
                INVERTED => "Whether to use TLS".to_owned(),
                _ => key.help.trim_end_matches('.').to_owned(),
            };
            if let Some(variable) = key.variable {
                help.push_str(&format!(" [env: {variable}]"));
            }
            let argument = Arg::new(key.name)
                .long(flag)
                .help(help)
                .global(true)
                .help_heading("Connection")
                .action(ArgAction::Set);
            command.arg(match key.kind {
                Kind::Flag => argument
                    .value_name("BOOL")
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true"),
                Kind::Headers => argument.value_name("KEY=VALUE").action(ArgAction::Append),
                _ if is_time(key) => {
                    argument.value_name("DURATION").value_parser(ValueParser::new(humantime::parse_duration))
                }
                Kind::Word(words) => argument.value_name("WORD").value_parser(words.to_vec()),
                Kind::Integer { .. } | Kind::Decimal { .. } => argument.value_name("NUMBER"),
                Kind::Text | Kind::Secret => argument.value_name("TEXT"),
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Connection {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        let mut connection = Connection::default();
        connection.update_from_arg_matches(matches)?;
        Ok(connection)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> std::result::Result<(), clap::Error> {
        for key in shown() {
            if let Some(value) = value(key, matches)? {
                match key.group() {
                    None => self.0.insert(key.name.to_owned(), value),
                    Some(group) => self
                        .0
                        .entry(group)
                        .or_insert_with(|| json!({}))
                        .as_object_mut()
                        .and_then(|group| group.insert(key.short_name().to_owned(), value)),
                };
            }
        }
        Ok(())
    }
}

/// The option's value in JSON, if the flag was given. The library checks what it says.
fn value(key: &Key, matches: &ArgMatches) -> std::result::Result<Option<Json>, clap::Error> {
    if is_time(key) {
        let time = matches.get_one::<Duration>(key.name);
        return Ok(time.map(|time| json!(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))));
    }
    let wrong = |why: &str| clap::Error::raw(ErrorKind::InvalidValue, format!("--{}: {why}\n", flag(key)));
    if key.kind == Kind::Headers {
        let Some(given) = matches.get_many::<String>(key.name) else { return Ok(None) };
        let mut headers = Map::new();
        for text in given {
            let (name, value) = text.split_once('=').ok_or_else(|| wrong("it must be KEY=VALUE"))?;
            headers.insert(name.to_owned(), json!(value));
        }
        return Ok(Some(Json::Object(headers)));
    }
    let Some(text) = matches.get_one::<String>(key.name) else { return Ok(None) };
    let read = key.kind.parse(text).map_err(|wanted| wrong(&format!("it must be {wanted}")))?;
    Ok(Some(match read {
        Value::Flag(flag) => json!(flag != (key.name == INVERTED)),
        Value::Integer(number) => json!(number),
        Value::Decimal(number) => json!(number),
        _ => json!(text),
    }))
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
    fn flags_have_names_of_their_own() {
        let mut flags: Vec<String> = shown().map(flag).collect();
        let count = flags.len();
        flags.sort();
        flags.dedup();
        assert_eq!(flags.len(), count);
    }
}
