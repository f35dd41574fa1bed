"""Waits for signals of any number of activities in one event loop, with one descriptor."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os

from ._invoke import invoke_function
from .errors import Error

__all__ = ["Watch", "watch_of"]

# The events that are handled before the event loop continues.
_MAX_EVENTS = 256
_ALL_SIGNALS = 0xFFFFFFFF

_watches: dict[asyncio.AbstractEventLoop, Watch] = {}


def watch_of(loop: asyncio.AbstractEventLoop) -> Watch:
    """Returns the event loop's watch, and opens it if there is none."""
    for other, watch in list(_watches.items()):
        if other.is_closed():
            watch.close()
    if loop not in _watches:
        _watches[loop] = Watch(loop)
    return _watches[loop]


class Watch:
    """Wakes the coroutines that wait for an activity's signals. Used only in its event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # The waiters of each activity, by its handle. An activity is in here from its first waiter
        # until it is closed. The watch is open while any activity is in here.
        self._waiters: dict[int, set[asyncio.Future[None]]] = {}
        self._handle = ctypes.c_uint64(0)
        self._descriptor = -1
        invoke_function("thb_watch_open", ctypes.byref(self._handle), may_block=False)
        try:
            descriptor = ctypes.c_int32(-1)
            invoke_function(
                "thb_watch_open_fd", self._handle, ctypes.byref(descriptor), may_block=False
            )
            self._descriptor = descriptor.value
            loop.add_reader(self._descriptor, self._handle_events)
        except BaseException:
            self._close_native()
            raise

    async def wait(self, activity: int, timeout: float | None) -> None:
        """Returns when the activity's signals change, it is closed, or the timeout expires."""
        waiter = self._loop.create_future()
        waiters = self._waiters[activity]
        waiters.add(waiter)
        try:
            await asyncio.wait([waiter], timeout=timeout)
        finally:
            waiters.discard(waiter)

    def add(self, activity: int) -> None:
        """Must be called before `wait`. Does nothing if the activity was added before."""
        if activity in self._waiters:
            return
        self._waiters[activity] = set()
        try:
            invoke_function(
                "thb_watch_add", self._handle, activity, _ALL_SIGNALS, 0, may_block=False
            )
        except BaseException:
            self.discard(activity)
            raise

    def discard(self, activity: int) -> None:
        """Removes a closed activity and wakes its waiters, which then find it closed."""
        _wake(self._waiters.pop(activity, set()))
        if not self._waiters:
            self.close()

    def close(self) -> None:
        if self._descriptor < 0:
            return
        if _watches.get(self._loop) is self:
            del _watches[self._loop]
        if not self._loop.is_closed():
            self._loop.remove_reader(self._descriptor)
            for waiters in self._waiters.values():
                _wake(waiters)
        self._waiters = {}
        self._close_native()

    def _handle_events(self) -> None:
        activity = ctypes.c_uint64(0)
        activity_out = ctypes.byref(activity)
        try:
            for _ in range(_MAX_EVENTS):
                invoke_function(
                    "thb_watch_next", self._handle, 0, activity_out, None, None, may_block=False
                )
                if not activity.value:
                    return
                _wake(self._waiters.get(activity.value, set()))
        except Error:
            # The connection ended. Each waiter gets the error from its own activity.
            self.close()

    def _close_native(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        with contextlib.suppress(Error):  # the end of the connection has closed it already
            invoke_function("thb_watch_close", self._handle, may_block=False)


def _wake(waiters: set[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
