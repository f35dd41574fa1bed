"""A value as Temporal stores it: bytes, and metadata that say how to read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Payload"]


@dataclass(frozen=True)
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
    unknown_fields: bytes = field(default=b"", repr=False)

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
        from ._wire import encode_payload

        return encode_payload(self)

    @staticmethod
    def from_bytes(data: bytes) -> Payload:
        """The payload that `to_bytes` has serialized. ValueError: it is none."""
        from ._wire import decode_payload

        return decode_payload(data)

    @property
    def encoding(self) -> str:
        """The encoding's name; empty when the metadata have none."""
        return self.metadata.get("encoding", b"").decode("utf-8", "replace")
