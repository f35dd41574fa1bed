//! JSON objects that callers give as options: read strictly, so that a mistake is found instead of ignored.
//!
//! An error names the path of what is wrong and never its value, which may be a secret.

use std::{collections::HashSet, fmt, ops::RangeInclusive};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The longest text, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;
/// How deep objects and arrays may stand in each other.
pub const MAX_DEPTH: usize = 16;

/// What is wrong with a text, and where.
#[derive(Debug, PartialEq)]
pub struct Fault(pub String);

type Result<T> = std::result::Result<T, Fault>;

/// A JSON object whose values are read when they are asked for. An absent value and `null` are the same.
pub struct Object<'a> {
    path: String,
    entries: Vec<(String, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// Reads a whole text, which errors call `name`. An empty text is the empty object.
    pub fn parse(name: &str, text: &'a [u8]) -> Result<Self> {
        if text.len() > MAX_BYTES {
            return Err(Fault(format!("{name} is {} bytes long; at most {MAX_BYTES} are read", text.len())));
        }
        let text =
            std::str::from_utf8(text).map_err(|why| Fault(format!("{name} isn't valid UTF-8: {why}")))?;
        if text.is_empty() {
            return Ok(Object { path: name.to_owned(), entries: Vec::new() });
        }
        check_shape(name, text)?;
        Self::read(name.to_owned(), text)
    }

    fn read(path: String, text: &'a str) -> Result<Self> {
        if !text.trim_start().starts_with('{') {
            return Err(Fault(format!("{path} must be a JSON object")));
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        let entries = reader.deserialize_map(Entries).map_err(|why| Fault(format!("{path}: {why}")))?;
        Ok(Object { path, entries })
    }

    /// The keys that have a value.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(|(_, value)| value.get() != "null").map(|(key, _)| key.as_str())
    }

    /// Refuses every key but these.
    pub fn allow_only(&self, known: &[&str]) -> Result<()> {
        match self.entries.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some((key, _)) => Err(Fault(format!(
                "{}: there is no such key; the keys are {}",
                self.at(key),
                known.join(", ")
            ))),
        }
    }

    /// The string under `key`.
    pub fn string(&self, key: &str) -> Result<Option<String>> {
        self.value(key, "a string", |text| serde_json::from_str(text).ok())
    }

    /// The boolean under `key`.
    pub fn boolean(&self, key: &str) -> Result<Option<bool>> {
        self.value(key, "true or false", |text| serde_json::from_str(text).ok())
    }

    /// The integer under `key`, in whatever spelling (`30000`, `3e4`, `30000.0`).
    pub fn integer(&self, key: &str, range: RangeInclusive<i64>) -> Result<Option<i64>> {
        let wanted = format!("an integer from {} to {}", range.start(), range.end());
        self.value(key, &wanted, |text| integer(text).filter(|number| range.contains(number)))
    }

    /// The number under `key`.
    pub fn decimal(&self, key: &str, range: RangeInclusive<f64>) -> Result<Option<f64>> {
        let wanted = format!("a number from {} to {}", range.start(), range.end());
        self.value(key, &wanted, |text| {
            serde_json::from_str(text).ok().filter(|number| range.contains(number))
        })
    }

    /// The texts of the values in the array under `key`.
    pub fn array(&self, key: &str) -> Result<Option<Vec<&'a str>>> {
        self.value(key, "an array", |text| {
            let values: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            Some(values.into_iter().map(RawValue::get).collect())
        })
    }

    /// The object under `key`.
    pub fn object(&self, key: &str) -> Result<Option<Object<'a>>> {
        self.raw(key).map(|text| Self::read(self.at(key), text)).transpose()
    }

    /// Whether there is a value under `key`.
    pub fn has(&self, key: &str) -> bool {
        self.raw(key).is_some()
    }

    /// Whether it is an object.
    pub fn is_object(&self, key: &str) -> bool {
        self.raw(key).is_some_and(|text| text.starts_with('{'))
    }

    /// Where `key` of this object stands.
    pub fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    fn raw(&self, key: &str) -> Option<&'a str> {
        let (_, value) = self.entries.iter().find(|(name, _)| name == key)?;
        Some(value.get()).filter(|text| *text != "null")
    }

    fn value<T>(
        &self,
        key: &str,
        wanted: &str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.raw(key) {
            None => Ok(None),
            Some(text) => {
                read(text).map(Some).ok_or_else(|| Fault(format!("{} must be {wanted}", self.at(key))))
            }
        }
    }
}

/// The whole number that `text` spells, if it is one that an `i64` and a double both hold.
fn integer(text: &str) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    // Strings and arrays are no numbers; `parse` would even take "inf".
    let number: f64 = serde_json::from_str(text).ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53, so nothing is cut")]
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

/// Collects an object's entries without reading their values.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(entries)
    }
}

