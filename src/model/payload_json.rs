//! Values as the JSON of a codec server: `temporal.api.common.v1.Payloads` in the JSON form of Protocol Buffers.

use std::collections::HashMap;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    prelude::BASE64_STANDARD,
};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::proto::temporal::api::common::v1::Payload;

/// The JSON form of Protocol Buffers allows both alphabets, with and without padding.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The message. A reader ignores fields that it doesn't know.
#[derive(Serialize, Deserialize)]
struct List {
    #[serde(default)]
    payloads: Vec<Value>,
}

#[derive(Serialize, Deserialize)]
struct Value {
    #[serde(default, deserialize_with = "or_default")]
    metadata: HashMap<String, Base64>,
    #[serde(default, deserialize_with = "or_default")]
    data: Base64,
}

#[derive(Default)]
struct Base64(Bytes);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&base64::display::Base64Display::new(&self.0, &BASE64_STANDARD))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let engine = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
        // The error of the engine would show a part of the value.
        let bytes = engine.decode(text).map_err(|_| de::Error::custom("a value isn't base64"))?;
        Ok(Base64(bytes.into()))
    }
}

/// Reads null as the default.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Returns the JSON of these values.
pub fn to_json(payloads: Vec<Payload>) -> Vec<u8> {
    let value = |payload: Payload| Value {
        metadata: payload.metadata.into_iter().map(|(name, bytes)| (name, Base64(bytes))).collect(),
        data: Base64(payload.data),
    };
    let list = List { payloads: payloads.into_iter().map(value).collect() };
    // Only a map with other keys than texts could fail.
    serde_json::to_vec(&list).unwrap_or_default()
}

/// Reads the values from JSON. The error shows nothing of them.
pub fn from_json(json: &[u8]) -> Result<Vec<Payload>, String> {
    let list: List = serde_json::from_slice(json).map_err(|why| {
        format!("it isn't the JSON of a Payloads, at byte {} of line {}", why.column(), why.line())
    })?;
    let payload = |value: Value| Payload {
        metadata: value.metadata.into_iter().map(|(name, bytes)| (name, bytes.0)).collect(),
        data: value.data.0,
    };
    Ok(list.payloads.into_iter().map(payload).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(data: &'static [u8]) -> Payload {
        let metadata = [("encoding".to_owned(), Bytes::from_static(b"json/plain"))].into();
        Payload { metadata, data: Bytes::from_static(data) }
    }

    #[test]
    fn values_are_written_as_protocol_buffers_write_them() {
        let json = to_json(vec![value(b"\"?>\"")]);
        let expected = r#"{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"Ij8+Ig=="}]}"#;
        assert_eq!(String::from_utf8(json).unwrap(), expected);
    }

    #[test]
    fn values_are_read_in_all_spellings_of_base64() {
        for data in ["Ij8+Ig==", "Ij8+Ig", "Ij8-Ig==", "Ij8-Ig"] {
            let json = format!(
                r#"{{"payloads":[{{"metadata":{{"encoding":"anNvbi9wbGFpbg"}},"data":"{data}","later":{{}}}}]}}"#
            );
            assert_eq!(from_json(json.as_bytes()).unwrap(), [value(b"\"?>\"")], "{data}");
        }
        assert_eq!(from_json(b"{}").unwrap(), []);
        let nothing = from_json(br#"{"payloads":[{"metadata":null,"data":null}]}"#).unwrap();
        assert_eq!(nothing, [Payload::default()]);
    }

    #[test]
    fn errors_show_nothing_of_the_values() {
        for json in [
            r#"{"payloads":[{"data":"secret!"}]}"#,
            r#"{"payloads":["secret"]}"#,
            "secret",
            r#"{"payloads":"secret"}"#,
            "",
        ] {
            let why = from_json(json.as_bytes()).unwrap_err();
            assert!(why.starts_with("it isn't the JSON of a Payloads") && !why.contains("secret"), "{why}");
        }
    }
}
