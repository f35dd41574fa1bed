//! Values on their way to and from the server: heartbeat details, results, failure details.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::{Buf, BufMut, Bytes};
use prost::{
    DecodeError, Message,
    encoding::{self, DecodeContext, WireType},
};

use super::{
    error::{Error, Result},
    status::Status,
};
use crate::proto::temporal::api::common::v1::Payload;

/// The limit on one encoded `Payloads` of a server that doesn't tell its own.
pub const DEFAULT_SIZE_LIMIT: usize = 2 * 1024 * 1024;

/// From this size on a server warns in its own log, by default. No server tells its figure.
const DEFAULT_WARNING_SIZE: usize = 512 * 1024;

/// Data of fewer bytes than this, and than half of the limit, can't exceed it with what encoding adds.
const SURELY_FITS: usize = 4096;

/// The most bytes that encoding adds to a value: its metadata and two heads.
const MOST_ADDED: usize = 64;

/// The name under which a payload's metadata tells its encoding.
pub const ENCODING_KEY: &str = "encoding";

/// A payload's metadata field, encoded: `{"encoding": ...}`. Prepared, since it goes with every beat.
const JSON_PLAIN: &[u8] = b"\x0a\x16\x0a\x08encoding\x12\x0ajson/plain";
const BINARY_PLAIN: &[u8] = b"\x0a\x18\x0a\x08encoding\x12\x0cbinary/plain";
const BINARY_NULL: &[u8] = b"\x0a\x17\x0a\x08encoding\x12\x0bbinary/null";

/// What the SDKs' own converters make, which anybody can read who sees it. A null has nothing in it to be read.
const READABLE: [&str; 4] = ["json/plain", "json/protobuf", "binary/plain", "binary/protobuf"];

/// How the bytes that a caller gives are to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// No value at all.
    None,
    /// One JSON text, sent byte for byte.
    Json,
    /// Bytes.
    Binary,
    /// The null value; takes no data.
    Null,
    /// An encoded `temporal.api.common.v1.Payloads`, sent as it is.
    Payloads,
}

impl Encoding {
    /// Every encoding, in the order of the numbers that cross the ABI.
    pub const ALL: [Encoding; 5] =
        [Encoding::None, Encoding::Json, Encoding::Binary, Encoding::Null, Encoding::Payloads];

    /// The encoding with this number.
    pub fn from_code(code: i32) -> Result<Self> {
        usize::try_from(code).ok().and_then(|at| Self::ALL.get(at)).copied().ok_or_else(|| {
            Error::argument(format!("encoding is {code}: it must be one of THB_ENCODING_* (0 to 4)"))
        })
    }
}

/// Zero or more values, kept as the encoded `temporal.api.common.v1.Payloads` message: what came from the server, or
/// from a caller's own converter, goes on without a byte changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Payloads(Vec<u8>);

impl Payloads {
    /// What a caller gave. `None` for [`Encoding::None`]: no values, which isn't the same as an empty list of them.
    pub fn from_caller(name: &str, encoding: Encoding, data: &[u8]) -> Result<Option<Self>> {
        match encoding {
            Encoding::None if data.is_empty() => Ok(None),
            Encoding::None => Err(Error::argument(format!(
                "{name} has {} bytes, but THB_ENCODING_NONE takes none: give THB_ENCODING_JSON or _BINARY",
                data.len()
            ))),
            _ => {
                let mut payloads = Payloads::default();
                payloads.push(name, encoding, data)?;
                Ok(Some(payloads))
            }
        }
    }

