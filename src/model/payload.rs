//! Values that are exchanged with the server: heartbeat details, results, failure details.

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

/// The limit on one encoded `Payloads`, if the server doesn't report its own.
pub const DEFAULT_SIZE_LIMIT: usize = 2 * 1024 * 1024;

/// The default size from which a server logs a warning. No server reports this value.
const DEFAULT_WARNING_SIZE: usize = 512 * 1024;

/// The metadata key of a payload's encoding.
pub const ENCODING_KEY: &str = "encoding";

/// The encoded metadata field `{"encoding": ...}` of a payload. Precomputed, because every beat contains it.
const JSON_PLAIN: &[u8] = b"\x0a\x16\x0a\x08encoding\x12\x0ajson/plain";
const BINARY_PLAIN: &[u8] = b"\x0a\x18\x0a\x08encoding\x12\x0cbinary/plain";
const BINARY_NULL: &[u8] = b"\x0a\x17\x0a\x08encoding\x12\x0bbinary/null";

/// The encodings of the SDKs' own converters, which anybody can read. A null value contains nothing to read.
const READABLE: [&str; 4] = ["json/plain", "json/protobuf", "binary/plain", "binary/protobuf"];

/// The encoding of one JSON text.
pub const JSON_ENCODING: &[u8] = b"json/plain";
const NULL_ENCODING: &[u8] = b"binary/null";

/// The encoding of an external reference in older SDKs. Newer ones send a protobuf message of this type as JSON.
pub const EXTERNAL_REFERENCE: &str = "json/external-storage-reference";
/// Set on a reference that a codec has encoded.
const EXTERNAL_REFERENCE_MARK: &str = "__temporal_external_storage_reference";
const EXTERNAL_REFERENCE_MESSAGE: &[u8] = b"temporal.api.sdk.v1.ExternalStorageReference";

/// The encoding of the bytes that a caller passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// No value.
    None,
    /// One JSON text, sent byte for byte.
    Json,
    /// Bytes.
    Binary,
    /// The null value; takes no data.
    Null,
    /// An encoded `temporal.api.common.v1.Payloads`, sent unchanged.
    Payloads,
}

impl Encoding {
    /// Every encoding, in the order of the numbers that cross the ABI.
    pub const ALL: [Encoding; 5] =
        [Encoding::None, Encoding::Json, Encoding::Binary, Encoding::Null, Encoding::Payloads];

    /// Returns the encoding with this number.
    #[inline]
    pub fn from_code(code: i32) -> Result<Self> {
        usize::try_from(code).ok().and_then(|at| Self::ALL.get(at)).copied().ok_or_else(|| {
            Error::argument(format!("encoding is {code}: it must be one of THB_ENCODING_* (0 to 4)"))
        })
    }
}

/// Zero or more values, kept as the encoded `temporal.api.common.v1.Payloads` message. A message from the server, or
/// from the caller's own converter, is passed on byte for byte.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Payloads(Vec<u8>);

impl Payloads {
    /// Encodes the caller's data. Returns `None` for [`Encoding::None`]: no values, which differs from an empty list.
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

