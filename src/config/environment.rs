//! Reads the environment variables that every Temporal client reads.

use std::{collections::BTreeMap, ffi::OsString};

use super::{
    settings::Settings,
    table::{self, KEYS, Key},
    value::{Kind, Value},
};
use crate::model::{
    error::{Error, Result},
    secret::Secret,
};

/// Older names of variables, with a lower rank than the current ones.
const OLDER: [(&str, &Key); 3] = [
    ("TEMPORAL_TLS_CA", &table::TLS_SERVER_CA_CERT_PATH),
    ("TEMPORAL_TLS_CERT", &table::TLS_CLIENT_CERT_PATH),
    ("TEMPORAL_TLS_KEY", &table::TLS_CLIENT_KEY_PATH),
];

/// Reads the variables. An empty variable hides the value from the file. An empty boolean variable is ignored.
pub fn read(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Settings> {
    let (mut settings, mut older) = (Settings::default(), Settings::default());
    let mut headers: BTreeMap<String, Secret> = BTreeMap::new();
    for (name, value) in variables {
        let Ok(name) = name.into_string() else { continue };
        let current = KEYS.iter().find(|key| key.variable.is_some_and(|variable| names(variable, &name)));
        let (key, settings) = match (current, OLDER.iter().find(|(older, _)| *older == name)) {
            (Some(key), _) => (*key, &mut settings),
            (None, Some((_, key))) => (*key, &mut older),
            (None, None) => continue,
        };
        let value = value
            .into_string()
            .map_err(|_| Error::config(format!("{name} isn't valid UTF-8")))
            .map(Secret::from)?;
        match key {
            Key { kind: Kind::Headers, variable: Some(variable), .. } => {
                let header = name.get(variable.len() - 1..).unwrap_or_default();
                headers.insert(super::security::header_name(header), value);
            }
            Key { kind: Kind::Flag, .. } if value.is_empty() => {}
            _ if value.is_empty() => settings.put(key, Value::Nothing, name),
            _ => {
                let value = key
                    .kind
                    .parse(&value)
                    .map_err(|wanted| Error::config(format!("{name} must be {wanted}")))?;
                let value = if key.inverted { value.opposite() } else { value };
                settings.put(key, value, name);
            }
        }
    }
    if !headers.is_empty() {
        settings.put(&table::GRPC_META, Value::Headers(headers), "TEMPORAL_GRPC_META_*".to_owned());
    }
    Ok(settings.checked()?.over(older))
}

/// Returns whether a variable of the table has this name.
fn names(variable: &str, name: &str) -> bool {
    match variable.strip_suffix('*') {
        Some(prefix) => name.len() > prefix.len() && name.starts_with(prefix),
        None => variable == name,
    }
}
