"""What a body that runs apart finds around it, without Temporal's SDK."""

from __future__ import annotations

import asyncio
import ctypes
import inspect
import threading
from typing import Any, Callable, Optional

from ..errors import Cancelled
from ..signals import Signals

__all__ = ["Environment"]


class Environment:
    """Runs the body, and stops it with `Cancelled` or asyncio.CancelledError.

    ``SdkEnvironment`` has the same methods.
    """

    def __init__(self) -> None:
        self._thread = 0
        self._task: Optional[asyncio.Task[Any]] = None
        self._is_stopped = False

    def run(self, body: Callable[[], Any]) -> Any:
        """Returns the result of the body, or of a coroutine function its coroutine."""
        if inspect.iscoroutinefunction(body):
            return self._run(body)
        self._thread = threading.get_ident()
        return body()

    async def _run(self, body: Callable[[], Any]) -> Any:
        self._task = asyncio.ensure_future(body())
        if self._is_stopped:
            self._task.cancel()
        return await self._task

    def stop(self, signals: Signals, *, is_shutdown: bool) -> None:
        """Raises the exception in the body, between two of its bytecode instructions."""
        self._is_stopped = True
        if self._task is not None:
            self._task.cancel()
        elif self._thread:
            stopped = signals | Signals.SHUTDOWN if is_shutdown else signals

            class Stopped(Cancelled):  # the interpreter makes the object, without arguments
                def __init__(self) -> None:
                    super().__init__(stopped)

            raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
            raise_in(ctypes.c_ulong(self._thread), ctypes.py_object(Stopped))

    def exception(self) -> BaseException:
        """Returns the exception for a body that was stopped before it has started."""
        return Cancelled(Signals(0))
