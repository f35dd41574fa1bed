//! Reads the options that a caller gives as JSON.

use std::collections::BTreeMap;

use super::{
    security::header_name,
    settings::Settings,
    table::{KEYS, Key},
    value::{Kind, Value},
};
use crate::model::{
    error::{Error, Result},
    json::{self, Object},
    secret::Secret,
};

/// Reads the options of connect.
pub fn read(json: &[u8]) -> Result<Settings> {
    let mut settings = Settings::default();
    json::read("options", json, |options| {
        for keys in KEYS.chunk_by(|one, next| one.group().is_some() && one.group() == next.group()) {
            match keys {
                [key] if key.group().is_none() => put(&mut settings, key, options)?,
                _ => put_group(&mut settings, keys, options)?,
            }
        }
        Ok(())
    })?;
    settings.checked()
}

/// Stores the options of a group from an object, or from the short form of the group: true, false, or its first
/// option's text.
fn put_group(settings: &mut Settings, keys: &[&'static Key], options: &mut Object<'_>) -> Result<()> {
    let Some((first, group)) = keys.first().and_then(|first| Some((first, first.group()?))) else {
        return Ok(());
    };
    let at = options.at(group);
    if options.is_object(group) {
        // An option of a group turns the group on.
        if first.kind == Kind::Flag {
            settings.put(first, Value::Flag(false), at);
        }
        options.object(group, |object| keys.iter().try_for_each(|key| put(settings, key, object)))?;
        return Ok(());
    }
    let short = match first.kind {
        Kind::Flag => options.get(group, "true, false or an object")?.map(|on: bool| Value::Flag(!on)),
        _ => options.get(group, "a string or an object")?.map(|text: String| Value::Text(text.into())),
    };
    if let Some(short) = short {
        settings.put(first, short, at);
    }
    Ok(())
}

fn put(settings: &mut Settings, key: &'static Key, object: &mut Object<'_>) -> Result<()> {
    let name = key.short_name();
    let at = object.at(name);
    let value = match key.kind {
        Kind::Text | Kind::Secret | Kind::Word(_) => match object.string(name)?.map(Secret::from) {
            Some(text) if text.is_empty() && key.may_be_empty() => Some(Value::Nothing),
            Some(text) if text.is_empty() => {
                return Err(Error::config(format!("{at} is empty: leave it out for the default")));
            }
            Some(text) => {
                let wrong = |wanted| Error::config(format!("{at} must be {wanted}"));
                Some(key.kind.parse(&text).map_err(wrong)?)
            }
            None => None,
        },
        Kind::Flag => object.boolean(name)?.map(Value::Flag),
        Kind::Integer { min, max } => object.integer(name, min..=max)?.map(Value::Integer),
        Kind::Decimal { min, max } => object.decimal(name, min..=max)?.map(Value::Decimal),
        Kind::Headers => object.object(name, |headers| {
            let mut named = BTreeMap::new();
            for (name, text) in headers.strings()? {
                named.insert(header_name(&name), text.into());
            }
            Ok(Value::Headers(named))
        })?,
    };
    if let Some(value) = value {
        settings.put(key, value, at);
    }
    Ok(())
}
