"""Serialized Payloads, encoded and decoded by the official classes."""

from collections.abc import Callable

from temporalio.api.common.v1 import Payload, Payloads

# The largest encoded details or result that the server accepts, in bytes (its limit.blobSize.error).
LIMIT = 2 * 1024 * 1024


def payloads(*values: tuple[str, bytes]) -> bytes:
    """Returns serialized Payloads with one payload for each encoding and data."""
    return Payloads(
        payloads=[Payload(metadata={"encoding": encoding.encode()}, data=data) for encoding, data in values]
    ).SerializeToString()


def bytes_of_size(encoded: int) -> bytes:
    """Returns a value that has exactly this many bytes when encoded as binary/plain."""
    return bytes(_length(encoded, lambda length: payloads(("binary/plain", bytes(length)))))


def json_of_size(encoded: int) -> str:
    """Returns a text that has exactly this many bytes when encoded as json/plain."""
    return "x" * _length(encoded, lambda length: payloads(("json/plain", b'"' + b"x" * length + b'"')))


def _length(encoded: int, encode: Callable[[int], bytes]) -> int:
    """Returns the length of the value. The lengths of its surrounding fields depend on it."""
    length = encoded
    for _ in range(4):
        excess = len(encode(length)) - encoded
        if excess == 0:
            return length
        length -= excess
    raise AssertionError(f"no value has an encoding of {encoded} bytes")
