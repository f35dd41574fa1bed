//! JSON objects that callers give as options: read strictly, so that a mistake is reported instead of ignored.
//!
//! An error names the path of the wrong value and never the value itself, which may be a secret.

use std::{collections::HashSet, fmt, ops::RangeInclusive};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::error::{Error, Result};

/// The longest text, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;
/// The most levels of objects and arrays within each other.
pub const MAX_DEPTH: usize = 16;

/// Parses a JSON object and passes it to `read`. Refuses keys that `read` didn't request. Errors call the text
/// `name`. An empty text is the empty object.
pub fn read<'a, T>(name: &str, text: &'a [u8], read: impl FnOnce(&mut Object<'a>) -> Result<T>) -> Result<T> {
    if text.len() > MAX_BYTES {
        return Err(Error::config(format!(
            "{name} is {} bytes long; at most {MAX_BYTES} are read",
            text.len()
        )));
    }
    let text =
        std::str::from_utf8(text).map_err(|why| Error::config(format!("{name} isn't valid UTF-8: {why}")))?;
    let value: &RawValue = serde_json::from_str(if text.is_empty() { "{}" } else { text })
        .map_err(|why| Error::config(format!("{name} isn't valid JSON: {why}")))?;
    check(value.get(), 0).map_err(|why| Error::config(format!("{name}{why}")))?;
    Object::read(name.to_owned(), value.get(), read)
}

/// A JSON object. Each value is parsed when it is requested. A missing value and `null` are the same.
pub struct Object<'a> {
    path: String,
    /// The entries that weren't requested yet.
    entries: Vec<(String, &'a RawValue)>,
    /// The keys that were requested.
    known: Vec<&'static str>,
}

impl<'a> Object<'a> {
    fn read<T>(path: String, text: &'a str, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let Ok(Entries(entries)) = serde_json::from_str(text) else {
            return Err(Error::config(format!("{path} must be a JSON object")));
        };
        let mut object = Object { path, entries, known: Vec::new() };
        let value = read(&mut object)?;
        match object.entries.first() {
            None => Ok(value),
            Some((key, _)) => Err(Error::config(format!(
                "{}: there is no such key; the keys are {}",
                object.at(key),
                object.known.join(", ")
            ))),
        }
    }

    /// Returns the string under `key`.
    pub fn string(&mut self, key: &'static str) -> Result<Option<String>> {
        self.get(key, "a string")
    }

    /// Returns the boolean under `key`.
    pub fn boolean(&mut self, key: &'static str) -> Result<Option<bool>> {
        self.get(key, "true or false")
    }

    /// Returns the integer under `key`, in any spelling (`30000`, `3e4`, `30000.0`).
    pub fn integer(&mut self, key: &'static str, range: RangeInclusive<i64>) -> Result<Option<i64>> {
        let wanted = format_args!("an integer from {} to {}", range.start(), range.end());
        self.parse(key, wanted, |text| integer(text).filter(|number| range.contains(number)))
    }

    /// Returns the number under `key`.
    pub fn decimal(&mut self, key: &'static str, range: RangeInclusive<f64>) -> Result<Option<f64>> {
        let wanted = format_args!("a number from {} to {}", range.start(), range.end());
        self.parse(key, wanted, |text| {
            serde_json::from_str(text).ok().filter(|number| range.contains(number))
        })
    }

    /// Returns the texts of the values in the array under `key`.
    pub fn array(&mut self, key: &'static str) -> Result<Option<Vec<&'a RawValue>>> {
        self.get(key, "an array")
    }

    /// Passes the object under `key` to `read`, and refuses keys that `read` didn't request.
    pub fn object<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Object<'a>) -> Result<T>,
    ) -> Result<Option<T>> {
        self.take(key).map(|text| Self::read(self.at(key), text, read)).transpose()
    }

    /// Returns all entries. Each value must be a string.
    pub fn strings(&mut self) -> Result<Vec<(String, String)>> {
        let entries = std::mem::take(&mut self.entries).into_iter();
        entries
            .filter(|(_, value)| value.get() != "null")
            .map(|(key, value)| match serde_json::from_str(value.get()) {
                Ok(text) => Ok((key, text)),
                Err(_) => Err(Error::config(format!("{} must be a string", self.at(&key)))),
            })
            .collect()
    }

    /// Reports whether there is a value under `key`.
    pub fn contains(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, value)| name == key && value.get() != "null")
    }

    /// Reports whether the value under `key` is an object.
    pub fn is_object(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, value)| name == key && value.get().starts_with('{'))
    }

    /// Returns the path of `key`.
    pub fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    /// Returns the value under `key`; an error says that it must be `wanted`.
    pub fn get<T: Deserialize<'a>>(&mut self, key: &'static str, wanted: &str) -> Result<Option<T>> {
        self.parse(key, wanted, |text| serde_json::from_str(text).ok())
    }

    fn parse<T>(
        &mut self,
        key: &'static str,
        wanted: impl fmt::Display,
        parse: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(text) = self.take(key) else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| Error::config(format!("{} must be {wanted}", self.at(key))))
    }

    fn take(&mut self, key: &'static str) -> Option<&'a str> {
        self.known.push(key);
        let at = self.entries.iter().position(|(name, _)| name == key)?;
        Some(self.entries.remove(at).1.get()).filter(|text| *text != "null")
    }
}

/// Returns the integer in `text`, if an `i64` and a double both represent it exactly.
fn integer(text: &str) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    // Only numbers: `str::parse` would even accept "inf".
    let number: f64 = serde_json::from_str(text).ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53, so nothing is cut")]
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