    /// Several JSON values, each sent byte for byte. They must be valid.
    pub fn from_json_values<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut payloads = Payloads::default();
        values.into_iter().for_each(|json| payloads.push_value(JSON_PLAIN, json.as_bytes()));
        payloads
    }

    /// Adds a value that a caller gave; or, for [`Encoding::Payloads`], each of its values.
    pub fn push(&mut self, name: &str, encoding: Encoding, data: &[u8]) -> Result<()> {
        // What a caller gives may be of any size, and more than there is memory for.
        self.0.try_reserve(data.len().saturating_add(MOST_ADDED)).map_err(|_| no_memory(name, data.len()))?;
        match encoding {
            Encoding::None => {
                return Err(Error::argument(format!("{name}: THB_ENCODING_NONE isn't a value")));
            }
            Encoding::Json => {
                check_json(name, data)?;
                self.push_value(JSON_PLAIN, data);
            }
            Encoding::Binary => self.push_value(BINARY_PLAIN, data),
            Encoding::Null if data.is_empty() => self.push_value(BINARY_NULL, data),
            Encoding::Null => {
                return Err(Error::argument(format!(
                    "{name} has {} bytes, but THB_ENCODING_NULL takes none",
                    data.len()
                )));
            }
            Encoding::Payloads => {
                check_list(data).map_err(|why| {
                    Error::argument(format!(
                        "{name} isn't an encoded temporal.api.common.v1.Payloads (THB_ENCODING_PAYLOADS): {why}"
                    ))
                })?;
                // The encoding of a list followed by that of another is that of both.
                self.0.extend_from_slice(data);
            }
        }
        Ok(())
    }

    /// Becomes what a caller gave, in the room that there is. On an error it stays what it was.
    #[inline]
    pub fn replace(&mut self, name: &str, encoding: Encoding, data: &[u8], size_limit: usize) -> Result<()> {
        if encoding == Encoding::Binary && data.len() < SURELY_FITS.min(size_limit / 2) {
            self.0.clear();
            match short_head(data) {
                Some(head) => {
                    self.0.extend_from_slice(&head);
                    self.0.extend_from_slice(data);
                }
                None => self.push_value(BINARY_PLAIN, data),
            }
            return Ok(());
        }
        let before = self.0.len();
        self.push(name, encoding, data)?;
        let size = self.0.len() - before;
        if let Err(error) = check_size(name, "Payloads", size, size_limit) {
            self.0.truncate(before);
            return Err(error);
        }
        self.0.drain(..before);
        Ok(())
    }

    /// Takes an encoded message in standard base64, as options and variables give it.
    pub fn from_base64(name: &str, text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            let message = format!("{name} must be the standard base64 of an encoded Payloads: {why}");
            Error::new(Status::Config, message)
        };
        let encoded = BASE64_STANDARD.decode(text.trim()).map_err(|_| wrong("it isn't base64"))?;
        Self::from_encoded(name, &encoded).map_err(|error| wrong(error.message()))
    }

    /// Takes an encoded message as it is.
    pub fn from_encoded(name: &str, encoded: &[u8]) -> Result<Self> {
        let mut payloads = Payloads::default();
        payloads.push(name, Encoding::Payloads, encoded)?;
        Ok(payloads)
    }

    /// The encoded message.
    pub fn encoded(&self) -> &[u8] {
        &self.0
    }

    /// The same as bytes that can be shared.
    pub fn into_encoded(self) -> Bytes {
        self.0.into()
    }

    /// The values, decoded one level: metadata and data of each.
    pub fn values(&self) -> std::result::Result<Vec<Payload>, DecodeError> {
        values(self.encoded())
    }

    /// Refuses what isn't a result that a workflow can take: the server stores several values, and workflows then fail on them again
    /// and again.
    pub fn check_result(result: &Option<Self>) -> Result<()> {
        let Some(result) = result else { return Ok(()) };
        let values = result.values().map_or(0, |values| values.len());
        if values > 1 {
            return Err(Error::argument(format!(
                "result has {values} values: an activity has one; put them into a list"
            )));
        }
        Ok(())
    }

    /// Refuses values that no codec has encoded, for namespaces whose data are encrypted.
    pub fn refuse_readable(&self, name: &str) -> Result<()> {
        let values = self.values().map_err(|why| Error::argument(format!("{name} can't be read: {why}")))?;
        let encodings =
            values.iter().map(|value| value.metadata.get(ENCODING_KEY).map_or(&b""[..], |name| name));
        for encoding in encodings {
            if encoding.is_empty() || READABLE.iter().any(|readable| readable.as_bytes() == encoding) {
                return Err(Error::argument(format!(
                    "{name} would be readable by anybody ({}), and require_encoded is set: encode it with your namespace's codec, \
                     and pass THB_ENCODING_PAYLOADS",
                    String::from_utf8_lossy(if encoding.is_empty() { b"no encoding" } else { encoding })
                )));
            }
        }
        Ok(())
    }

    /// Refuses what the server would fail the activity for.
    pub fn check_size(&self, name: &str, limit: usize) -> Result<()> {
        check_size(name, "Payloads", self.0.len(), limit)
    }

    #[inline]
    fn push_value(&mut self, metadata: &[u8], data: &[u8]) {
        let (data_head, data_head_len) = head(DATA_KEY, data.len());
        let data_head =
            if data.is_empty() { &[] } else { data_head.get(..data_head_len).unwrap_or_default() };
        let (value_head, value_head_len) = head(VALUE_KEY, metadata.len() + data_head.len() + data.len());
        let list = &mut self.0;
        list.reserve(value_head_len + metadata.len() + data_head.len() + data.len());
        list.extend_from_slice(value_head.get(..value_head_len).unwrap_or_default());
        list.extend_from_slice(metadata);
        list.extend_from_slice(data_head);
        list.extend_from_slice(data);
    }
}