    /// Encodes several JSON values, each byte for byte. They must be valid.
    pub fn from_json_values<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut payloads = Payloads::default();
        for json in values {
            Input::Value { metadata: JSON_PLAIN, data: json.as_bytes() }.encode(&mut payloads.0);
        }
        payloads
    }

    /// Appends the caller's value; for [`Encoding::Payloads`], each of its values.
    pub fn push(&mut self, name: &str, encoding: Encoding, data: &[u8]) -> Result<()> {
        let input = Input::check(name, encoding, data)?;
        // The caller may pass more data than there is memory for.
        self.0.try_reserve(input.encoded_len()).map_err(|_| no_memory(name, data.len()))?;
        input.encode(&mut self.0);
        Ok(())
    }

    /// Replaces the values by the caller's data, reusing the memory. After an error the values are unchanged.
    #[inline]
    pub fn replace(&mut self, name: &str, encoding: Encoding, data: &[u8], size_limit: usize) -> Result<()> {
        let input = Input::check(name, encoding, data)?;
        let size = input.encoded_len();
        if size > self.0.capacity() {
            self.0.try_reserve(size - self.0.len()).map_err(|_| no_memory(name, data.len()))?;
        }
        check_size(name, "Payloads", size, size_limit)?;
        self.0.clear();
        input.encode(&mut self.0);
        Ok(())
    }

    /// Encodes these values.
    pub fn from_values(payloads: Vec<Payload>) -> Self {
        Payloads(ValueList { payloads }.encode_to_vec())
    }

    /// Decodes an encoded message from standard base64, the form in options and variables.
    pub fn from_base64(name: &str, text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::config(format!("{name} must be the standard base64 of an encoded Payloads: {why}"))
        };
        let encoded = BASE64_STANDARD.decode(text.trim()).map_err(|_| wrong("it isn't base64"))?;
        Self::from_encoded(name, &encoded).map_err(|error| wrong(error.message()))
    }

    /// Checks an encoded message and takes it unchanged.
    pub fn from_encoded(name: &str, encoded: &[u8]) -> Result<Self> {
        let mut payloads = Payloads::default();
        payloads.push(name, Encoding::Payloads, encoded)?;
        Ok(payloads)
    }

    /// Returns the encoded message.
    pub fn encoded(&self) -> &[u8] {
        &self.0
    }

    /// Returns the encoded message as bytes that can be shared.
    pub fn into_encoded(self) -> Bytes {
        self.0.into()
    }

    /// Returns the values, decoded one level: metadata and data of each.
    pub fn values(&self) -> std::result::Result<Vec<Payload>, DecodeError> {
        values(self.encoded())
    }

    /// Replaces the values for which `is_chosen` holds, in their order. The others keep their bytes, including fields that
    /// only newer servers or converters know.
    pub fn with_replaced(
        &self,
        is_chosen: impl Fn(&Payload) -> bool,
        by: Vec<Payload>,
    ) -> std::result::Result<Self, DecodeError> {
        let (mut replaced, mut by) = (Vec::with_capacity(self.0.len()), by.into_iter());
        let mut rest = self.encoded();
        while rest.has_remaining() {
            let field = rest;
            let value = read_field(&mut rest)?;
            let new = if value.is_some_and(|value| is_chosen(&value)) { by.next() } else { None };
            match new {
                Some(new) => encoding::message::encode(1, &new, &mut replaced),
                None => replaced.extend_from_slice(field.get(..field.len() - rest.len()).unwrap_or_default()),
            }
        }
        Ok(Payloads(replaced))
    }

    /// Refuses a result that a workflow can't receive. The server stores several values, but then workflows fail on
    /// them repeatedly.
    pub fn check_result(result: &Option<Self>) -> Result<()> {
        let Some(result) = result else { return Ok(()) };
        let values = result.values().map_or(0, |values| values.len());
        if values > 1 {
            return Err(Error::argument(format!(
                "result has {values} values: an activity has one result; put them into a list"
            )));
        }
        Ok(())
    }

    /// Returns whether a codec must encode some of the values before they are sent.
    pub fn needs_codec(&self) -> bool {
        self.values().is_ok_and(|values| values.iter().any(Payload::needs_codec))
    }

    /// Refuses values that no codec has encoded, for namespaces with encrypted data.
    pub fn refuse_readable(&self, name: &str) -> Result<()> {
        let values = self.values().map_err(|why| Error::argument(format!("{name} can't be read: {why}")))?;
        values.iter().try_for_each(|value| value.refuse_readable(name))
    }

    /// Refuses values over the limit, for which the server would fail the activity.
    pub fn check_size(&self, name: &str, limit: usize) -> Result<()> {
        check_size(name, "Payloads", self.0.len(), limit)
    }
}

impl Payload {
    /// Returns whether a codec must encode the value before it is sent.
    pub fn needs_codec(&self) -> bool {
        self.is_readable() || self.encoding() == NULL_ENCODING
    }

