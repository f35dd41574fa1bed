"""Converts values to the library's forms and back, with the codec if there is one."""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from . import _abi
from ._codec import Codec
from ._converter import from_payload, to_json, to_payload
from ._payload import Payload, decode_payloads, encode_payloads
from .errors import InvalidArgumentError

__all__ = [
    "decode_values",
    "encode_plain_base64",
    "encode_values",
    "options_json",
    "payloads_base64",
]

_OF_PLAIN_VALUE = {
    b"json/plain": _abi.ENCODING_JSON,
    b"binary/plain": _abi.ENCODING_BINARY,
    b"binary/null": _abi.ENCODING_NULL,
}

# Other types may be converted in another way.
_PLAIN_JSON = frozenset((dict, list, str, float, bool))


def encode_values(values: Sequence[Any], codec: Optional[Codec]) -> tuple[int, bytes, int]:
    """Returns the three C arguments of encoded values: a ``thb_encoding``, the bytes, their length.

    A single value is sent in its own encoding, several as a serialized ``Payloads``.
    """
    if not values:
        return _abi.ENCODING_NONE, b"", 0
    if codec is None and len(values) == 1:
        # The usual values, without an object for the payload.
        value = values[0]
        kind = type(value)
        if kind is bytes:
            return _abi.ENCODING_BINARY, value, len(value)
        if kind is int:
            data = str(value).encode()
            return _abi.ENCODING_JSON, data, len(data)
        if kind in _PLAIN_JSON:
            data = to_json(value)
            if not _may_be_lax_json(data):
                return _abi.ENCODING_JSON, data, len(data)
    payloads = _payloads(values, codec)
    if len(payloads) == 1 and not isinstance(values[0], Payload) and codec is None:
        [payload] = payloads
        encoding = _OF_PLAIN_VALUE.get(payload.metadata["encoding"])
        if encoding is not None and not _may_be_lax_json(payload.data):
            return encoding, payload.data, len(payload.data)
    data = encode_payloads(payloads)
    return _abi.ENCODING_PAYLOADS, data, len(data)


def payloads_base64(name: str, values: Sequence[Any], codec: Optional[Codec]) -> str:
    """Returns the values as the base64 text of a serialized ``Payloads``; "" for no values."""
    if isinstance(values, (str, bytes)):
        raise TypeError(f"{name} is a sequence of values: put a single one in a list")
    return b64encode(encode_payloads(_payloads(values, codec))).decode()


def encode_plain_base64(text: str, codec: Codec) -> str:
    """Encodes those payloads of a base64 text that have a plain encoding.

    An invalid text is returned unchanged: the library refuses it, and its error names the cause.
    """
    try:
        payloads = decode_payloads(b64decode(text.strip(), validate=True))
    except ValueError:
        return text
    return b64encode(encode_payloads(codec.encode_plain(payloads))).decode()


def decode_values(
    data: bytes, codec: Optional[Codec]
) -> tuple[tuple[Any, ...], tuple[Payload, ...]]:
    """Returns the values in a serialized ``Payloads``, and their decoded payloads."""
    payloads = decode_payloads(data)
    if codec is None:
        return tuple(from_payload(payload) for payload in payloads), tuple(payloads)
    decoded = codec.decode(payloads)
    return tuple(value for value, _ in decoded), tuple(payload for _, payload in decoded)


def options_json(options: Mapping[str, Any]) -> bytes:
    """Returns the options as JSON for the library. Leaves out options that are None."""
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return _option_json(given)
    except (TypeError, ValueError):
        for name, value in given.items():
            try:
                _option_json(value)
            except (TypeError, ValueError) as error:
                kind = TypeError if isinstance(error, TypeError) else InvalidArgumentError
                raise kind(f"the option {name} can't be {value!r:.100}: {error}") from None
        raise


def _option_json(value: Any) -> bytes:
    return json.dumps(value, default=_path, allow_nan=False).encode()


def _path(value: Any) -> str:
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    raise TypeError(f"a {type(value).__name__} isn't the value of an option")


def _payloads(values: Sequence[Any], codec: Optional[Codec]) -> list[Payload]:
    if codec is None or not values:
        return [to_payload(value) for value in values]
    return codec.encode(values)


def _may_be_lax_json(data: bytes) -> bool:
    """Whether the text may contain NaN or Infinity, which Python's JSON allows and JSON doesn't.

    The library refuses such JSON, but Python's SDK sends and reads it. So it is sent as a payload,
    which the library doesn't check.
    """
    return b"NaN" in data or b"Infinity" in data
