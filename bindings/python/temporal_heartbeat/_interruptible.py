"""Runs blocking calls so that Ctrl-C and other signal handlers can interrupt them.

Python runs signal handlers in its main thread, between two bytecode instructions: never while that
thread is inside a C function. So a helper thread makes the main thread's blocking calls, and the
main thread waits for it in a way that signals interrupt. An interrupted wait abandons the call,
which continues in the helper thread on its own copies of the inputs. Calls of other threads are
made directly, because no signal handler runs there.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
from typing import Any, Callable, Generic, Optional, TypeVar

from .errors import ForkedError

__all__ = ["block_signals", "run_interruptible"]

T = TypeVar("T")

# A signal that the system delivers to another thread doesn't wake the main thread: poll for it.
_POLL_INTERVAL_S = 0.2


def run_interruptible(call: Callable[[], T]) -> T:
    """Returns or raises what ``call()`` does. Exceptions of signal handlers are raised at once."""
    if threading.get_ident() != threading.main_thread().ident:
        return call()
    try:
        helper = _idle_helpers.pop() if _idle_helpers else _Helper()
    except RuntimeError:
        # No thread can be started, for example while the interpreter exits.
        return call()
    job = _Job(call)
    finished = False
    try:
        helper.jobs.put(job)
        while not job.done.acquire(timeout=_POLL_INTERVAL_S):
            if not helper.is_alive():
                raise ForkedError("a signal handler forked this process during the call")
        finished = True
    finally:
        if finished:
            _idle_helpers.append(helper)
        else:
            helper.jobs.put(None)
    return job.outcome()


def block_signals() -> None:
    """Blocks all signals in this thread, so that the host's threads receive them."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


class _Job(Generic[T]):
    """One call and its outcome."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._result: Optional[T] = None
        self._exception: Optional[BaseException] = None
        self.done = threading.Lock()
        self.done.acquire()

    def run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as exception:
            self._exception = exception
        finally:
            self.done.release()

    def outcome(self) -> T:
        if self._exception is not None:
            try:
                raise self._exception
            finally:
                self._exception = None  # or it and its traceback would keep each other alive
        return self._result  # type: ignore[return-value]


class _Helper(threading.Thread):
    """Runs jobs until it gets None. A daemon, because the interpreter's exit must not wait."""

    def __init__(self) -> None:
        super().__init__(name="temporal-heartbeat-call", daemon=True)
        self.jobs: queue.SimpleQueue[Optional[_Job[Any]]] = queue.SimpleQueue()
        self.start()

    def run(self) -> None:
        block_signals()
        while True:
            job = self.jobs.get()
            if job is None:
                return
            job.run()
            del job


# Usually one. More if a signal handler makes a call while the main thread waits for another.
_idle_helpers: list[_Helper] = []

if hasattr(os, "register_at_fork"):
    # Threads don't survive a fork.
    os.register_at_fork(after_in_child=_idle_helpers.clear)