    /// Returns whether a codec needn't decode the value: no codec has encoded it.
    pub fn is_plain(&self) -> bool {
        self.needs_codec() || self.is_external_reference()
    }

    /// Returns the name of the value's encoding; empty without one.
    pub fn encoding(&self) -> &[u8] {
        self.metadata.get(ENCODING_KEY).map_or(&b""[..], |name| name)
    }

    /// Returns whether this is a reference to a value in an SDK's external storage.
    pub fn is_external_reference(&self) -> bool {
        self.encoding() == EXTERNAL_REFERENCE.as_bytes()
            || self.metadata.get("messageType").is_some_and(|name| *name == EXTERNAL_REFERENCE_MESSAGE)
            || self.metadata.contains_key(EXTERNAL_REFERENCE_MARK)
    }

    /// Returns whether anybody can read the value. A reference shows only where the value is stored.
    pub fn is_readable(&self) -> bool {
        let encoding = self.encoding();
        let is_plain = encoding.is_empty() || READABLE.iter().any(|readable| readable.as_bytes() == encoding);
        is_plain && !self.is_external_reference()
    }

    /// Refuses a value that no codec has encoded.
    pub fn refuse_readable(&self, name: &str) -> Result<()> {
        if !self.is_readable() {
            return Ok(());
        }
        let encoding = match self.encoding() {
            b"" => "no encoding".into(),
            encoding => String::from_utf8_lossy(encoding),
        };
        Err(Error::argument(format!(
            "{name} would be readable by anybody ({encoding}), and require_encoded is set: encode it with your namespace's codec: \
             give codec_endpoint, or the codec itself to connect, or encoded values (THB_ENCODING_PAYLOADS)"
        )))
    }
}

/// The caller's data, checked.
enum Input<'a> {
    /// One value: its encoded metadata and its bytes.
    Value { metadata: &'static [u8], data: &'a [u8] },
    /// An encoded `Payloads`. Concatenating two encoded lists gives the encoding of the combined list.
    List(&'a [u8]),
}

// The library is optimized for size. Without `inline(always)` a record takes a fifth more time.
impl<'a> Input<'a> {
    #[inline(always)]
    fn check(name: &str, encoding: Encoding, data: &'a [u8]) -> Result<Self> {
        let metadata = match encoding {
            Encoding::Binary => BINARY_PLAIN,
            Encoding::Json => {
                check_json(name, data)?;
                JSON_PLAIN
            }
            Encoding::Null if data.is_empty() => BINARY_NULL,
            Encoding::Payloads => {
                check_list(name, data)?;
                return Ok(Input::List(data));
            }
            Encoding::Null | Encoding::None => return Err(not_a_value(name, encoding, data)),
        };
        Ok(Input::Value { metadata, data })
    }

    #[inline(always)]
    fn encoded_len(&self) -> usize {
        match self {
            Input::Value { metadata, data } => field_len(metadata.len() + data_len(data)),
            Input::List(data) => data.len(),
        }
    }

    #[inline(always)]
    fn encode(&self, list: &mut Vec<u8>) {
        match self {
            Input::Value { metadata, data } => {
                // Two appends take less time than five.
                let mut head = [0; MAX_HEAD];
                let mut rest = head.as_mut_slice();
                put_head(&mut rest, VALUE_KEY, metadata.len() + data_len(data));
                rest.put_slice(metadata);
                if !data.is_empty() {
                    put_head(&mut rest, DATA_KEY, data.len());
                }
                let len = MAX_HEAD - rest.len();
                list.extend_from_slice(head.get(..len).unwrap_or_default());
                list.extend_from_slice(data);
            }
            Input::List(data) => list.extend_from_slice(data),
        }
    }
}

/// The keys of `Payloads.payloads` and `Payload.data`: field number and wire type.
const VALUE_KEY: u8 = 1 << 3 | 2;
const DATA_KEY: u8 = 2 << 3 | 2;

/// The most bytes before a value's data: two keys, two lengths and the metadata.
const MAX_HEAD: usize = 2 + 2 * 10 + BINARY_PLAIN.len();

