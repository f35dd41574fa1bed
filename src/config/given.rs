//! The options that a caller gives as JSON.

use std::collections::BTreeMap;

use super::{
    settings::Settings,
    table::{KEYS, Key},
    value::{Kind, Value},
};
use crate::model::{
    error::{Error, Result},
    json::{Fault, Object},
    secret::Secret,
    status::Status,
};

/// Reads the JSON of connect.
pub fn read(json: &[u8]) -> Result<Settings> {
    let options = Object::parse("options", json)?;
    options.allow_only(&names(|key| key.group().unwrap_or(key.name)))?;
    let mut settings = Settings::default();
    let mut group: Option<(&str, Option<Object<'_>>)> = None;
    for key in KEYS.iter().copied() {
        let Some(name) = key.group() else {
            put(&mut settings, key, &options)?;
            continue;
        };
        // The options of a group stand beside each other.
        if group.as_ref().is_none_or(|(current, _)| *current != name) {
            group = Some((name, open(&mut settings, &options, name)?));
        }
        if let Some((_, Some(object))) = &group {
            put(&mut settings, key, object)?;
        }
    }
    settings.checked()
}

/// The object of a group, or what stands for it in short: true, false, or the text of its first option.
fn open<'a>(settings: &mut Settings, options: &Object<'a>, group: &str) -> Result<Option<Object<'a>>> {
    let Some(first) = KEYS.iter().copied().find(|key| key.group() == Some(group)) else { return Ok(None) };
    if !options.has(group) {
        return Ok(None);
    }
    if options.is_object(group) {
        let object = options.object(group)?;
        if let Some(object) = &object {
            let in_group = |key: &'static Key| if key.group() == Some(group) { key.short_name() } else { "" };
            object.allow_only(&names(in_group))?;
        }
        // Who says how, wants it.
        if first.kind == Kind::Flag {
            settings.put(first, Value::Flag(false), options.at(group));
        }
        return Ok(object);
    }
    let short = match first.kind {
        Kind::Flag => options.boolean(group).ok().flatten().map(|on| Value::Flag(!on)),
        _ => options.string(group).ok().flatten().map(|text| Value::Text(text.into())),
    };
    let wanted = if first.kind == Kind::Flag { "true, false" } else { "a string" };
    let short = short.ok_or_else(|| Fault(format!("{} must be {wanted} or an object", options.at(group))))?;
    settings.put(first, short, options.at(group));
    Ok(None)
}

/// The different names that `name` finds in the table, but for empty ones.
fn names(name: impl Fn(&'static Key) -> &'static str) -> Vec<&'static str> {
    let mut names: Vec<_> = KEYS.iter().copied().map(name).filter(|name| !name.is_empty()).collect();
    names.dedup();
    names
}

fn put(settings: &mut Settings, key: &'static Key, object: &Object<'_>) -> Result<()> {
    if let Some(value) = value(key, object)? {
        settings.put(key, value, object.at(key.short_name()));
    }
    Ok(())
}

fn value(key: &'static Key, object: &Object<'_>) -> Result<Option<Value>> {
    let name = key.short_name();
    Ok(match key.kind {
        Kind::Text | Kind::Secret | Kind::Word(_) => match object.string(name)? {
            Some(text) if text.is_empty() => {
                let at = object.at(name);
                return Err(Error::new(
                    Status::Config,
                    format!("{at} is empty: leave it out for the default"),
                ));
            }
            Some(text) => Some(
                key.kind
                    .parse(&text)
                    .map_err(|wanted| Fault(format!("{} must be {wanted}", object.at(name))))?,
            ),
            None => None,
        },
        Kind::Flag => object.boolean(name)?.map(Value::Flag),
        Kind::Integer { min, max } => object.integer(name, min..=max)?.map(Value::Integer),
        Kind::Decimal { min, max } => object.decimal(name, min..=max)?.map(Value::Decimal),
        Kind::Headers => object.object(name)?.map(|headers| headers_of(&headers)).transpose()?,
    })
}

fn headers_of(object: &Object<'_>) -> Result<Value> {
    let names: Vec<_> = object.keys().map(str::to_owned).collect();
    let mut headers = BTreeMap::new();
    for name in names {
        let text: Secret = object.string(&name)?.unwrap_or_default().into();
        headers.insert(super::security::header_name(&name), text);
    }
    Ok(Value::Headers(headers))
}
