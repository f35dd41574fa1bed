"""The `Activity` for asyncio, with the names of `temporal_heartbeat.Activity`.

::

    from temporal_heartbeat import aio

    async def main():
        await aio.connect()
        async with aio.Activity.from_env() as act:
            for item in range(await act.details(default=-1) + 1, 100):
                await work_on(item)
                act.heartbeat(item)
                await act.wait_while_paused()
                act.raise_if_cancelled()
            await act.complete("done")

Methods that never wait are plain methods: `Activity.heartbeat`, `Activity.touch`, ``signals``,
``info``, `Activity.raise_if_cancelled`. Methods that may wait are coroutines. `Activity.wait` uses
no thread: all activities of an event loop share one descriptor, which the loop polls. The other
coroutines make their call in a thread (`asyncio.to_thread`), with a copy of the arguments. When
such a coroutine is cancelled, its call continues in the thread, and may still reach the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar, Union, overload

from . import _connection
from ._activity_base import NOT_GIVEN, ActivityBase, signal_bits, value_or
from ._details import Details
from ._duration import Duration, timeout_to_ms
from ._encoding import encode_values
from ._failure import Cause, failure_json
from ._watch import Watch, watch_of
from .signals import WHILE_PAUSED, Signals

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

__all__ = ["Activity", "connect", "disconnect"]

S = TypeVar("S", bound="Activity")
T = TypeVar("T")


def __dir__() -> list[str]:
    return __all__


def _in_thread(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Returns the function as a coroutine, which makes the call in a thread."""

    @wraps(function)
    async def call(*arguments: P.args, **options: P.kwargs) -> T:
        return await asyncio.to_thread(function, *arguments, **options)

    return call


connect = _in_thread(_connection.connect)
disconnect = _in_thread(_connection.disconnect)


class Activity(ActivityBase):
    """An open activity, used within an event loop.

    The options and the end of the block are those of `temporal_heartbeat.Activity`, but the block
    is ``async with``. Cancellation of the task (asyncio.CancelledError) never fails the activity.

    Use the coroutines in one event loop, that of the first `wait`. Any thread may call the plain
    methods.
    """

    _watch: Optional[Watch] = None
    _loop: Optional[asyncio.AbstractEventLoop] = None

    @overload
    async def details(self, *, timeout: Optional[float] = 10.0) -> Details: ...

    @overload
    async def details(self, default: Any, *, timeout: Optional[float] = 10.0) -> Any: ...

    async def details(self, default: Any = NOT_GIVEN, *, timeout: Optional[float] = 10.0) -> Any:
        """Return the previous attempt's details; see `temporal_heartbeat.Activity.details`."""
        return value_or(default, await asyncio.to_thread(self._details, timeout_to_ms(timeout)))

    async def wait(
        self,
        mask: Optional[int] = None,
        *,
        known: int = 0,
        timeout: Optional[float] = None,
    ) -> Signals:
        """Wait until the signals change, and return them; see `temporal_heartbeat.Activity.wait`.

        It uses no thread, for any number of waiters.
        """
        mask, known = signal_bits(mask), signal_bits(known)
        timeout_to_ms(timeout)  # only to raise for an invalid timeout
        loop = asyncio.get_running_loop()
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
        await asyncio.to_thread(self._call, "thb_activity_flush", timeout_to_ms(timeout))

    async def complete(self, result: Any = None, *, timeout: Optional[float] = 10.0) -> None:
        """End the activity with a result; see `temporal_heartbeat.Activity.complete`."""
        encoded = encode_values((result,), self._codec)
        timeout_ms = timeout_to_ms(timeout)
        await asyncio.to_thread(self._call, "thb_activity_complete", *encoded, timeout_ms)

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
        failure = failure_json(
            message,
            type=type,
            non_retryable=non_retryable,
            details=details,
            next_retry_delay=next_retry_delay,
            category=category,
            stack_trace=stack_trace,
            source=source,
            cause=cause,
            codec=self._codec,
        )
        timeout_ms = timeout_to_ms(timeout)
        await asyncio.to_thread(self._call, "thb_activity_fail", failure, len(failure), timeout_ms)

    async def report_cancelled(self, *details: Any, timeout: Optional[float] = 10.0) -> None:
        """End the activity as cancelled; see `temporal_heartbeat.Activity.report_cancelled`."""
        encoded = encode_values(details, self._codec)
        timeout_ms = timeout_to_ms(timeout)
        await asyncio.to_thread(self._call, "thb_activity_report_cancelled", *encoded, timeout_ms)

    async def close(self, *, timeout: Optional[float] = 10.0) -> None:
        """Stop the heartbeats; see `temporal_heartbeat.Activity.close`."""
        timeout_ms = timeout_to_ms(timeout)
        try:
            await asyncio.to_thread(self._close, timeout_ms)
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
            if exception is None:
                await asyncio.to_thread(self._close, self._close_timeout_ms)
            else:
                await asyncio.to_thread(self._close_after, exception)
        finally:
            self._unwatch()
