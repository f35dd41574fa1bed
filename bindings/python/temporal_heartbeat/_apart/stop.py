"""Stops the body of an activity: when the server says so, when the worker ends, at a limit."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import queue
import signal
import threading
from typing import Any, Optional

from .._activity import Activity
from ..errors import Error
from ..signals import STOP_SIGNALS, Signals

__all__ = ["Reason", "StopOfCoroutine", "StopOfFunction", "keep_handlers_from_forks"]


class Reason(enum.Enum):
    """Why the body is stopped."""

    SIGNALS = "the signals of the activity"
    WORKER_ENDED = "the worker ended"
    CPU_TIME = "the limit of the processor time"


# The worker sends SIGTERM when it ends, and the kernel SIGXCPU at the limit.
_REASONS = {signal.SIGTERM: Reason.WORKER_ENDED, signal.SIGXCPU: Reason.CPU_TIME}

# Wakes the main thread from a system call. By default it is ignored, and few programs use it.
_WAKE = signal.SIGURG

# The main thread may be just before a system call, so it is woken several times.
_WAKE_INTERVAL_S = 0.05
_WAKE_COUNT = 20

# With one of these the attempt is over, or another attempt may be running.
_OVER = Signals.GONE | Signals.LEASE_LOST


def keep_handlers_from_forks() -> None:
    """Gives processes that the body forks the default handlers, instead of those below."""
    numbers = (*_REASONS, _WAKE)
    masks: list[Any] = []

    def block() -> None:
        masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, numbers))

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.pop())

    def reset() -> None:
        with contextlib.suppress(ValueError):  # not the main thread
            signal.set_wakeup_fd(-1)
            for number in numbers:
                signal.signal(number, signal.SIG_DFL)
        unblock()

    # A signal that comes right after the fork must not reach the handler of the body.
    os.register_at_fork(before=block, after_in_parent=unblock, after_in_child=reset)


class _Stop:
    """What is common to both kinds of bodies.

    Afterwards ``reason`` says why the body was stopped, if it was.
    """

    def __init__(self, activity: Any, environment: Any, end_timeout_s: float) -> None:
        self.reason: Optional[Reason] = None
        self._activity = activity
        self._environment = environment
        self._end_timeout_s = end_timeout_s
        self._has_ended = threading.Event()

    def _stop_body(self, reason: Reason) -> None:
        is_shutdown = reason is Reason.WORKER_ENDED
        self._environment.stop(self._activity.signals, is_shutdown=is_shutdown)

    def _kill_if_over(self) -> None:
        """Kills this process if the body doesn't end in time, and its attempt is over."""
        if self._has_ended.wait(self._end_timeout_s):
            return
        if self.reason is Reason.WORKER_ENDED or self._activity.signals & _OVER:
            os.killpg(os.getpid(), signal.SIGKILL)


class StopOfFunction(_Stop):
    """Stops a body that runs in the main thread, with an exception of its environment.

    The body runs in its ``with`` block.
    """

    def __init__(self, activity: Activity, environment: Any, end_timeout_s: float) -> None:
        super().__init__(activity, environment, end_timeout_s)
        self._lock = threading.Lock()
        # Unlike other queues, this one can be used in a signal handler.
        self._requests: queue.SimpleQueue[Reason] = queue.SimpleQueue()

    def check(self) -> None:
        """Raises the exception of the environment if the body must stop."""
        if self.reason is not None:
            raise self._environment.exception()

    def __enter__(self) -> None:
        for number, reason in _REASONS.items():
            signal.signal(number, lambda *_, reason=reason: self._requests.put(reason))
        signal.signal(_WAKE, lambda *_: None)
        for target in (self._watch, self._stop):
            threading.Thread(target=target, name="temporal-heartbeat-stop", daemon=True).start()

    def __exit__(self, *_: Any) -> None:
        with self._lock:
            self._has_ended.set()

    def _watch(self) -> None:
        with contextlib.suppress(Error):  # the activity is closed
            self._activity.wait(STOP_SIGNALS)
            self._requests.put(Reason.SIGNALS)

    def _stop(self) -> None:
        reason = self._requests.get()
        with self._lock:
            if self._has_ended.is_set():
                return
            self.reason = reason
            self._stop_body(reason)
        main = threading.main_thread().ident
        assert main is not None
        # The exception is raised between two bytecode instructions of the main thread, which may be
        # in a system call.
        for _ in range(_WAKE_COUNT):
            signal.pthread_kill(main, _WAKE)
            if self._has_ended.wait(_WAKE_INTERVAL_S):
                return
        self._kill_if_over()


class StopOfCoroutine(_Stop):
    """Stops a body that is a coroutine, by cancelling its task.

    The body runs in its ``async with`` block.
    """

    async def __aenter__(self) -> None:
        loop = asyncio.get_running_loop()
        for number, reason in _REASONS.items():
            loop.add_signal_handler(number, self._stop, reason)
        self._watching = loop.create_task(self._watch())

    async def __aexit__(self, *_: Any) -> None:
        self._has_ended.set()
        self._watching.cancel()

    async def _watch(self) -> None:
        with contextlib.suppress(Error):  # the activity is closed
            await self._activity.wait(STOP_SIGNALS)
            self._stop(Reason.SIGNALS)

    def _stop(self, reason: Reason) -> None:
        if self._has_ended.is_set() or self.reason is not None:
            return
        self.reason = reason
        self._stop_body(reason)
        threading.Thread(target=self._kill_if_over, daemon=True).start()
