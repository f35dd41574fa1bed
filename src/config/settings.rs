//! The values from one source, and how they override those from another.

use std::{collections::BTreeMap, time::Duration};

use super::{
    table::{KEYS, Key},
    value::{Kind, Value},
};
use crate::model::{
    error::{Error, Result},
    secret::Secret,
};

/// Values by the names of their options, each with its source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings(BTreeMap<&'static str, Setting>);

#[derive(Clone, Debug, PartialEq)]
struct Setting {
    value: Value,
    source: String,
    alternative: Option<&'static str>,
}

impl Settings {
    /// Sets a value. Errors about it name `source`.
    pub fn put(&mut self, key: &'static Key, value: Value, source: String) {
        self.0.insert(key.name, Setting { value, source, alternative: key.alternative });
    }

    /// Returns whether a value was given.
    pub fn has(&self, key: &Key) -> bool {
        self.filled(key.name).is_some()
    }

    /// Returns whether the option was given, but empty.
    pub fn is_turned_off(&self, key: &Key) -> bool {
        self.0.get(key.name).is_some_and(|setting| setting.value == Value::Nothing)
    }

    /// Refuses an option together with its alternative in the same source.
    pub fn checked(self) -> Result<Self> {
        self.check_against(&self)?;
        Ok(self)
    }

    /// Refuses an option here together with its alternative in `lower`, if neither source clearly overrides the
    /// other.
    pub fn check_against(&self, lower: &Settings) -> Result<()> {
        for key in KEYS {
            let Some(alternative) = key.alternative else { continue };
            if let (Some(one), Some(other)) = (self.filled(key.name), lower.filled(alternative)) {
                let (one, other) = (&one.source, &other.source);
                return Err(Error::config(format!(
                    "both {one} and {other} are given, which are alternatives: leave out one"
                )));
            }
        }
        Ok(())
    }

    /// Returns `lower` overridden by these settings.
    pub fn over(self, mut lower: Settings) -> Settings {
        for (name, setting) in self.0 {
            if let Some(alternative) = setting.alternative {
                lower.0.remove(alternative);
            }
            match (setting, lower.0.get_mut(name)) {
                (
                    Setting { value: Value::Headers(more), .. },
                    Some(Setting { value: Value::Headers(headers), .. }),
                ) => headers.extend(more),
                (setting, _) => {
                    lower.0.insert(name, setting);
                }
            }
        }
        lower
    }

    /// Returns the source of a value, for errors.
    pub fn source(&self, key: &Key) -> String {
        let given = self.0.get(key.name).map(|setting| setting.source.clone());
        given.unwrap_or_else(|| format!("the default of {}", key.name))
    }

    /// Returns the text that was given, or the default.
    pub fn text(&self, key: &Key) -> Option<Secret> {
        debug_assert!(matches!(key.kind, Kind::Text | Kind::Secret | Kind::Word(_)), "{}", key.name);
        match self.value(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the flag that was given, or the default.
    pub fn flag(&self, key: &Key) -> bool {
        debug_assert!(key.kind == Kind::Flag && key.default.is_some(), "{}", key.name);
        matches!(self.value(key), Some(Value::Flag(true)))
    }

    /// Returns the flag that was given.
    pub fn given_flag(&self, key: &Key) -> Option<bool> {
        match self.filled(key.name)?.value {
            Value::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    /// Returns the headers that were given, by name.
    pub fn headers(&self, key: &Key) -> BTreeMap<String, Secret> {
        debug_assert!(key.kind == Kind::Headers, "{}", key.name);
        match self.value(key) {
            Some(Value::Headers(headers)) => headers,
            _ => BTreeMap::new(),
        }
    }

    /// Returns the number that was given, or the default.
    pub fn decimal(&self, key: &Key) -> f64 {
        debug_assert!(matches!(key.kind, Kind::Decimal { .. }), "{}", key.name);
        match self.value(key) {
            Some(Value::Decimal(number)) => number,
            _ => 0.0,
        }
    }

    /// Returns the number that was given, or the default.
    pub fn integer(&self, key: &Key) -> i64 {
        debug_assert!(matches!(key.kind, Kind::Integer { .. }), "{}", key.name);
        match self.value(key) {
            Some(Value::Integer(number)) => number,
            _ => 0,
        }
    }

    /// Returns the time that was given in milliseconds, or the default.
    pub fn time(&self, key: &Key) -> Duration {
        Duration::from_millis(self.integer(key).unsigned_abs())
    }

    fn value(&self, key: &Key) -> Option<Value> {
        self.filled(key.name).map_or_else(|| key.default_value(), |setting| Some(setting.value.clone()))
    }

    fn filled(&self, name: &str) -> Option<&Setting> {
        self.0.get(name).filter(|setting| setting.value != Value::Nothing)
    }
}
