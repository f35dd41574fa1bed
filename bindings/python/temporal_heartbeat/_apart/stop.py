"""Stops the body of an activity: when the server says so, when the worker ends, at a limit."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import queue
import signal
import threading
from types import TracebackType
from typing import Any, Optional

from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import CancelledError
from temporalio.testing import ActivityEnvironment

from .. import aio
from .._activity import Activity
from ..errors import Error
from ..signals import STOP_SIGNALS, Signals

__all__ = ["Reason", "StopOfCoroutine", "StopOfFunction"]


class Reason(enum.Enum):
    """Why the body is stopped."""

    SIGNALS = "the signals of the activity"
    WORKER_ENDED = "the worker ended"
    CPU_TIME = "the limit of the processor time"


# The worker sends SIGTERM when it ends, and the kernel SIGXCPU at the limit.
_REASONS = {signal.SIGTERM: Reason.WORKER_ENDED, signal.SIGXCPU: Reason.CPU_TIME}

# Wakes the main thread from a system call. By default it is ignored, and few programs use it.
_WAKE = signal.SIGURG


class StopOfFunction:
    """Stops a body that runs in the main thread, with an exception of the SDK.

    ``with`` it the body runs. Afterwards ``reason`` says why it was stopped, if it was.
    """

    def __init__(self, activity: Activity, environment: ActivityEnvironment) -> None:
        self.reason: Optional[Reason] = None
        self._activity = activity
        self._environment = environment
        self._is_running = True
        self._lock = threading.Lock()
        # Unlike other queues, this one can be used in a signal handler.
        self._requests: queue.SimpleQueue[Reason] = queue.SimpleQueue()

    def check(self) -> None:
        """Raises the SDK's exception if the body must stop."""
        if self.reason is not None:
            raise CancelledError("Cancelled")

    def __enter__(self) -> None:
        for number, reason in _REASONS.items():
            signal.signal(number, lambda *_, reason=reason: self._requests.put(reason))
        signal.signal(_WAKE, lambda *_: None)
        for target in (self._watch, self._stop):
            threading.Thread(target=target, name="temporal-heartbeat-stop", daemon=True).start()

    def __exit__(self, *_: Any) -> None:
        with self._lock:
            self._is_running = False

    def _watch(self) -> None:
        with contextlib.suppress(Error):  # the activity is closed
            self._activity.wait(STOP_SIGNALS)
            self._requests.put(Reason.SIGNALS)

    def _stop(self) -> None:
        reason = self._requests.get()
        with self._lock:
            if self._is_running:
                self.reason = reason
                _cancel(self._environment, self._activity, reason)
                # The exception is raised between two bytecode instructions of the main thread,
                # which may be in a system call.
                main = threading.main_thread().ident
                assert main is not None
                signal.pthread_kill(main, _WAKE)


class StopOfCoroutine:
    """Stops a body that is a coroutine, by cancelling its task.

    ``async with`` it the body runs. Afterwards ``reason`` says why it was stopped, if it was.
    """

    def __init__(self, activity: aio.Activity, environment: ActivityEnvironment) -> None:
        self.reason: Optional[Reason] = None
        self._activity = activity
        self._environment = environment
        self._is_running = True

    async def __aenter__(self) -> None:
        loop = asyncio.get_running_loop()
        for number, reason in _REASONS.items():
            loop.add_signal_handler(number, self._stop, reason)
        self._watching = loop.create_task(self._watch())

    async def __aexit__(
        self,
        kind: Optional[type[BaseException]],
        exception: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self._is_running = False
        self._watching.cancel()

    async def _watch(self) -> None:
        with contextlib.suppress(Error):  # the activity is closed
            await self._activity.wait(STOP_SIGNALS)
            self._stop(Reason.SIGNALS)

    def _stop(self, reason: Reason) -> None:
        if self._is_running and self.reason is None:
            self.reason = reason
            _cancel(self._environment, self._activity, reason)


def _cancel(environment: ActivityEnvironment, activity: Any, reason: Reason) -> None:
    if reason is Reason.WORKER_ENDED:
        environment.worker_shutdown()
    signals = activity.signals
    environment.cancel(
        ActivityCancellationDetails(
            cancel_requested=bool(signals & Signals.CANCEL_REQUESTED),
            reset=bool(signals & Signals.RESET),
            paused=bool(signals & Signals.PAUSED),
            not_found=bool(signals & Signals.GONE),
            timed_out=bool(signals & Signals.LEASE_LOST),
            worker_shutdown=reason is Reason.WORKER_ENDED,
        )
    )