/// The values of an encoded list. They share its bytes where those can be shared.
pub fn values(encoded: impl Buf) -> std::result::Result<Vec<Payload>, DecodeError> {
    ValueList::decode(encoded).map(|list| list.payloads)
}

fn no_memory(name: &str, len: usize) -> Error {
    Error::new(Status::LocalLimit, format!("there is no memory for the {len} bytes of {name}"))
}

/// The keys of `Payloads.payloads` and `Payload.data`: field number and wire type.
const VALUE_KEY: u8 = 1 << 3 | 2;
const DATA_KEY: u8 = 2 << 3 | 2;

/// The most bytes for which each length in a list of one binary value fits into one byte.
const SHORT: usize = 99;

/// All that comes before a few bytes in a list of one binary value: what is recorded most often, and should cost next to nothing.
#[inline]
fn short_head(data: &[u8]) -> Option<[u8; 30]> {
    if !(1..=SHORT).contains(&data.len()) {
        return None;
    }
    let len = u8::try_from(data.len()).ok()?;
    let mut head = *b"\x0a\x00\x0a\x18\x0a\x08encoding\x12\x0cbinary/plain\x12\x00";
    head[1] = 28 + len;
    head[29] = len;
    Some(head)
}

/// A field's key and length, and how many bytes those are.
#[inline]
fn head(key: u8, len: usize) -> ([u8; 11], usize) {
    let mut head = [key; 11];
    let mut end = 1;
    let mut rest = len;
    for byte in head.iter_mut().skip(1) {
        end += 1;
        #[expect(clippy::cast_possible_truncation, reason = "seven bits")]
        let low = (rest & 0x7f) as u8;
        rest >>= 7;
        *byte = if rest == 0 { low } else { low | 0x80 };
        if rest == 0 {
            break;
        }
    }
    (head, end)
}

/// Whether a message of `size` encoded bytes is one that a server with this limit would warn of. Where the limit is low, so is that.
pub fn is_large(size: usize, limit: usize) -> bool {
    size >= DEFAULT_WARNING_SIZE.min(limit / 4)
}

/// Refuses a message of `size` encoded bytes above the limit.
pub fn check_size(name: &str, message: &str, size: usize, limit: usize) -> Result<()> {
    if size <= limit {
        return Ok(());
    }
    Err(Error::new(
        Status::TooLarge,
        format!(
            "{name} is {size} bytes as an encoded {message}; the server takes at most {limit}, and would fail the activity \
             for good. Nothing was sent. Keep large state elsewhere and record where"
        ),
    ))
}

/// Refuses what isn't one JSON text in UTF-8.
fn check_json(name: &str, data: &[u8]) -> Result<()> {
    let text = std::str::from_utf8(data)
        .map_err(|why| Error::argument(format!("{name} isn't valid UTF-8 (THB_ENCODING_JSON): {why}")))?;
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|why| {
        Error::argument(if text.is_empty() {
            format!("{name} is empty, which isn't JSON; for no value there are THB_ENCODING_NULL and _NONE")
        } else {
            format!("{name} isn't valid JSON: {why}")
        })
    })?;
    Ok(())
}

/// Checks the values of an encoded `Payloads` one after the other, and keeps none: of a list of empty ones, at two bytes
/// each, all together would take fifty times its size.
fn check_list(mut data: &[u8]) -> std::result::Result<(), DecodeError> {
    while data.has_remaining() {
        let (tag, wire_type) = encoding::decode_key(&mut data)?;
        if tag == 1 {
            encoding::message::merge(
                wire_type,
                &mut Payload::default(),
                &mut data,
                DecodeContext::default(),
            )?;
        } else {
            encoding::skip_field(wire_type, tag, &mut data, DecodeContext::default())?;
        }
    }
    Ok(())
}

/// `temporal.api.common.v1.Payloads` for looking inside.
#[derive(Clone, PartialEq, Message)]
struct ValueList {
    #[prost(message, repeated, tag = "1")]
    payloads: Vec<Payload>,
}

/// Written by hand so that the bytes stay what they are, whatever fields a newer server or converter put into them.
impl Message for Payloads {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> std::result::Result<(), DecodeError> {
        if wire_type != WireType::LengthDelimited {
            return encoding::skip_field(wire_type, tag, buf, ctx);
        }
        let mut field = Bytes::new();
        encoding::bytes::merge(wire_type, &mut field, buf, ctx)?;
        encoding::bytes::encode(tag, &field, &mut self.0);
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(payloads: &Payloads) -> Vec<String> {
        let values = payloads.values().unwrap();
        values.iter().map(|value| String::from_utf8(value.metadata[ENCODING_KEY].to_vec()).unwrap()).collect()
    }

