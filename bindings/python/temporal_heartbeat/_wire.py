"""The little of protobuf's binary form that payloads take: fields, all of them length-delimited.

With these few lines nobody needs the protobuf package.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["field", "fields"]

_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5


def field(number: int, value: bytes) -> bytes:
    """A length-delimited field."""
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def fields(message: bytes) -> Iterator[tuple[int, bytes | None, bytes]]:
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
