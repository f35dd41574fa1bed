"""The codec of ``connect(data_converter=...)``, through which all values pass on their way.

Three kinds of object will do, and none of them needs a package imported here:

* any with ``encode`` and ``decode``, from a list of `Payload` to a list of `Payload`;
* a ``temporalio.converter.PayloadCodec``, whose payloads are the SDK's own, and whose methods are
  coroutines;
* a ``temporalio.converter.DataConverter``, which also makes payloads of values in its own way.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import threading
from collections.abc import Iterable, Sequence
from typing import Any, Optional, Protocol

from ._payload import Payload
from ._values import from_payload, to_payload

__all__ = ["Codec", "PayloadCodec", "codec_of"]

# The encodings that every reader understands, "" for none. Nothing else is taken for plain.
_PLAIN = (
    "",
    "binary/null",
    "binary/plain",
    "binary/protobuf",
    "json/plain",
    "json/protobuf",
)


class PayloadCodec(Protocol):
    """What ``connect(data_converter=...)`` takes: it encrypts, or compresses, or both.

    It is called in whatever thread makes a call, by several at the same time.
    """

    def encode(self, payloads: Sequence[Payload], /) -> Sequence[Payload]:
        """The payloads as they are to be stored. Their ``encoding`` should say so."""

    def decode(self, payloads: Sequence[Payload], /) -> Sequence[Payload]:
        """The payloads as they were before. Those that it hasn't encoded it should let through."""


class Codec:
    """Values to what is stored, and back, by a codec of the package's own kind."""

    def __init__(self, codec: Any) -> None:
        self._codec = codec

    def encode(self, values: Iterable[Any]) -> list[Payload]:
        return _list(_outcome(self._codec.encode([to_payload(value) for value in values])))

    def encode_plain(self, payloads: Iterable[Payload]) -> list[Payload]:
        """The payloads, those of a plain encoding encoded, the others as they are."""
        return [
            stored
            for payload in payloads
            for stored in (self.encode([payload]) if payload.encoding in _PLAIN else [payload])
        ]

    def decode(self, payloads: Sequence[Payload]) -> list[tuple[Any, Payload]]:
        """Each value, and its payload as it was before it was encoded."""
        decoded = _list(_outcome(self._codec.decode(list(payloads)))) if payloads else []
        return [(from_payload(payload), payload) for payload in decoded]


class _SdkCodec(Codec):
    """The same by a codec of the SDK's."""

    def encode(self, values: Iterable[Any]) -> list[Payload]:
        theirs = [_to_sdk(to_payload(value)) for value in values]
        return [_from_sdk(payload) for payload in _outcome(self._codec.encode(theirs))]

    def decode(self, payloads: Sequence[Payload]) -> list[tuple[Any, Payload]]:
        theirs = [_to_sdk(payload) for payload in payloads]
        decoded = _outcome(self._codec.decode(theirs)) if theirs else []
        return [(from_payload(ours), ours) for ours in map(_from_sdk, decoded)]


class _SdkConverter(Codec):
    """The same by a converter of the SDK's, which makes the payloads too."""

    def encode(self, values: Iterable[Any]) -> list[Payload]:
        from temporalio.common import RawValue

        given = [
            RawValue(_to_sdk(value)) if isinstance(value, Payload) else value for value in values
        ]
        return [_from_sdk(payload) for payload in _outcome(self._codec.encode(given))]

    def decode(self, payloads: Sequence[Payload]) -> list[tuple[Any, Payload]]:
        from temporalio.common import RawValue

        theirs = [_to_sdk(payload) for payload in payloads]
        hints: list[Any] = [RawValue] * len(theirs)
        decoded = [raw.payload for raw in _outcome(self._codec.decode(theirs, hints))]
        values = self._codec.payload_converter.from_payloads(decoded)
        return list(zip(values, map(_from_sdk, decoded)))


def codec_of(data_converter: Any) -> Codec:
    """The codec that an object is. TypeError: it is none."""
    # Whoever holds one of the SDK's has loaded it.
    sdk = sys.modules.get("temporalio.converter")
    if sdk is not None and isinstance(data_converter, sdk.DataConverter):
        return _SdkConverter(data_converter)
    if sdk is not None and isinstance(data_converter, sdk.PayloadCodec):
        return _SdkCodec(data_converter)
    if all(callable(getattr(data_converter, name, None)) for name in ("encode", "decode")):
        return Codec(data_converter)
    raise TypeError(
        "a data_converter has encode and decode, which take and return a list of Payload;"
        f" {type(data_converter).__name__} has not"
    )


def _list(returned: Any) -> list[Payload]:
    payloads: list[Payload] = list(returned)
    for payload in payloads:
        if not isinstance(payload, Payload):
            raise TypeError(f"a codec returns Payload objects, not {type(payload).__name__}")
    return payloads


def _to_sdk(payload: Payload) -> Any:
    from temporalio.api.common.v1 import Payload as Theirs

    return Theirs.FromString(payload.to_bytes())


def _from_sdk(payload: Any) -> Payload:
    return Payload.from_bytes(payload.SerializeToString())


def _outcome(result: Any) -> Any:
    """The result, or what it comes to when it is a coroutine."""
    if not inspect.isawaitable(result):
        return result

    async def wait() -> Any:
        return await result

    # Not in an event loop of the caller's thread: that may be running, and can't be waited in.
    return asyncio.run_coroutine_threadsafe(wait(), _loop()).result()


_background: Optional[asyncio.AbstractEventLoop] = None
_starting = threading.Lock()


def _loop() -> asyncio.AbstractEventLoop:
    """An event loop in a thread of its own, for codecs of coroutines."""
    global _background
    with _starting:
        if _background is None:
            loop = asyncio.new_event_loop()
            name = "temporal-heartbeat-codec"
            threading.Thread(target=loop.run_forever, name=name, daemon=True).start()
            _background = loop
        return _background


def _forget() -> None:
    """In a child: the thread isn't there, and the lock may be held by one that isn't."""
    global _background, _starting
    _background = None
    _starting = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
