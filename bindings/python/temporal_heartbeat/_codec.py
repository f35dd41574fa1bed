"""The codec of a ``data_converter``, which encodes and decodes all values.

This module accepts three kinds of object. It doesn't import Temporal's SDK for them:

* any object with ``encode`` and ``decode``, from a list of `Payload` to a list of `Payload`;
* a ``temporalio.converter.PayloadCodec``, which uses the SDK's payloads and coroutines;
* a ``temporalio.converter.DataConverter``, which also converts values to payloads.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import threading
from collections.abc import Iterable, Sequence
from typing import Any, Optional, Protocol

from ._converter import from_payload, to_payload
from ._payload import Payload

__all__ = ["PLAIN_ENCODINGS", "Codec", "PayloadCodec", "codec_of"]

# The encodings that need no codec; "" means that the metadata don't name an encoding. A payload
# with any other encoding counts as encoded by a codec.
PLAIN_ENCODINGS = (
    "",
    "binary/null",
    "binary/plain",
    "binary/protobuf",
    "json/plain",
    "json/protobuf",
)


class PayloadCodec(Protocol):
    """The interface of ``connect(data_converter=...)``, for example to encrypt or compress values.

    The thread that makes a call calls the codec. Several threads may do so at the same time. Of
    a codec that waits, make the methods coroutines: these run in another thread, so that they don't
    block an event loop.
    """

    def encode(self, payloads: Sequence[Payload], /) -> Sequence[Payload]:
        """Return the payloads to store. Give them a distinct ``encoding``."""

    def decode(self, payloads: Sequence[Payload], /) -> Sequence[Payload]:
        """Return the original payloads. Return payloads of another encoding unchanged."""


class Codec:
    """Converts values to encoded payloads and back, with the methods of a `PayloadCodec`."""

    def __init__(self, codec: Any) -> None:
        self._codec = codec
        # Whether its methods are coroutines, which run in another thread. Calls wait for them.
        self.has_coroutines = any(
            inspect.iscoroutinefunction(getattr(codec, name)) for name in ("encode", "decode")
        )

    def encode(self, values: Iterable[Any]) -> list[Payload]:
        return _check_payloads(
            _wait_for(self._codec.encode([to_payload(value) for value in values]))
        )

    def encode_plain(self, payloads: Iterable[Payload]) -> list[Payload]:
        """Encodes the payloads of a plain encoding, and returns the others unchanged."""
        encoded: list[Payload] = []
        for payload in payloads:
            is_plain = payload.encoding in PLAIN_ENCODINGS
            encoded += self.encode([payload]) if is_plain else [payload]
        return encoded

    def decode(self, payloads: Sequence[Payload]) -> list[tuple[Any, Payload]]:
        """Returns each value with its decoded payload."""
        decoded = _check_payloads(_wait_for(self._codec.decode(list(payloads)))) if payloads else []
        return [(from_payload(payload), payload) for payload in decoded]


class _SdkCodec(Codec):
    """Does the same with the SDK's ``PayloadCodec``."""

    def encode(self, values: Iterable[Any]) -> list[Payload]:
        sdk_payloads = [_to_sdk(to_payload(value)) for value in values]
        return [_from_sdk(payload) for payload in _wait_for(self._codec.encode(sdk_payloads))]

    def decode(self, payloads: Sequence[Payload]) -> list[tuple[Any, Payload]]:
        sdk_payloads = [_to_sdk(payload) for payload in payloads]
        decoded = _wait_for(self._codec.decode(sdk_payloads)) if sdk_payloads else []
        return [(from_payload(payload), payload) for payload in map(_from_sdk, decoded)]


class _SdkConverter(Codec):
    """Does the same with the SDK's ``DataConverter``, which also converts the values."""

    def encode(self, values: Iterable[Any]) -> list[Payload]:
        from temporalio.common import RawValue

        sdk_values = [
            RawValue(_to_sdk(value)) if isinstance(value, Payload) else value for value in values
        ]
        return [_from_sdk(payload) for payload in _wait_for(self._codec.encode(sdk_values))]

    def decode(self, payloads: Sequence[Payload]) -> list[tuple[Any, Payload]]:
        from temporalio.common import RawValue

        sdk_payloads = [_to_sdk(payload) for payload in payloads]
        hints: list[Any] = [RawValue] * len(sdk_payloads)
        decoded = [raw.payload for raw in _wait_for(self._codec.decode(sdk_payloads, hints))]
        values = self._codec.payload_converter.from_payloads(decoded)
        return list(zip(values, map(_from_sdk, decoded)))


def codec_of(data_converter: Any) -> Optional[Codec]:
    """Wraps a ``data_converter`` of any of the three kinds; None for None.

    Raises TypeError for any other object.
    """
    if data_converter is None:
        return None
    # If the object is one of the SDK's, the SDK is already loaded.
    sdk = sys.modules.get("temporalio.converter")
    if sdk is not None and isinstance(data_converter, sdk.DataConverter):
        return _SdkConverter(data_converter)
    if sdk is not None and isinstance(data_converter, sdk.PayloadCodec):
        return _SdkCodec(data_converter)
    if all(callable(getattr(data_converter, name, None)) for name in ("encode", "decode")):
        return Codec(data_converter)
    raise TypeError(
        "a data_converter needs encode and decode, which take and return a list of Payload;"
        f" {type(data_converter).__name__} doesn't have them"
    )


def _check_payloads(returned: Any) -> list[Payload]:
    payloads: list[Payload] = list(returned)
    for payload in payloads:
        if not isinstance(payload, Payload):
            raise TypeError(f"a codec returns Payload objects, not {type(payload).__name__}")
    return payloads


def _to_sdk(payload: Payload) -> Any:
    from temporalio.api.common.v1 import Payload as SdkPayload

    return SdkPayload.FromString(payload.to_bytes())


def _from_sdk(payload: Any) -> Payload:
    return Payload.from_bytes(payload.SerializeToString())


def _wait_for(result: Any) -> Any:
    """Returns the result. If it is an awaitable, blocks until it is done and returns its result."""
    if not inspect.isawaitable(result):
        return result

    async def wait() -> Any:
        return await result

    # The event loop of the caller's thread may be running, and then can't run this to its end.
    return asyncio.run_coroutine_threadsafe(wait(), _coroutine_loop()).result()


_background_loop: Optional[asyncio.AbstractEventLoop] = None
_loop_lock = threading.Lock()


def _coroutine_loop() -> asyncio.AbstractEventLoop:
    """Returns an event loop that runs in its own thread, for codecs with coroutines."""
    global _background_loop
    with _loop_lock:
        if _background_loop is None:
            loop = asyncio.new_event_loop()
            name = "temporal-heartbeat-codec"
            threading.Thread(target=loop.run_forever, name=name, daemon=True).start()
            _background_loop = loop
        return _background_loop


def _reset_after_fork() -> None:
    """Discards the loop and the lock: the threads that use them don't exist in a forked child."""
    global _background_loop, _loop_lock
    _background_loop = None
    _loop_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
