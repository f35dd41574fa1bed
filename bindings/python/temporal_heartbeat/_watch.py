"""News of any number of activities, for one event loop: one descriptor, and no thread."""

from __future__ import annotations

import asyncio
import ctypes
import os
from typing import Any

from ._invoke import invoke
from .errors import Error

__all__ = ["Watch", "watch_of"]

# So many news are told before the loop gets its turn.
_AT_ONCE = 256
_ALL_SIGNALS = 0xFFFFFFFF

_watches: dict[asyncio.AbstractEventLoop, Watch] = {}


def watch_of(loop: asyncio.AbstractEventLoop) -> Watch:
    """The loop's watch, opened if need be."""
    for other, watch in list(_watches.items()):
        if other.is_closed():
            watch.close()
    if loop not in _watches:
        _watches[loop] = Watch(loop)
    return _watches[loop]


class Watch:
    """Wakes those who wait for an activity's signals. Used within its loop alone."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # Who waits for which activity, by its handle. An activity is here from its first waiter
        # until it is closed; the watch is open while any is here.
        self._waiters: dict[int, set[asyncio.Future[None]]] = {}
        self._handle = _open()
        self._descriptor = -1
        try:
            self._descriptor = _open_descriptor(self._handle)
            loop.add_reader(self._descriptor, self._tell)
        except BaseException:
            self._close_native()
            raise

    async def news(self, activity: int, timeout: float | None) -> None:
        """Returns when the activity has news, is closed, or the timeout is over."""
        waiter = self._loop.create_future()
        waiters = self._waiters[activity]
        waiters.add(waiter)
        try:
            await asyncio.wait([waiter], timeout=timeout)
        finally:
            waiters.discard(waiter)

    def add(self, activity: int) -> None:
        """To be called before `news`; again does nothing."""
        if activity in self._waiters:
            return
        self._waiters[activity] = set()
        try:
            _add(self._handle, activity)
        except BaseException:
            self.discard(activity)
            raise

    def discard(self, activity: int) -> None:
        """The activity is closed: those who wait for it are to see for themselves."""
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

    def _tell(self) -> None:
        try:
            for _ in range(_AT_ONCE):
                activity = _next(self._handle)
                if not activity:
                    return
                _wake(self._waiters.get(activity, set()))
        except Error:
            # By the end of the connection: every waiter learns that from its own activity.
            self.close()

    def _close_native(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        _close(self._handle)


def _wake(waiters: set[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)


def _open() -> int:
    watch = ctypes.c_uint64(0)

    def call(native: ctypes.CDLL, error: Any) -> tuple[int, None]:
        return native.thb_watch_open(ctypes.byref(watch), error), None

    invoke(call, may_block=False)
    return watch.value


def _open_descriptor(watch: int) -> int:
    descriptor = ctypes.c_int32(-1)

    def call(native: ctypes.CDLL, error: Any) -> tuple[int, None]:
        return native.thb_watch_open_fd(watch, ctypes.byref(descriptor), error), None

    invoke(call, may_block=False)
    return descriptor.value


def _add(watch: int, activity: int) -> None:
    def call(native: ctypes.CDLL, error: Any) -> tuple[int, None]:
        return native.thb_watch_add(watch, activity, _ALL_SIGNALS, 0, error), None

    invoke(call, may_block=False)


def _next(watch: int) -> int:
    activity = ctypes.c_uint64(0)

    def call(native: ctypes.CDLL, error: Any) -> tuple[int, None]:
        status = native.thb_watch_next(watch, 0, ctypes.byref(activity), None, None, error)
        return status, None

    invoke(call, may_block=False)
    return activity.value


def _close(watch: int) -> None:
    def call(native: ctypes.CDLL, error: Any) -> tuple[int, None]:
        native.thb_watch_close(watch, error)
        return 0, None  # an error says that it is closed already

    invoke(call, may_block=False)
