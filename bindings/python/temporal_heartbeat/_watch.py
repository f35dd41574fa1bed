"""Waits for signals of any number of activities in one event loop, with one descriptor."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Optional

from ._event_loop import EventLoop, Future, PerLoop, Polled
from ._invoke import invoke_function
from .errors import Error

__all__ = ["Watch", "watch_of"]

# The events that are handled before the event loop continues.
_MAX_EVENTS = 256
_ALL_SIGNALS = 0xFFFFFFFF


class Watch(Polled):
    """Wakes the coroutines that wait for an activity's signals. Used only in its event loop."""

    def __init__(self, loop: EventLoop) -> None:
        # The waiters of each activity, by its handle. An activity is in here from its first waiter
        # until it is closed. The watch is open while any activity is in here.
        self._waiters: dict[int, set[Future]] = {}
        super().__init__("watch", loop)

    async def wait(self, activity: int, timeout: Optional[float]) -> None:
        """Returns when the activity's signals change, it is closed, or the timeout expires."""
        waiter = self._loop.create_future()
        waiters = self._waiters[activity]
        waiters.add(waiter)
        timer = None if timeout is None else self._loop.call_later(timeout, _wake, (waiter,))
        try:
            await waiter
        finally:
            waiters.discard(waiter)
            if timer is not None:
                timer.cancel()

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
        _watches.discard(self._loop)
        if not self._loop.is_closed():
            for waiters in self._waiters.values():
                _wake(waiters)
        self._waiters = {}
        super().close()

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


def _wake(waiters: Iterable[Future]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)


_watches = PerLoop(Watch)
watch_of = _watches.get
