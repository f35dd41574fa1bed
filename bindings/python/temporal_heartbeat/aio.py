"""The activity that is held open, for asyncio: the same names as `temporal_heartbeat.Activity`.

::

    import temporal_heartbeat as thb
    from temporal_heartbeat import aio

    async def main():
        await asyncio.to_thread(thb.connect)
        async with aio.Activity.from_env() as act:
            for item in range(await act.details(default=-1) + 1, 100):
                await work_on(item)
                act.heartbeat(item)
                act.raise_if_cancelled()
            await act.complete("done")

What never waits is a plain method: `Activity.heartbeat`, `Activity.touch`, ``signals``, ``info``,
`Activity.raise_if_cancelled`. What may wait is a coroutine. `Activity.wait` takes no thread: all
activities of an event loop share one descriptor that the loop polls. The others make their call in
a thread (`asyncio.to_thread`), with a copy of what they are given. When such a coroutine is
cancelled, the call runs out by itself, and the server may or may not have it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Optional, TypeVar, Union, overload

from ._convert import encode_values
from ._details import Details
from ._duration import Duration
from ._failure import Cause, failure_json
from ._held import NOT_GIVEN, HeldActivity, value_or, wire_bits
from ._invoke import milliseconds
from ._watch import Watch, watch_of
from .signals import Signals

__all__ = ["Activity"]

S = TypeVar("S", bound="Activity")


class Activity(HeldActivity):
    """An activity that is held open, used within an event loop.

    The options, and what the end of the block does, are those of `temporal_heartbeat.Activity`; it
    is ``async with`` here. The cancellation of the task (asyncio.CancelledError) never fails the
    activity, only closes it.

    Coroutines are for one event loop, that of the first `wait`. The plain methods may be called in
    any thread.
    """

    _watch: Optional[Watch] = None
    _loop: Optional[asyncio.AbstractEventLoop] = None

    @overload
    async def details(self, *, timeout: Optional[float] = 10.0) -> Details: ...

    @overload
    async def details(self, default: Any, *, timeout: Optional[float] = 10.0) -> Any: ...

    async def details(self, default: Any = NOT_GIVEN, *, timeout: Optional[float] = 10.0) -> Any:
        """What was recorded before this attempt; see `temporal_heartbeat.Activity.details`."""
        return value_or(default, await asyncio.to_thread(self._details, milliseconds(timeout)))

    async def wait(
        self,
        mask: Optional[int] = None,
        *,
        known: int = 0,
        timeout: Optional[float] = None,
    ) -> Signals:
        """Wait until something is asked of this process, and return the signals then.

        See `temporal_heartbeat.Activity.wait`. It takes no thread, however many wait.
        """
        mask, known = wire_bits(mask), wire_bits(known)
        milliseconds(timeout)  # one that makes no sense is refused as everywhere
        loop = asyncio.get_running_loop()
        if self._loop not in (None, loop):
            raise RuntimeError(f"{self!r} is waited for in another event loop")
        deadline = None if timeout is None else loop.time() + timeout
        while True:
            signals = self.signals
            left = None if deadline is None else deadline - loop.time()
            if (signals ^ known) & mask or (left is not None and left <= 0):
                return signals
            self._loop = loop
            self._watch = watch_of(loop)
            self._watch.add(self._handle.value)
            await self._watch.news(self._handle.value, left)

    async def flush(self, *, timeout: Optional[float] = 10.0) -> None:
        """Send what was recorded, and wait for it; see `temporal_heartbeat.Activity.flush`."""
        await asyncio.to_thread(self._flush, milliseconds(timeout))

    async def complete(self, result: Any = None, *, timeout: Optional[float] = 10.0) -> None:
        """End the activity with a result; see `temporal_heartbeat.Activity.complete`."""
        await asyncio.to_thread(
            self._complete, encode_values((result,), self._codec), milliseconds(timeout)
        )

    async def fail(
        self,
        message: Union[str, BaseException],
        *,
        type: Optional[str] = None,
        non_retryable: bool = False,
        details: Sequence[Any] = (),
        next_retry_delay: Optional[Duration] = None,
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
            stack_trace=stack_trace,
            source=source,
            cause=cause,
            codec=self._codec,
        )
        await asyncio.to_thread(self._fail, failure, milliseconds(timeout))

    async def report_cancelled(self, *details: Any, timeout: Optional[float] = 10.0) -> None:
        """End the activity as cancelled; see `temporal_heartbeat.Activity.report_cancelled`."""
        encoded = encode_values(details, self._codec)
        await asyncio.to_thread(self._report_cancelled, encoded, milliseconds(timeout))

    async def close(self, *, timeout: Optional[float] = 10.0) -> None:
        """Send what was recorded, and beat no more; see `temporal_heartbeat.Activity.close`."""
        timeout_ms = milliseconds(timeout)
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
