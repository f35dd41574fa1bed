"""Values as the library takes and gives them: through a codec, if there is one."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any, Optional

from . import _abi
from ._codec import Codec
from ._payload import Payload, decode_payloads, encode_payloads
from ._values import from_payload, to_payload

__all__ = ["encode_plain_base64", "encode_values", "from_payloads", "payloads_base64"]

_DIRECT = {
    b"json/plain": _abi.ENCODING_JSON,
    b"binary/plain": _abi.ENCODING_BINARY,
    b"binary/null": _abi.ENCODING_NULL,
}


def encode_values(values: Sequence[Any], codec: Optional[Codec]) -> tuple[int, bytes]:
    """The values as the library takes them: an encoding of ``thb_encoding`` and the bytes."""
    if not values:
        return _abi.ENCODING_NONE, b""
    payloads = _payloads(values, codec)
    if len(payloads) == 1 and not isinstance(values[0], Payload) and codec is None:
        [payload] = payloads
        direct = _DIRECT.get(payload.metadata["encoding"])
        if direct is not None and not _may_be_lax_json(payload.data):
            return direct, payload.data
    return _abi.ENCODING_PAYLOADS, encode_payloads(payloads)


def payloads_base64(name: str, values: Sequence[Any], codec: Optional[Codec]) -> str:
    """The values as the base64 of an encoded Payloads; empty without any."""
    if isinstance(values, (str, bytes)):
        raise TypeError(f"{name} is a sequence of values: put a single one in a list")
    return b64encode(encode_payloads(_payloads(values, codec))).decode()


def encode_plain_base64(text: str, codec: Codec) -> str:
    """The base64 of an encoded Payloads, those of a plain encoding encoded.

    What isn't such a text is returned as it is: the library refuses it, and says why.
    """
    try:
        payloads = decode_payloads(b64decode(text.strip(), validate=True))
    except ValueError:
        return text
    return b64encode(encode_payloads(codec.encode_plain(payloads))).decode()


def from_payloads(
    data: bytes, codec: Optional[Codec]
) -> tuple[tuple[Any, ...], tuple[Payload, ...]]:
    """The values in a serialized ``Payloads``, and their payloads."""
    payloads = decode_payloads(data)
    if codec is None:
        return tuple(from_payload(payload) for payload in payloads), tuple(payloads)
    decoded = codec.decode(payloads)
    return tuple(value for value, _ in decoded), tuple(payload for _, payload in decoded)


def _payloads(values: Sequence[Any], codec: Optional[Codec]) -> list[Payload]:
    if codec is None or not values:
        return [to_payload(value) for value in values]
    return codec.encode(values)


def _may_be_lax_json(data: bytes) -> bool:
    """Whether this may hold NaN or Infinity, which Python's JSON has and JSON has not.

    The library would refuse it as JSON, while the SDKs for Python send and read it; as a payload it
    goes through.
    """
    return b"NaN" in data or b"Infinity" in data
