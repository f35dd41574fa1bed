"""A run of `trio`, with those methods of an event loop of asyncio that this package uses.

Only a task of trio imports this. Callbacks run in system tasks, which end with the run.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Any, Callable, Optional, TypeVar

__all__ = ["run_in_thread_of_trio", "trio_loop"]

T = TypeVar("T")

trio: Any = sys.modules["trio"]

_loop_of_run = trio.lowlevel.RunVar("temporal_heartbeat")


def trio_loop() -> _TrioLoop:
    """Returns the event loop of the current run."""
    loop: _TrioLoop
    try:
        loop = _loop_of_run.get()
    except LookupError:
        loop = _TrioLoop()
        _loop_of_run.set(loop)
    return loop


async def run_in_thread_of_trio(function: Callable[[], T]) -> T:
    result: T = await trio.to_thread.run_sync(function, abandon_on_cancel=True)
    return result


class _TrioLoop:
    def __init__(self) -> None:
        self._is_closed = False
        trio.lowlevel.spawn_system_task(self._close_at_the_end)

    async def _close_at_the_end(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self._is_closed = True

    def is_closed(self) -> bool:
        return self._is_closed

    def create_future(self) -> _TrioFuture:
        return _TrioFuture()

    def time(self) -> float:
        now: float = trio.current_time()
        return now

    def add_reader(self, fd: int, callback: Callable[[], object]) -> None:
        async def poll() -> None:
            try:
                while True:
                    await trio.lowlevel.wait_readable(fd)
                    callback()
            except trio.ClosedResourceError:
                pass  # remove_reader

        trio.lowlevel.spawn_system_task(poll)

    def remove_reader(self, fd: int) -> None:
        trio.lowlevel.notify_closing(fd)

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Any:
        scope = trio.CancelScope()

        async def later() -> None:
            with scope:
                await trio.sleep(delay)
                callback(*args)

        trio.lowlevel.spawn_system_task(later)
        return scope


class _TrioFuture:
    """A result that one task awaits."""

    def __init__(self) -> None:
        self._task: Any = None
        self._is_done = False
        self._result: Any = None
        self._exception: Optional[BaseException] = None

    def done(self) -> bool:
        return self._is_done

    def set_result(self, result: Any) -> None:
        self._result = result
        self._finish()

    def set_exception(self, exception: BaseException) -> None:
        self._exception = exception
        self._finish()

    def _finish(self) -> None:
        self._is_done = True
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)
            self._task = None

    def __await__(self) -> Generator[Any, Any, Any]:
        if not self._is_done:
            self._task = trio.lowlevel.current_task()

            def abort(_: Any) -> Any:
                self._task = None
                return trio.lowlevel.Abort.SUCCEEDED

            yield from trio.lowlevel.wait_task_rescheduled(abort).__await__()
        if self._exception is not None:
            raise self._exception
        return self._result
