"""The codec of a ``data_converter``, which encodes and decodes all values.

It is any object with ``encode`` and ``decode``, from a list of `Payload` to a list of `Payload`, or
one of Temporal's SDK: see `_sdk_codec`. Here the SDK isn't imported.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import os
import sys
import threading
from collections.abc import Iterable, Sequence
from typing import Any, Callable, Optional, Protocol, Union

from ._context import SerializationContext
from ._converter import from_payload, refuse_reference, to_payload
from ._payload import Payload
from ._type_hints import typed_values

__all__ = ["PLAIN_ENCODINGS", "Codec", "PayloadCodec", "codec_of", "wait_for"]

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
    block an event loop. Only `Activity.heartbeat` waits for them in its thread. The timeout of a
    call doesn't limit the time of the codec.

    A codec whose key depends on the activity has a third method, which is called for each
    `Activity` and for each call with a token::

        def with_context(self, context: SerializationContext) -> PayloadCodec:

    It returns a codec for the values of that activity, and leaves the object unchanged. It must not
    wait, because the event loop calls it too.
    """

    def encode(self, payloads: Sequence[Payload], /) -> Sequence[Payload]:
        """Return the payloads to store. Give them a distinct ``encoding``."""

    def decode(self, payloads: Sequence[Payload], /) -> Sequence[Payload]:
        """Return the original payloads. Return payloads of another encoding unchanged."""


class Codec:
    """Converts values to encoded payloads and back, with the methods of a `PayloadCodec`."""

    # Whether the texts of failures are encoded too. None: if the failure converter does so.
    encode_common_attributes: Optional[bool] = False

    def __init__(self, codec: Any) -> None:
        self._codec = codec

    @property
    def has_coroutines(self) -> bool:
        """Whether its methods are coroutines, which run in another thread. Calls wait for them."""
        methods = (self._codec.encode, self._codec.decode)
        return any(map(inspect.iscoroutinefunction, methods))

    @property
    def may_encrypt(self) -> bool:
        """Whether values are encoded, and not only converted."""
        return True

    def bound(
        self,
        context: Callable[[], SerializationContext],
        *,
        require_encoded: bool,
        encode_common_attributes: Optional[bool],
    ) -> Codec:
        """Returns the codec for the values of one activity.

        ``context`` is only called for a codec that takes a context.
        """
        bound = copy.copy(self)
        if encode_common_attributes is not None:
            bound.encode_common_attributes = encode_common_attributes
        bound._bind(context, require_encoded)
        return bound

    def encode(self, values: Iterable[Any]) -> list[Payload]:
        """Encodes the values, except payloads that refer to external storage."""
        values = list(values)
        if not any(map(_is_reference, values)):
            return self._encode(values)
        encoded: list[Payload] = []
        for value in values:
            encoded += [value] if _is_reference(value) else self._encode([value])
        return encoded

    def encode_plain(self, payloads: Iterable[Payload]) -> list[Payload]:
        """Encodes the payloads of a plain encoding, and returns the others unchanged."""
        encoded: list[Payload] = []
        for payload in payloads:
            is_plain = payload.encoding in PLAIN_ENCODINGS
            encoded += self.encode([payload]) if is_plain else [payload]
        return encoded

    def decode(self, payloads: Sequence[Payload]) -> list[tuple[Any, Payload]]:
        """Returns each value with its decoded payload."""
        if getattr(self._codec, "external_storage", None) is None:
            for payload in payloads:
                refuse_reference(payload)
        return self._decode(payloads) if payloads else []

    def typed_values(self, payloads: Sequence[Payload], hints: Sequence[Any]) -> list[Any]:
        """Converts decoded payloads to the types of the hints, one for each or NO_HINT."""
        return typed_values(payloads, hints)

    def failure_of(self, exception: Union[BaseException, str]) -> Optional[tuple[Any, bool]]:
        """Returns the SDK's ``Failure`` that a failure converter makes, with unencoded payloads.

        Also returns whether it has encoded attributes. Returns None without a failure converter,
        and for those of the SDK, which `_failure` imitates.
        """
        return None

    def _bind(self, context: Callable[[], SerializationContext], require_encoded: bool) -> None:
        with_context = getattr(self._codec, "with_context", None)
        if callable(with_context):
            self._codec = _check_codec(with_context(context()))

    def _encode(self, values: list[Any]) -> list[Payload]:
        return _check_payloads(
            wait_for(self._codec.encode([to_payload(value) for value in values]))
        )

    def _decode(self, payloads: Sequence[Payload]) -> list[tuple[Any, Payload]]:
        decoded = _check_payloads(wait_for(self._codec.decode(list(payloads))))
        return [(from_payload(payload), payload) for payload in decoded]


def codec_of(data_converter: Any) -> Optional[Codec]:
    """Wraps a ``data_converter`` of any kind; None for None.

    Raises TypeError for any other object.
    """
    if data_converter is None:
        return None
    # If the object is one of the SDK's, the SDK is already loaded.
    if "temporalio.converter" in sys.modules:
        from ._sdk_codec import sdk_codec_of

        codec = sdk_codec_of(data_converter)
        if codec is not None:
            return codec
    return Codec(_check_codec(data_converter))


def _is_reference(value: Any) -> bool:
    return isinstance(value, Payload) and value.is_external_reference


def _check_codec(codec: Any) -> Any:
    if isinstance(codec, type) and inspect.isfunction(
        inspect.getattr_static(codec, "encode", None)
    ):
        raise TypeError(f"a data_converter is an object: pass {codec.__name__}(), not the class")
    if all(callable(getattr(codec, name, None)) for name in ("encode", "decode")):
        return codec
    raise TypeError(
        "a data_converter needs encode and decode, which take and return a list of Payload;"
        f" {type(codec).__name__} doesn't have them"
    )


def _check_payloads(returned: Any) -> list[Payload]:
    payloads: list[Payload] = list(returned)
    for payload in payloads:
        if not isinstance(payload, Payload):
            raise TypeError(f"a codec returns Payload objects, not {type(payload).__name__}")
    return payloads


def wait_for(result: Any) -> Any:
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
