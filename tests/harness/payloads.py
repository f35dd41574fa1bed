"""Serialized Payloads, made and read by the official classes."""

from collections.abc import Callable

from temporalio.api.common.v1 import Payload, Payloads

# What the server takes as details or result, in encoded bytes (its limit.blobSize.error).
LIMIT = 2 * 1024 * 1024


def payloads(*values: tuple[str, bytes]) -> bytes:
    """One payload for each encoding and data."""
    return Payloads(
        payloads=[Payload(metadata={"encoding": encoding.encode()}, data=data) for encoding, data in values]
    ).SerializeToString()


def bytes_of_size(encoded: int) -> bytes:
    """A value that is encoded, as binary/plain, to exactly so many bytes."""
    return bytes(_length(encoded, lambda length: payloads(("binary/plain", bytes(length)))))


def json_of_size(encoded: int) -> str:
    """The same as a text, encoded as json/plain."""
    return "x" * _length(encoded, lambda length: payloads(("json/plain", b'"' + b"x" * length + b'"')))


def _length(encoded: int, encode: Callable[[int], bytes]) -> int:
    """How long the value is: what is around it has lengths of its own, that shrink with it."""
    length = encoded
    for _ in range(4):
        excess = len(encode(length)) - encoded
        if excess == 0:
            return length
        length -= excess
    raise AssertionError(f"nothing is encoded to {encoded} bytes")