/// Checks syntax, depth and duplicate keys of a whole text.
fn check_shape(name: &str, text: &str) -> Result<()> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let shape = Shape { name, within: None };
    shape.deserialize(&mut reader).and_then(|()| reader.end()).map_err(|why| match why.classify() {
        // Ours, from below: it names its path already. serde_json adds only the place.
        serde_json::error::Category::Data => Fault(why.to_string()),
        _ => Fault(format!("{name} isn't valid JSON: {why}")),
    })
}

/// One value of the text, whatever it is.
#[derive(Clone, Copy)]
struct Shape<'a> {
    /// The text's name, for errors.
    name: &'a str,
    /// Where in it the value stands; the text as a whole stands in nothing.
    within: Option<&'a Place<'a>>,
}

/// Where a value stands in the one around it. It is put into words only for an error: a path can be as long as the text,
/// and there are as many as values.
struct Place<'a> {
    around: Shape<'a>,
    step: Step<'a>,
}

enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl Shape<'_> {
    fn depth(&self) -> usize {
        self.within.map_or(0, |place| place.around.depth() + 1)
    }

    fn check_depth<E: serde::de::Error>(&self) -> std::result::Result<(), E> {
        if self.depth() == MAX_DEPTH {
            return Err(E::custom(format_args!("{self}: nested deeper than {MAX_DEPTH}")));
        }
        Ok(())
    }
}

impl fmt::Display for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.within {
            None => f.write_str(self.name),
            Some(Place { around, step: Step::Key(key) }) => write!(f, "{around}.{key}"),
            Some(Place { around, step: Step::Index(at) }) => write!(f, "{around}[{at}]"),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Shape<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> std::result::Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shape<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        self.check_depth()?;
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let place = Place { around: self, step: Step::Key(&key) };
            let value = Shape { name: self.name, within: Some(&place) };
            if seen.contains(&key) {
                return Err(A::Error::custom(format_args!("{value}: the key stands there twice")));
            }
            map.next_value_seed(value)?;
            seen.insert(key);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<(), A::Error> {
        self.check_depth()?;
        for at in 0.. {
            let place = Place { around: self, step: Step::Index(at) };
            if list.next_element_seed(Shape { name: self.name, within: Some(&place) })?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> std::result::Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Object<'_>> {
        Object::parse("options", text.as_bytes())
    }

    fn fault(text: &str) -> String {
        parse(text).err().expect("a fault").0
    }

    #[test]
    fn null_and_nothing_are_the_same() {
        assert_eq!(parse("{\"a\": null}").unwrap().string("a"), Ok(None));
        assert_eq!(parse("{}").unwrap().string("a"), Ok(None));
        assert_eq!(parse("").unwrap().string("a"), Ok(None));
        assert_eq!(parse("{\"a\": null}").unwrap().keys().count(), 0);
    }

    #[test]
    fn integers_come_in_any_spelling_and_keep_their_range() {
        for spelling in ["30000", "3e4", "30000.0", "0.3E+5"] {
            let text = format!("{{\"ms\": {spelling}}}");
            assert_eq!(parse(&text).unwrap().integer("ms", 0..=99_999), Ok(Some(30_000)), "{spelling}");
        }
        for wrong in ["1.5", "-1", "100000", "1e300", "\"1\"", "[1]", "true"] {
            let text = format!("{{\"ms\": {wrong}}}");
            let fault = parse(&text).unwrap().integer("ms", 0..=99_999).unwrap_err().0;
            assert_eq!(fault, "options.ms must be an integer from 0 to 99999", "{wrong}");
        }
    }

    #[test]
    fn a_key_given_twice_is_named_by_its_path() {
        assert!(
            fault("{\"a\":[{\"b\":1,\"b\":2}]}").starts_with("options.a[0].b: the key stands there twice")
        );
    }

    #[test]
    fn an_unknown_key_is_named_beside_the_known_ones() {
        let fault = parse("{\"adress\":\"x\"}").unwrap().allow_only(&["address", "lazy"]).unwrap_err().0;
        assert_eq!(fault, "options.adress: there is no such key; the keys are address, lazy");
    }

    #[test]
    fn values_are_never_repeated_in_faults() {
        let options = parse("{\"lazy\":\"hunter2\",\"ms\":\"hunter2\"}").unwrap();
        let faults = [options.boolean("lazy").unwrap_err(), options.integer("ms", 0..=1).unwrap_err()];
        assert!(faults.iter().all(|fault| !fault.0.contains("hunter2")));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert_eq!(fault("[1]"), "options must be a JSON object");
        assert!(fault("{\"a\":1").contains("isn't valid JSON"));
        assert!(fault("{} {}").contains("isn't valid JSON"));
        assert!(Object::parse("options", b"{\"a\":\"\xff\"}").err().unwrap().0.contains("UTF-8"));
        assert!(fault(&format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_BYTES))).contains("at most"));
    }

    #[test]
    fn depth_has_a_limit() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert!(fault(&nested(MAX_DEPTH + 1)).contains("nested deeper than 16"));
    }
}
