"""The functions and the `Activity` of `temporal_heartbeat` for asyncio, with the same names.

::

    from temporal_heartbeat import aio

    async def main():
        await aio.connect()
        async with aio.Activity.from_env() as act:
            async for item in aio.track(range(100), act):       # after the last recorded item
                await work_on(item)
            await act.complete("done")

Functions and methods that may wait are coroutines. Those that never wait are plain methods:
`Activity.heartbeat`, `Activity.touch`, ``signals``, ``info``, `Activity.raise_if_cancelled`. No
coroutine needs a thread: each event loop polls one descriptor for all of its calls, and one for the
signals of its activities. Only the coroutines of a ``data_converter`` run in a thread. The event
loop may be asyncio's, that of another package such as uvloop, or a run of trio.

Cancelling a coroutine cancels its call. A request that wasn't sent yet is never sent, but the
server may apply a request that was sent. So after a cancelled ending call the activity may be over:
repeat the call, which raises `NotFoundError` or `InDoubtError` if it is. A cancelled `connect` may
have connected. When an event loop is closed, its calls are cancelled. While another task or thread
is connecting, `connect` doesn't wait, but raises `AlreadyConnectedError`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Iterable, Sequence
from functools import partial, wraps
from inspect import signature
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar, Union, overload

from . import _connection, _rpc
from ._activity_base import NOT_GIVEN, ActivityBase, signal_bits, value_or
from ._codec import Codec, codec_of
from ._details import Details, RawDetails, decode_details
from ._duration import Duration, timeout_to_ms
from ._encoding import encode_values
from ._event_loop import EventLoop, running_loop, shielded
from ._failure import Cause, encode_failure
from ._invoke import Token, token_bytes
from ._queue import running_queue, with_codec
from ._track import Loop, OnStop, the_activity
from ._track_aio import Iteration
from ._watch import Watch, watch_of
from .signals import WHILE_PAUSED, Signals, signals_of

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

__all__ = [
    "connect",
    "disconnect",
    "Activity",
    "track",
    "heartbeat",
    "get_details",
    "complete",
    "fail",
    "report_cancelled",
]

S = TypeVar("S", bound="Activity")
T = TypeVar("T")


def __dir__() -> list[str]:
    return __all__


def _connecting(connect: Callable[P, None]) -> Callable[P, Coroutine[Any, Any, None]]:
    """Returns the coroutine with the arguments of `connect`."""

    @wraps(connect)
    async def call(*arguments: P.args, **options: P.kwargs) -> None:
        given = signature(connect).bind(*arguments, **options).arguments
        await running_queue().connect(*_connection.connect_arguments(given))

    return call


connect = _connecting(_connection.connect)


async def disconnect(*, timeout: Optional[float] = 10.0) -> None:
    """End the connection; see `temporal_heartbeat.disconnect`."""
    await running_queue().call("thb_disconnect", timeout_to_ms(timeout))


async def heartbeat(
    token: Token,
    *details: Any,
    timeout: Optional[float] = 10.0,
    clear: bool = False,
    data_converter: Any = None,
) -> Signals:
    """Record a heartbeat; see `temporal_heartbeat.heartbeat`."""
    _rpc.check_clear(details, clear)
    encode = partial(encode_values, details)
    signals, _ = await _send("thb_heartbeat", token, encode, timeout, data_converter)
    return signals_of(signals)


async def get_details(
    token: Token, *, timeout: Optional[float] = 10.0, data_converter: Any = None
) -> Details:
    """Read the heartbeat details that the server holds; see `temporal_heartbeat.get_details`."""
    raw, codec = await _send("thb_get_details", token, lambda _: (), timeout, data_converter)
    return await with_codec(codec, partial(decode_details, raw))


async def complete(
    token: Token,
    result: Any = None,
    *,
    timeout: Optional[float] = 10.0,
    data_converter: Any = None,
) -> None:
    """End the activity with a result; see `temporal_heartbeat.complete`."""
    encode = partial(encode_values, (result,))
    await _send("thb_complete", token, encode, timeout, data_converter)


async def fail(
    token: Token,
    message: Union[str, BaseException],
    *,
    type: Optional[str] = None,
    non_retryable: Optional[bool] = None,
    details: Sequence[Any] = (),
    next_retry_delay: Optional[Duration] = None,
    category: Optional[str] = None,
    stack_trace: Optional[str] = None,
    source: Optional[str] = None,
    cause: Optional[Cause] = None,
    heartbeat_details: Sequence[Any] = (),
    timeout: Optional[float] = 10.0,
    data_converter: Any = None,
) -> None:
    """End this attempt as failed; see `temporal_heartbeat.fail`."""
    encode = partial(
        encode_failure,
        message,
        type=type,
        non_retryable=non_retryable,
        details=details,
        next_retry_delay=next_retry_delay,
        category=category,
        stack_trace=stack_trace,
        source=source,
        cause=cause,
        heartbeat_details=heartbeat_details,
    )
    await _send("thb_fail", token, encode, timeout, data_converter)


async def report_cancelled(
    token: Token, *details: Any, timeout: Optional[float] = 10.0, data_converter: Any = None
) -> None:
    """End the activity as cancelled; see `temporal_heartbeat.report_cancelled`."""
    encode = partial(encode_values, details)
    await _send("thb_report_cancelled", token, encode, timeout, data_converter)


def _send(
    name: str,
    token: Token,
    encode: Callable[[Optional[Codec]], tuple[Any, ...]],
    timeout: Optional[float],
    data_converter: Any,
) -> Coroutine[Any, Any, tuple[Any, Optional[Codec]]]:
    """Calls a C function with the token. Returns the result, and the codec that encoded it."""
    own_codec = codec_of(data_converter)
    timeout_ms = timeout_to_ms(timeout)
    return running_queue().call_encoded(name, token_bytes(token), encode, timeout_ms, own_codec)


class Activity(ActivityBase):
    """An open activity, used within an event loop.

    The options and the end of the block are those of `temporal_heartbeat.Activity`, but the block
    is ``async with``. Cancellation of the task (asyncio.CancelledError) never fails the activity.
    If the end of the block is cancelled, the activity is closed without sending anything more.

    Use the coroutines in one event loop, that of the first `wait`. Any thread may call the plain
    methods.
    """

    _watch: Optional[Watch] = None
    _loop: Optional[EventLoop] = None

    @overload
    async def details(self, *, timeout: Optional[float] = 10.0) -> Details: ...

    @overload
    async def details(self, default: Any, *, timeout: Optional[float] = 10.0) -> Any: ...

    async def details(self, default: Any = NOT_GIVEN, *, timeout: Optional[float] = 10.0) -> Any:
        """Return the previous attempt's details; see `temporal_heartbeat.Activity.details`."""
        return value_or(default, await self._details(timeout_to_ms(timeout)))

    async def wait(
        self,
        mask: Optional[int] = None,
        *,
        known: int = 0,
        timeout: Optional[float] = None,
    ) -> Signals:
        """Wait until the signals change; see `temporal_heartbeat.Activity.wait`."""
        mask, known = signal_bits(mask), signal_bits(known)
        timeout_to_ms(timeout)  # only to raise for an invalid timeout
        loop = running_loop()
        if self._loop not in (None, loop):
            raise RuntimeError(f"another event loop already waits for {self!r}")
        deadline = None if timeout is None else loop.time() + timeout
        while True:
            signals = self.signals
            remaining = None if deadline is None else deadline - loop.time()
            if (signals ^ known) & mask or (remaining is not None and remaining <= 0):
                return signals
            self._loop = loop
            self._watch = watch_of(loop)
            self._watch.add(self._handle.value)
            await self._watch.wait(self._handle.value, remaining)

    async def wait_while_paused(self, *, timeout: Optional[float] = None) -> Signals:
        """Wait for the end of a pause; see `temporal_heartbeat.Activity.wait_while_paused`."""
        return await self.wait(WHILE_PAUSED, known=Signals.PAUSED, timeout=timeout)

    async def flush(self, *, timeout: Optional[float] = 10.0) -> None:
        """Send the recorded details; see `temporal_heartbeat.Activity.flush`."""
        await self._call("thb_activity_flush", timeout_to_ms(timeout))

    async def complete(self, result: Any = None, *, timeout: Optional[float] = 10.0) -> None:
        """End the activity with a result; see `temporal_heartbeat.Activity.complete`."""
        encode = partial(encode_values, (result,))
        await self._send("thb_activity_complete", encode, timeout_to_ms(timeout))

    async def fail(
        self,
        message: Union[str, BaseException],
        *,
        type: Optional[str] = None,
        non_retryable: Optional[bool] = None,
        details: Sequence[Any] = (),
        next_retry_delay: Optional[Duration] = None,
        category: Optional[str] = None,
        stack_trace: Optional[str] = None,
        source: Optional[str] = None,
        cause: Optional[Cause] = None,
        timeout: Optional[float] = 10.0,
    ) -> None:
        """End this attempt as failed; see `temporal_heartbeat.Activity.fail`."""
        encode = partial(
            encode_failure,
            message,
            type=type,
            non_retryable=non_retryable,
            details=details,
            next_retry_delay=next_retry_delay,
            category=category,
            stack_trace=stack_trace,
            source=source,
            cause=cause,
        )
        await self._send("thb_activity_fail", encode, timeout_to_ms(timeout))

    async def report_cancelled(self, *details: Any, timeout: Optional[float] = 10.0) -> None:
        """End the activity as cancelled; see `temporal_heartbeat.Activity.report_cancelled`."""
        encode = partial(encode_values, details)
        await self._send("thb_activity_report_cancelled", encode, timeout_to_ms(timeout))

    async def close(self, *, timeout: Optional[float] = 10.0) -> None:
        """Stop the heartbeats; see `temporal_heartbeat.Activity.close`."""
        timeout_ms = timeout_to_ms(timeout)
        try:
            await self._close(timeout_ms)
        finally:
            self._unwatch()

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.discard(self._handle.value)
            self._watch = None

    async def __aenter__(self: S) -> S:
        return self

    async def __aexit__(
        self,
        kind: Optional[type[BaseException]],
        exception: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        try:
            with shielded():
                if exception is None:
                    await self._close(self._close_timeout_ms)
                else:
                    await self._close_after(exception)
        finally:
            self._unwatch()

    async def _call(self, name: str, *arguments: Any) -> None:
        await running_queue().call(name, self._handle, *arguments)

    async def _fetch_details(self, timeout_ms: int) -> Optional[RawDetails]:
        raw: RawDetails
        raw = await running_queue().call("thb_activity_get_details", self._handle, timeout_ms)
        return raw

    async def _with_codec(self, function: Callable[[Optional[Codec]], T]) -> T:
        return await with_codec(self._codec, function)


def track(
    iterable: Union[Iterable[T], AsyncIterable[T]],
    activity: Optional[Activity] = None,
    *,
    key: Optional[Callable[[T], Any]] = None,
    flush_every: Optional[Duration] = None,
    on_stop: OnStop = "raise",
    progress: bool = True,
    total: Optional[int] = None,
    description: str = "",
) -> AsyncIterator[T]:
    """Iterate over the items of an activity; see `temporal_heartbeat.track`.

    The iterable may be an asynchronous one::

        async for item in aio.track(items, act):
            await work_on(item)
    """
    loop = Loop(
        the_activity(activity, Activity, "temporal_heartbeat.track outside of coroutines"),
        iterable,
        key=key,
        flush_every=flush_every,
        on_stop=on_stop,
        bar=(total, description) if progress else None,
    )
    return Iteration(loop, iterable)