/// Writes the key and length of a field.
#[inline(always)]
fn put_head(buffer: &mut &mut [u8], key: u8, len: usize) {
    buffer.put_u8(key);
    match u8::try_from(len) {
        Ok(len) if len < 0x80 => buffer.put_u8(len),
        _ => encoding::encode_varint(len as u64, buffer),
    }
}

/// Returns the encoded size of the field `Payload.data`, which is omitted when empty.
#[inline(always)]
fn data_len(data: &[u8]) -> usize {
    if data.is_empty() { 0 } else { field_len(data.len()) }
}

/// Returns the encoded size of a field of `len` bytes: key, length and bytes.
#[inline(always)]
fn field_len(len: usize) -> usize {
    1 + encoding::encoded_len_varint(len as u64) + len
}

/// Returns the values of an encoded list. They share its memory if possible.
pub fn values(encoded: impl Buf) -> std::result::Result<Vec<Payload>, DecodeError> {
    ValueList::decode(encoded).map(|list| list.payloads)
}

#[cold]
fn not_a_value(name: &str, encoding: Encoding, data: &[u8]) -> Error {
    Error::argument(match encoding {
        Encoding::Null => format!("{name} has {} bytes, but THB_ENCODING_NULL takes none", data.len()),
        _ => format!("{name}: THB_ENCODING_NONE isn't a value"),
    })
}

#[cold]
fn no_memory(name: &str, len: usize) -> Error {
    Error::new(Status::LocalLimit, format!("there is no memory for the {len} bytes of {name}"))
}

/// Returns whether a server with this limit would warn of a message of `size` encoded bytes. A low limit lowers the
/// threshold.
pub fn is_large(size: usize, limit: usize) -> bool {
    size >= DEFAULT_WARNING_SIZE.min(limit / 4)
}

/// Refuses a message of `size` encoded bytes over the limit.
#[inline(always)]
pub fn check_size(name: &str, message: &str, size: usize, limit: usize) -> Result<()> {
    if size <= limit { Ok(()) } else { Err(too_large(name, message, size, limit)) }
}

#[cold]
fn too_large(name: &str, message: &str, size: usize, limit: usize) -> Error {
    Error::new(
        Status::TooLarge,
        format!(
            "{name} is {size} bytes as an encoded {message}; the server accepts at most {limit}, and would fail the activity \
             without a retry. Nothing was sent. Keep large state elsewhere and record where"
        ),
    )
}

/// Refuses data that isn't one JSON text in UTF-8.
fn check_json(name: &str, data: &[u8]) -> Result<()> {
    let text = std::str::from_utf8(data)
        .map_err(|why| Error::argument(format!("{name} isn't valid UTF-8 (THB_ENCODING_JSON): {why}")))?;
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|why| {
        Error::argument(if text.is_empty() {
            format!("{name} is empty, which isn't JSON; for no value use THB_ENCODING_NULL or _NONE")
        } else {
            format!("{name} isn't valid JSON: {why}")
        })
    })?;
    Ok(())
}

/// Refuses bytes that aren't an encoded `Payloads`. Checks one value at a time and keeps none: decoding a list of
/// empty values, of two bytes each, would take fifty times its size.
fn check_list(name: &str, mut data: &[u8]) -> Result<()> {
    while data.has_remaining() {
        read_field(&mut data).map_err(|why| {
            Error::argument(format!(
                "{name} isn't an encoded temporal.api.common.v1.Payloads (THB_ENCODING_PAYLOADS): {why}"
            ))
        })?;
    }
    Ok(())
}

/// Reads one field of an encoded `Payloads`: a value, or something that this library doesn't know.
fn read_field(data: &mut &[u8]) -> std::result::Result<Option<Payload>, DecodeError> {
    let (tag, wire_type) = encoding::decode_key(data)?;
    if tag != 1 {
        encoding::skip_field(wire_type, tag, data, DecodeContext::default())?;
        return Ok(None);
    }
    let mut value = Payload::default();
    encoding::message::merge(wire_type, &mut value, data, DecodeContext::default())?;
    Ok(Some(value))
}