/// Checks the depth of a valid JSON text, and that no object in it has duplicate keys. An error begins with the path
/// from here. The path is built while returning, because most texts have no error and a path may be as long as the
/// text.
fn check(text: &str, depth: usize) -> std::result::Result<(), String> {
    let invalid = |why| format!(" isn't valid JSON: {why}");
    let is_object = text.starts_with('{');
    if !is_object && !text.starts_with('[') {
        return Ok(());
    }
    if depth == MAX_DEPTH {
        return Err(format!(": nested deeper than {MAX_DEPTH}"));
    }
    if is_object {
        let Entries(entries) = serde_json::from_str(text).map_err(invalid)?;
        let mut seen = HashSet::new();
        for (key, value) in &entries {
            if !seen.insert(key) {
                return Err(format!(".{key}: the key is given twice"));
            }
            check(value.get(), depth + 1).map_err(|why| format!(".{key}{why}"))?;
        }
    } else {
        let values: Vec<&RawValue> = serde_json::from_str(text).map_err(invalid)?;
        for (at, value) in values.iter().enumerate() {
            check(value.get(), depth + 1).map_err(|why| format!("[{at}]{why}"))?;
        }
    }
    Ok(())
}

/// The entries of an object in order, with duplicates, which a map would drop.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads one value under `key`.
    fn value<'a, T>(text: &'a str, get: impl FnOnce(&mut Object<'a>) -> Result<T>) -> Result<T> {
        read("options", text.as_bytes(), get)
    }

    fn refused(text: &[u8]) -> String {
        read("options", text, |object| object.array("a")).unwrap_err().message().to_owned()
    }

    #[test]
    fn null_equals_a_missing_value() {
        for text in ["{\"a\": null}", "{}", ""] {
            assert_eq!(value(text, |object| object.string("a")).unwrap(), None, "{text}");
            assert!(value(text, |object| object.strings()).unwrap().is_empty(), "{text}");
        }
    }

    #[test]
    fn integers_are_parsed_in_any_spelling_within_their_range() {
        let ms =
            |text: &str| value(&format!("{{\"ms\": {text}}}"), |object| object.integer("ms", 0..=99_999));
        for spelling in ["30000", "3e4", "30000.0", "0.3E+5"] {
            assert_eq!(ms(spelling).unwrap(), Some(30_000), "{spelling}");
        }
        for wrong in ["1.5", "-1", "100000", "1e300", "\"1\"", "[1]", "true"] {
            let error = ms(wrong).unwrap_err();
            assert_eq!(error.message(), "options.ms must be an integer from 0 to 99999", "{wrong}");
        }
    }

    #[test]
    fn duplicate_key_is_named_by_its_path() {
        assert_eq!(refused(b"{\"a\":[{\"b\":1,\"b\":2}]}"), "options.a[0].b: the key is given twice");
        assert_eq!(refused(b"{\"a\":[],\"\\u0061\":[]}"), "options.a: the key is given twice");
    }

    #[test]
    fn unknown_key_error_lists_the_known_keys() {
        let keys = |object: &mut Object<'_>| Ok((object.string("address")?, object.boolean("lazy")?));
        for text in ["{\"adress\":\"x\"}", "{\"adress\":null,\"lazy\":true}"] {
            let error = value(text, keys).unwrap_err();
            assert_eq!(error.message(), "options.adress: there is no such key; the keys are address, lazy");
        }
        let error =
            value("{\"tls\":{\"x\":1}}", |object| object.object("tls", |tls| tls.string("y"))).unwrap_err();
        assert_eq!(error.message(), "options.tls.x: there is no such key; the keys are y");
    }

    #[test]
    fn values_are_never_repeated_in_errors() {
        let text = "{\"a\":\"hunter2\"}";
        for error in [
            value(text, |object| object.boolean("a")).unwrap_err(),
            value(text, |object| object.integer("a", 0..=1)).unwrap_err(),
            value(text, |object| object.decimal("a", 0.0..=1.0)).unwrap_err(),
            value(text, |object| object.array("a")).unwrap_err(),
            value(text, |object| object.object("a", |_| Ok(()))).unwrap_err(),
            value("{\"a\":[\"hunter2\"]}", |object| object.strings()).unwrap_err(),
            value("{\"a\":\"hunter2\\ud800\"}", |object| object.string("a")).unwrap_err(),
            value("{\"a\":\"hunter2\", hunter2}", |object| object.string("a")).unwrap_err(),
        ] {
            assert!(error.message().starts_with("options"), "{error}");
            assert!(!error.message().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn text_other_than_an_object_is_refused() {
        assert_eq!(refused(b"[1]"), "options must be a JSON object");
        assert!(refused(b"{\"a\":1").contains("isn't valid JSON"));
        assert!(refused(b"{} {}").contains("isn't valid JSON"));
        assert!(refused(b"{\"\\ud800\":1}").contains("isn't valid JSON"));
        assert!(refused(b"{\"a\":\"\xff\"}").contains("UTF-8"));
        assert!(refused(format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_BYTES)).as_bytes()).contains("at most"));
    }

    #[test]
    fn depth_has_a_limit() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert!(value(&nested(MAX_DEPTH), |object| object.array("a")).is_ok());
        for depth in [MAX_DEPTH + 1, MAX_BYTES / 2 - 10] {
            assert!(refused(nested(depth).as_bytes()).contains("nested deeper than 16"));
        }
    }
}
