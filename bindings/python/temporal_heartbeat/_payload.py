"""A value as Temporal stores it: bytes, and metadata that say how to read them.

message Payloads { repeated Payload payloads = 1; }
message Payload  { map<string, bytes> metadata = 1; bytes data = 2; }
message MetadataEntry { string key = 1; bytes value = 2; }

All of them are of the package ``temporal.api.common.v1``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from ._wire import field, fields

__all__ = ["Payload", "decode_payloads", "encode_payloads"]


@dataclasses.dataclass(frozen=True)
class Payload:
    """One value in the form in which Temporal stores it.

    Give it wherever a value is expected and it is sent as it is: the way for encodings that this
    package doesn't know. Only the codec of ``connect(data_converter=...)``, if there is one,
    encodes it. A value that this process can't decode is read as one.

    ``metadata["encoding"]`` names the encoding, such as ``b"json/plain"``.
    """

    data: bytes
    metadata: Mapping[str, bytes]
    # Fields of a newer Temporal, kept so that a payload that is read and sent again loses nothing.
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
        """The serialized ``temporal.api.common.v1.Payload``: what most codecs encrypt."""
        entries = (field(1, key.encode()) + field(2, value) for key, value in self.metadata.items())
        metadata = b"".join(field(1, entry) for entry in entries)
        data = field(2, self.data) if self.data else b""
        return metadata + data + self.unknown_fields

    @staticmethod
    def from_bytes(data: bytes) -> Payload:
        """The payload that `to_bytes` has serialized. ValueError: it is none."""
        metadata: dict[str, bytes] = {}
        content = b""
        unknown = b""
        for number, value, raw in fields(data):
            if number == 1 and value is not None:
                entry = {number: part for number, part, _ in fields(value) if part is not None}
                metadata[entry.get(1, b"").decode()] = entry.get(2, b"")
            elif number == 2 and value is not None:
                content = value
            else:
                unknown += raw
        return Payload(content, metadata, unknown)

    @property
    def encoding(self) -> str:
        """The encoding's name; empty when the metadata have none."""
        return self.metadata.get("encoding", b"").decode("utf-8", "replace")


def encode_payloads(payloads: Iterable[Payload]) -> bytes:
    """A serialized ``Payloads`` with these in it."""
    return b"".join(field(1, payload.to_bytes()) for payload in payloads)


def decode_payloads(data: bytes) -> list[Payload]:
    """The payloads in the given bytes; ValueError when they aren't a ``Payloads``."""
    return [
        Payload.from_bytes(value)
        for number, value, _ in fields(data)
        if number == 1 and value is not None
    ]
