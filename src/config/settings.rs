//! What was given in one place, and what comes of several.

use std::{collections::BTreeMap, time::Duration};

use super::{
    table::{self, KEYS},
    value::Value,
};
use crate::model::{
    error::{Error, Result},
    secret::Secret,
    status::Status,
};

/// Values by the names of their options, each with the place that it was given in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings(BTreeMap<&'static str, Setting>);

#[derive(Clone, Debug, PartialEq)]
struct Setting {
    value: Value,
    source: String,
}

impl Settings {
    /// Takes in a value; `source` is what an error about it should name.
    pub fn put(&mut self, name: &'static str, value: Value, source: String) {
        self.0.insert(name, Setting { value, source });
    }

    /// Whether a value was given.
    pub fn has(&self, name: &str) -> bool {
        self.filled(name).is_some()
    }

    /// Two ways to say the same in one place contradict each other.
    pub fn checked(self) -> Result<Self> {
        self.check_against(&self)?;
        Ok(self)
    }

    /// The same when the two stand in different places, neither of which is plainly the one that counts.
    pub fn check_against(&self, lower: &Settings) -> Result<()> {
        for key in KEYS {
            let Some(alternative) = key.alternative else { continue };
            if let (Some(one), Some(other)) = (self.filled(key.name), lower.filled(alternative)) {
                let (one, other) = (&one.source, &other.source);
                return Err(Error::new(
                    Status::Config,
                    format!(
                        "both {one} and {other} are given, which say the same in two ways: leave out one"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// These settings over `lower` ones, of which there remains what isn't said here.
    pub fn over(self, mut lower: Settings) -> Settings {
        for (name, setting) in self.0 {
            if let Some(alternative) = table::key(name).and_then(|key| key.alternative) {
                lower.0.remove(alternative);
            }
            match (setting.value, lower.0.get_mut(name)) {
                (Value::Headers(more), Some(Setting { value: Value::Headers(headers), .. })) => {
                    headers.extend(more);
                }
                (value, _) => {
                    lower.0.insert(name, Setting { value, source: setting.source });
                }
            }
        }
        lower
    }

    /// Where the value that counts was given, for errors.
    pub fn source(&self, name: &str) -> String {
        self.0.get(name).map_or_else(|| format!("the default of {name}"), |setting| setting.source.clone())
    }

    /// The text that was given, or the default.
    pub fn text(&self, name: &str) -> Option<Secret> {
        match self.value(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it was set, or is by default.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Flag(true)))
    }

    /// The same, if it was given.
    pub fn given_flag(&self, name: &str) -> Option<bool> {
        match self.filled(name)?.value {
            Value::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    /// The names and texts that were given.
    pub fn headers(&self, name: &str) -> BTreeMap<String, Secret> {
        match self.value(name) {
            Some(Value::Headers(headers)) => headers,
            _ => BTreeMap::new(),
        }
    }

    /// The number that was given, or the default.
    pub fn decimal(&self, name: &str) -> f64 {
        match self.value(name) {
            Some(Value::Decimal(number)) => number,
            _ => 0.0,
        }
    }

    /// The number that was given, or the default.
    pub fn integer(&self, name: &str) -> i64 {
        match self.value(name) {
            Some(Value::Integer(number)) => number,
            _ => 0,
        }
    }

    /// The milliseconds that were given, or the default.
    pub fn time(&self, name: &str) -> Duration {
        Duration::from_millis(self.integer(name).unsigned_abs())
    }

    fn value(&self, name: &str) -> Option<Value> {
        match self.filled(name) {
            Some(setting) => Some(setting.value.clone()),
            None => table::key(name)?.default_value(),
        }
    }

    fn filled(&self, name: &str) -> Option<&Setting> {
        self.0.get(name).filter(|setting| setting.value != Value::Nothing)
    }
}
