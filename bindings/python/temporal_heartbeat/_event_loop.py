"""The event loop that runs the caller: asyncio's, or that of a `trio` run.

The library's handles that an event loop polls have one descriptor for each event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
from typing import Any, Callable, Generic, Protocol, TypeVar

from ._invoke import invoke_function
from .errors import Error

__all__ = [
    "EventLoop",
    "Future",
    "PerLoop",
    "Polled",
    "run_in_thread",
    "running_loop",
    "shielded",
]

T = TypeVar("T")
P = TypeVar("P", bound="Polled")


class Future(Protocol):
    """The part of `asyncio.Future` that this package uses."""

    def __await__(self) -> Any: ...
    def done(self) -> bool: ...
    def set_result(self, result: Any, /) -> None: ...
    def set_exception(self, exception: BaseException, /) -> None: ...


class Timer(Protocol):
    """The part of `asyncio.TimerHandle` that this package uses."""

    def cancel(self) -> None: ...


class EventLoop(Protocol):
    """The part of `asyncio.AbstractEventLoop` that this package uses."""

    def create_future(self) -> Future: ...
    def add_reader(self, fd: int, callback: Callable[[], object], /) -> object: ...
    def remove_reader(self, fd: int, /) -> object: ...
    def call_later(self, delay: float, callback: Callable[..., object], /, *args: Any) -> Timer: ...
    def time(self) -> float: ...
    def is_closed(self) -> bool: ...


def running_loop() -> EventLoop:
    """Returns the event loop that runs the caller. RuntimeError: none runs."""
    # If trio runs the caller, it is already loaded.
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        from ._trio import trio_loop

        return trio_loop()
    return asyncio.get_running_loop()


def shielded() -> contextlib.AbstractContextManager[Any]:
    """Lets the calls of the block end although the scope of the task is cancelled.

    The scopes of trio and anyio cancel each ``await``, until the task has left them. A cancellation
    by asyncio is over when the end of a block begins.
    """
    in_trio = not isinstance(running_loop(), asyncio.AbstractEventLoop)
    scopes = sys.modules["trio"] if in_trio else sys.modules.get("anyio")
    if scopes is None:
        return contextlib.nullcontext()
    scope: contextlib.AbstractContextManager[Any] = scopes.CancelScope(shield=True)
    return scope


async def run_in_thread(function: Callable[[], T]) -> T:
    """Runs a function that blocks, without blocking the event loop."""
    if isinstance(running_loop(), asyncio.AbstractEventLoop):
        return await asyncio.to_thread(function)
    from ._trio import run_in_thread_of_trio

    return await run_in_thread_of_trio(function)


class Polled:
    """A handle of the library with a descriptor, which one event loop polls."""

    def __init__(self, kind: str, loop: EventLoop) -> None:
        """Opens the handle with ``thb_<kind>_open``."""
        self._kind = kind
        self._loop = loop
        self._handle = ctypes.c_uint64(0)
        self._descriptor = -1
        invoke_function(f"thb_{kind}_open", ctypes.byref(self._handle), may_block=False)
        try:
            descriptor = ctypes.c_int32(-1)
            invoke_function(
                f"thb_{kind}_open_fd", self._handle, ctypes.byref(descriptor), may_block=False
            )
            self._descriptor = descriptor.value
            loop.add_reader(self._descriptor, self._handle_events)
        except BaseException:
            self._close_native()
            raise

    @property
    def is_dead(self) -> bool:
        """Whether the event loop has been closed."""
        return self._loop.is_closed()

    def close(self) -> None:
        """Closes the handle and the descriptor."""
        if self._descriptor >= 0 and not self._loop.is_closed():
            self._loop.remove_reader(self._descriptor)
        self._close_native()

    def close_in_child(self) -> None:
        """Closes the descriptor in a forked child. The handle belongs to the parent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _handle_events(self) -> None:
        raise NotImplementedError

    def _close_native(self) -> None:
        self.close_in_child()
        with contextlib.suppress(Error):  # the end of the connection may have closed it already
            invoke_function(f"thb_{self._kind}_close", self._handle, may_block=False)


class PerLoop(Generic[P]):
    """The objects of the event loops, one each."""

    def __init__(self, make: Callable[[EventLoop], P]) -> None:
        self._make = make
        self._objects: dict[EventLoop, P] = {}
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._discard_all)

    def get(self, loop: EventLoop) -> P:
        """Returns the event loop's object, and makes it if there is none."""
        found = self._objects.get(loop)
        if found is None:
            self.close_dead()
            found = self._objects[loop] = self._make(loop)
        return found

    def close_dead(self) -> None:
        """Closes the objects of event loops that were closed before them."""
        for loop, polled in list(self._objects.items()):
            # Several threads may do this at the same time.
            if polled.is_dead and self._objects.pop(loop, None) is not None:
                polled.close()

    def discard(self, loop: EventLoop) -> None:
        self._objects.pop(loop, None)

    def __len__(self) -> int:
        return len(self._objects)

    def _discard_all(self) -> None:
        for polled in self._objects.values():
            polled.close_in_child()
        self._objects.clear()
