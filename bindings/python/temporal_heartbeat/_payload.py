"""Temporal's Payload: the bytes of a value, and metadata that name their encoding.

These are the messages of ``temporal.api.common.v1``, encoded here so that the protobuf package
isn't needed::

    message Payloads      { repeated Payload payloads = 1; }
    message Payload       { map<string, bytes> metadata = 1; bytes data = 2; }
    message MetadataEntry { string key = 1; bytes value = 2; }
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Payload", "decode_payloads", "encode_payloads", "parse_fields"]

_REFERENCE_TYPE = b"temporal.api.sdk.v1.ExternalStorageReference"

_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5


@dataclasses.dataclass(frozen=True)
class Payload:
    """One value in the form in which Temporal stores it.

    Pass it in place of a value to send it without conversion, for example in an encoding that this
    package doesn't know. Only the codec of ``connect(data_converter=...)`` encodes it. A value that
    this process can't decode is returned as a Payload.

    ``metadata["encoding"]`` names the encoding, such as ``b"json/plain"``.
    """

    data: bytes
    metadata: Mapping[str, bytes]
    # Fields that only newer servers know, kept so that reading and sending again loses nothing.
    unknown_fields: bytes = dataclasses.field(default=b"", repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.data, bytes):
            raise TypeError(f"a Payload's data are bytes, not {type(self.data).__name__}")
        for key, value in self.metadata.items():
            if not isinstance(key, str) or not isinstance(value, bytes):
                raise TypeError(
                    f"a Payload's metadata map str to bytes, which {key!r}: {value!r} does not"
                )

    def to_bytes(self) -> bytes:
        """Returns the serialized ``temporal.api.common.v1.Payload``, which most codecs encrypt."""
        entries = (
            _encode_field(1, key.encode()) + _encode_field(2, value)
            for key, value in self.metadata.items()
        )
        metadata = b"".join(_encode_field(1, entry) for entry in entries)
        data = _encode_field(2, self.data) if self.data else b""
        return metadata + data + self.unknown_fields

    @staticmethod
    def from_bytes(data: bytes) -> Payload:
        """Returns the payload that `to_bytes` serialized. Raises ValueError for invalid bytes."""
        metadata: dict[str, bytes] = {}
        content = b""
        unknown = b""
        for number, value, raw in parse_fields(data):
            if number == 1 and value is not None:
                entry = {key: part for key, part, _ in parse_fields(value) if part is not None}
                metadata[entry.get(1, b"").decode()] = entry.get(2, b"")
            elif number == 2 and value is not None:
                content = value
            else:
                unknown += raw
        return Payload(content, metadata, unknown)

    @property
    def encoding(self) -> str:
        """The encoding's name; empty if the metadata have none."""
        return self.metadata.get("encoding", b"").decode("utf-8", "replace")

    @property
    def is_external_reference(self) -> bool:
        """Whether the value is in the external storage of Temporal's SDKs, and this refers to it.

        A codec must not encode a reference, because the SDKs couldn't read it.
        """
        return (
            self.metadata.get("messageType") == _REFERENCE_TYPE
            or self.encoding == "json/external-storage-reference"  # of older SDKs
            or self.metadata.get("__temporal_external_storage_reference") == b"true"
        )


def encode_payloads(payloads: Iterable[Payload]) -> bytes:
    """Serializes a ``Payloads`` message."""
    return b"".join(_encode_field(1, payload.to_bytes()) for payload in payloads)


def decode_payloads(data: bytes) -> list[Payload]:
    """Parses a ``Payloads`` message. Raises ValueError for invalid bytes."""
    return [
        Payload.from_bytes(value)
        for number, value, _ in parse_fields(data)
        if number == 1 and value is not None
    ]


def _encode_field(number: int, value: bytes) -> bytes:
    """Encodes a length-delimited field."""
    return _encode_varint(number << 3 | _LENGTH_DELIMITED) + _encode_varint(len(value)) + value


def _encode_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def parse_fields(message: bytes) -> Iterator[tuple[int, bytes | None, bytes]]:
    """Yields each field's number, value (None unless length-delimited) and complete encoding."""
    at = 0
    while at < len(message):
        start = at
        tag, at = _parse_varint(message, at)
        number, wire_type = tag >> 3, tag & 7
        value = None
        if wire_type == _VARINT:
            _, at = _parse_varint(message, at)
        elif wire_type == _FIXED64:
            at += 8
        elif wire_type == _FIXED32:
            at += 4
        elif wire_type == _LENGTH_DELIMITED:
            length, at = _parse_varint(message, at)
            value = message[at : at + length]
            at += length
        else:
            raise ValueError(f"not a Payloads message: wire type {wire_type}")
        if at > len(message):
            raise ValueError("not a Payloads message: it ends within a field")
        yield number, value, message[start:at]


def _parse_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            return value, at
    raise ValueError("not a Payloads message: a bad varint")