    #[test]
    fn values_are_encoded_as_the_generated_types_would() {
        let ours = Payloads::from_caller("details", Encoding::Binary, b"\x00\xff").unwrap().unwrap();
        let metadata = [(ENCODING_KEY.to_owned(), Bytes::from_static(b"binary/plain"))].into();
        let theirs =
            ValueList { payloads: vec![Payload { metadata, data: Bytes::from_static(b"\x00\xff") }] };
        assert_eq!(ours.encoded(), theirs.encode_to_vec());
    }

    #[test]
    fn what_replaces_is_encoded_as_what_is_new() {
        let mut payloads = Payloads::default();
        for len in [0, 1, SHORT, SHORT + 1, 128, 5000, 64] {
            let data = vec![7; len];
            payloads.replace("details", Encoding::Binary, &data, DEFAULT_SIZE_LIMIT).unwrap();
            let new = Payloads::from_caller("details", Encoding::Binary, &data).unwrap().unwrap();
            assert_eq!(payloads, new, "{len} bytes");
        }
    }

    #[test]
    fn lists_join_by_standing_one_after_the_other() {
        let mut all = Payloads::from_json_values(["1"]);
        let more = Payloads::from_caller("more", Encoding::Null, b"").unwrap().unwrap();
        all.push("more", Encoding::Payloads, more.encoded()).unwrap();
        assert_eq!(names(&all), ["json/plain", "binary/null"]);
    }

    #[test]
    fn fields_of_the_future_pass_through_unchanged() {
        let mut encoded = Payloads::from_json_values(["1"]).0;
        encoding::bytes::encode(77, &b"later".to_vec(), &mut encoded);
        assert_eq!(Payloads::decode(encoded.as_slice()).unwrap().encoded(), encoded);
    }

    #[test]
    fn the_limit_is_on_the_encoded_size() {
        let payloads = Payloads::from_caller("details", Encoding::Binary, &[7; 100]).unwrap().unwrap();
        let size = payloads.encoded().len();
        assert!(size > 100);
        payloads.check_size("details", size).unwrap();
        assert_eq!(payloads.check_size("details", size - 1).unwrap_err().status(), Status::TooLarge);
    }

    #[test]
    fn only_what_a_codec_has_encoded_passes_where_encoded_is_required() {
        let value = |metadata: &[(&str, &'static [u8])]| {
            let metadata =
                metadata.iter().map(|(key, name)| ((*key).to_owned(), Bytes::from_static(name))).collect();
            let list = ValueList { payloads: vec![Payload { metadata, data: Bytes::from_static(b"x") }] };
            Payloads(list.encode_to_vec())
        };
        let encrypted = value(&[(ENCODING_KEY, b"binary/encrypted"), ("key-id", b"7")]);
        let mut some = encrypted.clone();
        some.push("some", Encoding::Null, b"").unwrap();
        some.refuse_readable("details").unwrap();
        some.push("some", Encoding::Json, b"41").unwrap();
        let binary = Payloads::from_caller("details", Encoding::Binary, b"x").unwrap().unwrap();
        for readable in [some, binary, value(&[]), value(&[(ENCODING_KEY, b"json/protobuf")])] {
            let refused = readable.refuse_readable("details").unwrap_err();
            assert_eq!(refused.status(), Status::InvalidArgument);
            assert!(refused.message().starts_with("details would be readable"), "{refused}");
        }
    }

    #[test]
    fn warnings_begin_well_before_the_limit() {
        assert!(
            !is_large(DEFAULT_WARNING_SIZE - 1, DEFAULT_SIZE_LIMIT)
                && is_large(DEFAULT_WARNING_SIZE, DEFAULT_SIZE_LIMIT)
        );
        assert!(is_large(100, 400) && !is_large(99, 400));
    }

    #[test]
    fn what_is_not_json_is_refused_with_the_reason() {
        for (data, reason) in [
            (&b"{\"a\":}"[..], "isn't valid JSON"),
            (b"\"\xff\"", "isn't valid UTF-8"),
            (b"", "is empty"),
            (b"1 2", "isn't valid JSON"),
        ] {
            let error = Payloads::from_caller("details", Encoding::Json, data).unwrap_err();
            assert_eq!(error.status(), Status::InvalidArgument);
            assert!(error.message().contains(reason), "{error}");
        }
    }

    #[test]
    fn json_nested_a_million_deep_is_no_danger() {
        let deep = "[".repeat(1 << 20) + &"]".repeat(1 << 20);
        Payloads::from_caller("details", Encoding::Json, deep.as_bytes()).unwrap();
    }
}
