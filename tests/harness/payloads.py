"""Serialized Payloads, made and read by the official classes."""

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
    overhead = encoded - len(payloads(("binary/plain", bytes(encoded)))) + encoded
    value = bytes(overhead)
    assert len(payloads(("binary/plain", value))) == encoded
    return value


def json_of_size(encoded: int) -> str:
    """The same as a text, encoded as json/plain."""
    value = "x" * (2 * encoded - len(payloads(("json/plain", b'"' + b"x" * encoded + b'"'))))
    assert len(payloads(("json/plain", f'"{value}"'.encode()))) == encoded
    return value
