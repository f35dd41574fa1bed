"""Calls that block, without taking Ctrl-C away from the user.

Python runs signal handlers in its main thread, between two steps of the interpreter: never while
that thread is within a C function. So a call that may block is made by a helper thread when it is
the main thread's, which meanwhile waits in a way that signals interrupt. An interrupted wait
abandons the call, which runs out by itself on its own copies of the inputs. Calls of other threads
are made directly: no signal handler ever runs there.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
from typing import Any, Callable, Generic, Optional, TypeVar

from .errors import Forked

__all__ = ["interruptibly"]

T = TypeVar("T")

# The main thread isn't woken by a signal that another thread happened to get: so it looks again.
_SLICE_S = 0.2


def interruptibly(call: Callable[[], T]) -> T:
    """Returns or raises what ``call()`` does. What a signal handler raises comes at once."""
    if threading.get_ident() != threading.main_thread().ident:
        return call()
    try:
        helper = _idle.pop() if _idle else _Helper()
    except RuntimeError:
        # No thread is to be had, as at the interpreter's end.
        return call()
    job = _Job(call)
    finished = False
    try:
        helper.jobs.put(job)
        while not job.done.acquire(timeout=_SLICE_S):
            if not helper.is_alive():
                raise Forked(
                    "this process was forked, by a signal handler, while the call was under way"
                )
        finished = True
    finally:
        if finished:
            _idle.append(helper)
        else:
            helper.jobs.put(None)
    return job.outcome()


class _Job(Generic[T]):
    """One call, and what came of it."""

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
                self._exception = None  # else it and its traceback would keep each other alive
        return self._result  # type: ignore[return-value]


class _Helper(threading.Thread):
    """A thread that makes calls until it is given None; a daemon, so that no exit waits for it."""

    def __init__(self) -> None:
        super().__init__(name="temporal-heartbeat-call", daemon=True)
        self.jobs: queue.SimpleQueue[Optional[_Job[Any]]] = queue.SimpleQueue()
        self.start()

    def run(self) -> None:
        if hasattr(signal, "pthread_sigmask"):
            # Leave the signals to the threads of the host.
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            job = self.jobs.get()
            if job is None:
                return
            job.run()
            del job


# Usually one; more if a signal handler calls while the main thread is within a call.
_idle: list[_Helper] = []

if hasattr(os, "register_at_fork"):
    # Threads don't survive a fork.
    os.register_at_fork(after_in_child=_idle.clear)
