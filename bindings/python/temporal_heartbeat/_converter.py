"""Converts Python values to payloads and back, as the default converter of Temporal's SDK does.

==================================  ================  =========================================
value                               stored as         read as
==================================  ================  =========================================
``None``                            binary/null       ``None``
``bytes``                           binary/plain      ``bytes``
a protobuf message                  json/protobuf     the message, if its class is loaded
a ``Payload``                       its encoding      according to its encoding
a value in external storage         a reference       `ConfigError`
anything else that JSON can hold    json/plain        the result of ``json.loads``
==================================  ================  =========================================

JSON is compact and its keys are sorted. Beyond what ``json`` supports, dataclasses and objects with
a ``dict()`` method become objects, ``datetime`` and ``UUID`` become strings, and other iterables
(also ``bytearray``) become lists. A payload that this process can't decode is returned as a
``Payload``. It isn't an error, because the progress of another program must stay readable.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ._payload import Payload
from .errors import ConfigError

__all__ = ["from_payload", "refuse_reference", "to_json", "to_payload"]

_JSON = b"json/plain"
_BINARY = b"binary/plain"
_NULL = b"binary/null"
_JSON_PROTOBUF = b"json/protobuf"
_BINARY_PROTOBUF = b"binary/protobuf"


def to_payload(value: Any) -> Payload:
    if isinstance(value, Payload):
        return value
    if value is None:
        return Payload(b"", {"encoding": _NULL})
    if isinstance(value, bytes):
        return Payload(bytes(value), {"encoding": _BINARY})
    if _is_protobuf(value):
        return _protobuf_payload(value)
    return Payload(to_json(value), {"encoding": _JSON})


def from_payload(payload: Payload) -> Any:
    """Converts a payload. Raises `ConfigError` for a reference to external storage."""
    refuse_reference(payload)
    encoding = payload.metadata.get("encoding")
    if encoding == _NULL and not payload.data:
        return None
    if encoding == _BINARY:
        return payload.data
    try:
        if encoding == _JSON:
            return json.loads(payload.data)
        if encoding in (_JSON_PROTOBUF, _BINARY_PROTOBUF):
            return _read_protobuf(payload)
    except (ValueError, RecursionError):
        pass
    return payload


def refuse_reference(payload: Payload) -> None:
    """Raises an error for a value in external storage: a reference must not be taken for it."""
    if payload.is_external_reference:
        raise ConfigError(
            "the value is in external storage, and the server has only a reference to it: pass"
            " data_converter=, a DataConverter of Temporal's SDK with the external_storage of the"
            " workers"
        )


def to_json(value: Any) -> bytes:
    return _encoder.encode(value).encode()


def _jsonable(value: Any) -> Any:
    """Converts a value that json doesn't support. The order of the checks is the SDK's."""
    if isinstance(value, datetime):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    to_dict = getattr(value, "dict", None)
    if callable(to_dict):
        return to_dict()
    if isinstance(value, Iterable):
        return list(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    raise TypeError(f"a {type(value).__name__} can't be converted to JSON")


# json.dumps would make one for each value.
_encoder = json.JSONEncoder(default=_jsonable, separators=(",", ":"), sort_keys=True)


def _is_protobuf(value: Any) -> bool:
    # If the value is a message, its package is already loaded.
    message = sys.modules.get("google.protobuf.message")
    return (
        message is not None and isinstance(value, message.Message) and value.DESCRIPTOR is not None
    )


def _protobuf_payload(message: Any) -> Payload:
    from google.protobuf import json_format

    metadata = {"encoding": _JSON_PROTOBUF, "messageType": message.DESCRIPTOR.full_name.encode()}
    return Payload(to_json(json_format.MessageToDict(message)), metadata)


def _read_protobuf(payload: Payload) -> Any:
    """Returns the message, or the payload if its class isn't loaded. ValueError: invalid data."""
    if "google.protobuf.message" not in sys.modules:
        return payload
    from google.protobuf import json_format, message, symbol_database

    try:
        message_class = symbol_database.Default().GetSymbol(
            payload.metadata.get("messageType", b"").decode()
        )
    except KeyError:
        return payload
    try:
        if payload.metadata["encoding"] == _JSON_PROTOBUF:
            return json_format.Parse(payload.data, message_class())
        return message_class.FromString(payload.data)
    except (json_format.ParseError, message.DecodeError) as error:
        raise ValueError(str(error)) from error
