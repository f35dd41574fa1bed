//! Reads a profile of `temporal.toml`.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use toml::{Table, Value as Toml};

use super::files;
use super::{
    settings::Settings,
    table::{self, KEYS, Key},
    value::{Kind, Value},
};
use crate::model::error::{Error, Result};

/// The profile that is used when none is named.
const DEFAULT_PROFILE: &str = "default";
/// The default path of the file within the user's configuration directory.
const DEFAULT_FILE: &str = "temporalio/temporal.toml";

/// Returns the default path, the same as for Temporal's own clients on this system.
pub fn default_path(variables: &[(OsString, OsString)]) -> Option<PathBuf> {
    let variable = |wanted: &str| {
        let found = variables.iter().find(|(name, value)| name == wanted && !value.is_empty());
        found.map(|(_, value)| PathBuf::from(value))
    };
    let home = || variable("HOME").or_else(std::env::home_dir);
    let directory = if cfg!(target_os = "macos") {
        home()?.join("Library/Application Support")
    } else {
        // The XDG specification says to ignore relative paths.
        let configured = variable("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
        configured.or_else(|| Some(home()?.join(".config")))?
    };
    Some(directory.join(DEFAULT_FILE))
}

/// Reads the profile that `settings` name, or the default profile.
pub fn read(settings: &Settings, default_file: Option<PathBuf>) -> Result<Settings> {
    let named = settings.text(&table::CONFIG_FILE).map(|path| PathBuf::from(&*path));
    // Only a path in the options must exist: the caller's own code names it. A variable may name a file that doesn't
    // exist yet, and all Temporal clients ignore that.
    let must_exist = named.is_some() && settings.source(&table::CONFIG_FILE).starts_with("options.");
    let profile = settings.text(&table::PROFILE);
    let (text, path) = match named.or(default_file) {
        None => (String::new(), PathBuf::new()),
        Some(path) => match files::read_text(&path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound && !must_exist => (String::new(), path),
            Err(why) => {
                let source = settings.source(&table::CONFIG_FILE);
                return Err(files::unreadable(&format!("{source} ({})", path.display()), &why));
            }
            Ok(text) => (text.to_string(), path),
        },
    };
    let table: Table = text.parse().map_err(|why| syntax(&path, &text, &why))?;
    let at = format!("profile.{}", profile.as_deref().unwrap_or(DEFAULT_PROFILE));
    let profiles = sub_table(&table, "profile", "profile", &path)?;
    let found = match profiles {
        Some(profiles) => sub_table(profiles, profile.as_deref().unwrap_or(DEFAULT_PROFILE), &at, &path)?,
        None => None,
    };
    match (found, profile) {
        (Some(found), _) => settings_of(found, &at, &path),
        (None, None) => Ok(Settings::default()),
        (None, Some(_)) => {
            let there = profiles.map(|profiles| profiles.keys().map(String::as_str).collect::<Vec<_>>());
            let there = there.filter(|names| !names.is_empty()).map_or_else(
                || "there is none".to_owned(),
                |names| format!("its profiles are {}", names.join(", ")),
            );
            let (source, path) = (settings.source(&table::PROFILE), path.display());
            Err(Error::config(format!("{source} names a profile that {path} doesn't have; {there}")))
        }
    }
}

fn settings_of(profile: &Table, at: &str, path: &Path) -> Result<Settings> {
    let mut settings = Settings::default();
    for (key, place) in KEYS.iter().filter_map(|key| Some((key, key.in_profile?))) {
        let (table, at, name) = match place.split_once('.') {
            None => (Some(profile), at.to_owned(), place),
            Some((group, name)) => {
                let at = format!("{at}.{group}");
                (sub_table(profile, group, &at, path)?, at, name)
            }
        };
        let source = format!("{at}.{name} in {}", path.display());
        if let Some(given) = table.and_then(|table| table.get(name)) {
            let value = value(key, given)
                .ok_or_else(|| Error::config(format!("{source} must be {}", key.kind.wanted())))?;
            // An empty text means that no value is given.
            if value != Value::Text("".into()) {
                settings.put(key, value, source);
            }
        } else if table.is_some() && key.name == table::TLS_DISABLED.name {
            // A table for TLS in the profile turns TLS on.
            settings.put(key, Value::Flag(false), source);
        }
    }
    settings.checked()
}

fn value(key: &Key, given: &Toml) -> Option<Value> {
    match (key.kind, given) {
        (Kind::Flag, Toml::Boolean(flag)) => Some(Value::Flag(*flag)),
        (Kind::Text | Kind::Secret | Kind::Word(_), Toml::String(text)) => key.kind.parse(text).ok(),
        (Kind::Headers, Toml::Table(headers)) => {
            let mut read = BTreeMap::new();
            for (name, text) in headers {
                read.insert(super::security::header_name(name), text.as_str()?.into());
            }
            Some(Value::Headers(read))
        }
        _ => None,
    }
}

fn sub_table<'a>(table: &'a Table, name: &str, at: &str, path: &Path) -> Result<Option<&'a Table>> {
    match table.get(name) {
        None => Ok(None),
        Some(Toml::Table(found)) => Ok(Some(found)),
        Some(_) => Err(Error::config(format!("{at} in {} must be a table", path.display()))),
    }
}

/// Returns a syntax error. The parser's message isn't included: it would show the line, which may contain a secret.
fn syntax(path: &Path, text: &str, why: &toml::de::Error) -> Error {
    let before = why.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    Error::config(format!("{} isn't valid TOML: line {line}: {}", path.display(), why.message()))
}
