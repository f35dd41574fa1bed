"""The protobuf form of ``temporal.api.common.v1.Payloads``: any number of values of any encoding.

message Payloads { repeated Payload payloads = 1; }
message Payload  { map<string, bytes> metadata = 1; bytes data = 2; }
message MetadataEntry { string key = 1; bytes value = 2; }

Every field here is length-delimited, so that these few lines do, and nobody needs the protobuf
package.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ._payload import Payload

__all__ = ["decode_payload", "decode_payloads", "encode_payload", "encode_payloads"]

_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5


def encode_payloads(payloads: Iterable[Payload]) -> bytes:
    return b"".join(_field(1, encode_payload(payload)) for payload in payloads)


def decode_payloads(data: bytes) -> list[Payload]:
    """The payloads in the given bytes; ValueError when they aren't a ``Payloads``."""
    return [
        decode_payload(value)
        for number, value, _ in _fields(data)
        if number == 1 and value is not None
    ]


def encode_payload(payload: Payload) -> bytes:
    entries = (
        _field(1, key.encode()) + _field(2, value) for key, value in payload.metadata.items()
    )
    metadata = b"".join(_field(1, entry) for entry in entries)
    data = _field(2, payload.data) if payload.data else b""
    return metadata + data + payload.unknown_fields


def decode_payload(message: bytes) -> Payload:
    metadata: dict[str, bytes] = {}
    data = b""
    unknown = b""
    for number, value, raw in _fields(message):
        if number == 1 and value is not None:
            entry = {number: part for number, part, _ in _fields(value) if part is not None}
            metadata[entry.get(1, b"").decode()] = entry.get(2, b"")
        elif number == 2 and value is not None:
            data = value
        else:
            unknown += raw
    return Payload(data, metadata, unknown)


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _fields(message: bytes) -> Iterator[tuple[int, bytes | None, bytes]]:
    """Each field: its number, its value (None unless length-delimited), and all its bytes."""
    at = 0
    while at < len(message):
        start = at
        tag, at = _read_varint(message, at)
        number, wire_type = tag >> 3, tag & 7
        value = None
        if wire_type == _VARINT:
            _, at = _read_varint(message, at)
        elif wire_type == _FIXED64:
            at += 8
        elif wire_type == _FIXED32:
            at += 4
        elif wire_type == _LENGTH_DELIMITED:
            length, at = _read_varint(message, at)
            value = message[at : at + length]
            at += length
        else:
            raise ValueError(f"not a Payloads message: wire type {wire_type}")
        if at > len(message):
            raise ValueError("not a Payloads message: it ends within a field")
        yield number, value, message[start:at]


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            return value, at
    raise ValueError("not a Payloads message: a bad varint")