/// The `temporal.api.common.v1.Payloads` message, decoded.
#[derive(Clone, PartialEq, Message)]
struct ValueList {
    #[prost(message, repeated, tag = "1")]
    payloads: Vec<Payload>,
}

/// Implemented by hand to keep the bytes unchanged, including fields that only newer servers or converters know.
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
        let mut replaced = Payloads::default();
        // A length takes one more byte from 128 and from 16384 on, first the value's length, then its data's.
        for len in [0, 1, 99, 100, 127, 128, 16_353, 16_354, 16_384, 5000, 64] {
            let data = vec![7; len];
            let metadata = [(ENCODING_KEY.to_owned(), Bytes::from_static(b"binary/plain"))].into();
            let theirs = ValueList { payloads: vec![Payload { metadata, data: data.clone().into() }] };
            let ours = Payloads::from_caller("details", Encoding::Binary, &data).unwrap().unwrap();
            assert_eq!(ours.encoded(), theirs.encode_to_vec(), "{len} bytes");
            let size = ours.encoded().len();
            replaced.replace("details", Encoding::Binary, &data, size).unwrap();
            assert_eq!(replaced, ours, "{len} bytes");
            let refused = replaced.replace("details", Encoding::Binary, &data, size - 1).unwrap_err();
            assert_eq!((refused.status(), &replaced), (Status::TooLarge, &ours));
        }
    }

    #[test]
    fn concatenated_lists_decode_as_one_list() {
        let mut all = Payloads::from_json_values(["1"]);
        let more = Payloads::from_caller("more", Encoding::Null, b"").unwrap().unwrap();
        all.push("more", Encoding::Payloads, more.encoded()).unwrap();
        assert_eq!(names(&all), ["json/plain", "binary/null"]);
    }

    #[test]
    fn unknown_fields_are_passed_on_unchanged() {
        let mut encoded = Payloads::from_json_values(["1"]).0;
        encoding::bytes::encode(77, &b"later".to_vec(), &mut encoded);
        assert_eq!(Payloads::decode(encoded.as_slice()).unwrap().encoded(), encoded);
    }

    #[test]
    fn values_that_are_not_replaced_keep_their_bytes() {
        let metadata = [(ENCODING_KEY.to_owned(), Bytes::from_static(b"binary/encrypted"))].into();
        let later_field = b"\x1a\x03\x08\xb9\x60";
        let value = [&Payload { metadata, data: Bytes::new() }.encode_to_vec(), &later_field[..]].concat();
        let mut encrypted = Vec::new();
        encoding::bytes::encode(1, &value, &mut encrypted);

        let mut values = Payloads::from_json_values(["1", "2"]);
        values.push("value", Encoding::Payloads, &encrypted).unwrap();
        let new = values.values().unwrap().into_iter().rev().take(1).collect();
        let replaced = values.with_replaced(|value| value.data == "1", new).unwrap();
        assert!(replaced.encoded().ends_with(&encrypted));
        assert_eq!(names(&replaced), ["binary/encrypted", "json/plain", "binary/encrypted"]);
    }

    #[test]
    fn limit_applies_to_the_encoded_size() {
        let payloads = Payloads::from_caller("details", Encoding::Binary, &[7; 100]).unwrap().unwrap();
        let size = payloads.encoded().len();
        assert!(size > 100);
        payloads.check_size("details", size).unwrap();
        assert_eq!(payloads.check_size("details", size - 1).unwrap_err().status(), Status::TooLarge);
    }

    #[test]
    fn require_encoded_accepts_only_encoded_values() {
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
        value(&[(ENCODING_KEY, b"json/protobuf"), ("messageType", EXTERNAL_REFERENCE_MESSAGE)])
            .refuse_readable("details")
            .unwrap();
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
    fn invalid_json_is_refused_with_the_reason() {
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
    fn json_nested_a_million_deep_is_refused() {
        let deep = "[".repeat(1 << 20) + &"]".repeat(1 << 20);
        Payloads::from_caller("details", Encoding::Json, deep.as_bytes()).unwrap();
    }
}
