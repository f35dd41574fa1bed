"""The worker's side of one process apart: starts it, watches it, and ends it with the worker."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import multiprocessing.process
import multiprocessing.util  # so that the function at exit below runs before that of this module
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, Callable, Optional

from .main_module import REFUSAL, REFUSED_STATUS
from .task import ENDED, FAILED_TO_START, GO, READY

__all__ = ["ApartProcess"]

_log = logging.getLogger("temporal_heartbeat")

# How long the exit of the worker waits for processes without a log record.
_QUIET_S = 0.5

# `multiprocessing` isn't written for processes that several threads start.
_start_lock = threading.Lock()

# The processes that still run. A process that the worker forks doesn't end them when it exits.
_running: set[ApartProcess] = set()
os.register_at_fork(after_in_child=_running.clear)


class ApartProcess:
    """A process that runs the body for one attempt.

    A thread starts it and waits for it, so the worker's event loop may be blocked or closed.
    """

    def __init__(
        self,
        task: bytes,
        arguments: bytes,
        *,
        start_method: str,
        ends_with_worker: bool,
        end_timeout_s: float,
        on_exit: Callable[[], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        # Set when the activity is open in the process; an exception if the process ended before.
        self.ready: asyncio.Future[None] = loop.create_future()
        # Set when the process has ended: None, or a description if it hasn't ended the attempt.
        self.ended: asyncio.Future[Optional[str]] = loop.create_future()
        self.end_timeout_s = end_timeout_s
        self.ends_with_worker = ends_with_worker
        self._loop = loop
        self._on_exit = on_exit
        self._channel: Optional[multiprocessing.connection.Connection] = None
        self._process: Any = None
        self._end = -1  # see _descriptor_of_end
        self._is_killed = False
        self._lock = threading.Lock()
        threading.Thread(
            target=self._watch,
            args=[task, arguments, multiprocessing.get_context(start_method)],
            name="temporal-heartbeat-apart",
            daemon=True,
        ).start()

    def go(self) -> None:
        """Lets the body start."""
        with self._lock, contextlib.suppress(OSError):  # the process may have ended
            if self._channel is not None:
                self._channel.send(GO)

    def terminate(self) -> None:
        """Asks the process to fail the attempt, and to end."""
        self._send_signal(signal.SIGTERM)

    def end(self) -> None:
        """Lets the body stop, and kills the process if it doesn't end in time."""
        self.terminate()
        self._end_in_time()

    def kill(self) -> None:
        with self._lock:
            self._is_killed = True
        self._send_signal(signal.SIGKILL)

    def wait(self, timeout_s: float) -> bool:
        """Whether the process ends within this time."""
        with self._lock:
            if self._process is None:
                return True
            descriptor = os.dup(self._end)
        try:
            return bool(multiprocessing.connection.wait([descriptor], max(0, timeout_s)))
        finally:
            os.close(descriptor)

    def _send_signal(self, number: int) -> None:
        with self._lock:
            if self._process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._process.pid, number)

    def _watch(self, task: bytes, arguments: bytes, context: Any) -> None:
        has_answered = has_ended = False
        failure: Optional[str] = None
        try:
            self._start(context)
            for message, text in self._messages(task, arguments):
                has_answered = True
                if message == READY:
                    self._resolve(self.ready, None)
                elif message == FAILED_TO_START:
                    failure = text
                elif message == ENDED:
                    has_ended = True
                    self._end_in_time()
            status = self._join()
            if status == REFUSED_STATUS and not has_answered:
                failure = REFUSAL
            failure = failure or _describe_exit(status)
        except BaseException as error:
            failure = f"the process couldn't be started: {type(error).__name__}: {error}"
            if self._process is not None:
                self.kill()
                self._process.join()
        finally:
            # If this fails, the place must still become free.
            with contextlib.suppress(Exception):
                self._close()
            self._on_exit()
            self._resolve(self.ready, RuntimeError(failure))
            self._resolve(self.ended, None if has_ended else failure)

    def _start(self, context: Any) -> None:
        ours, theirs = context.Pipe()
        with _start_lock, theirs:
            process = context.Process(target=_run, args=[theirs], name="temporal-heartbeat-apart")
            process.start()
            # Otherwise the exit of the interpreter waits for the process, and other threads that
            # start processes could take its exit status.
            multiprocessing.process._children.discard(process)  # type: ignore[attr-defined]
        with self._lock:
            self._process, self._channel = process, ours
            self._end = _descriptor_of_end(process)
            is_killed = self._is_killed
            _running.add(self)
        if is_killed:
            self.kill()

    def _messages(self, task: bytes, arguments: bytes) -> Iterator[tuple[str, str]]:
        """Sends the task and yields the answers, until the process ends."""
        channel = self._channel
        assert channel is not None
        with contextlib.suppress(OSError):  # the process has ended, or doesn't read them
            channel.send_bytes(task)
            channel.send_bytes(arguments)
        with contextlib.suppress(EOFError, OSError):
            # Processes that the body forked may hold the channel open.
            while self._end not in multiprocessing.connection.wait([channel, self._end]):
                yield channel.recv()
            while channel.poll():
                yield channel.recv()
        multiprocessing.connection.wait([self._end])

    def _end_in_time(self) -> None:
        """Kills the process if it doesn't end in time: threads of the body may keep it."""
        if not self.wait(self.end_timeout_s):
            self.kill()

    def _join(self) -> Optional[int]:
        """Returns the exit status of the process that has ended, negative for a signal.

        None: another part of the program has taken it, for example by ignoring SIGCHLD.
        """
        # It leads a group. The processes that the body started and left end with it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.join()
        status: Optional[int] = self._process.exitcode
        return status

    def _close(self) -> None:
        with self._lock:
            _running.discard(self)
            if self._channel is not None:
                self._channel.close()
                self._channel = None
            if self._process is not None:
                if self._end >= 0:
                    os.close(self._end)
                process, self._process = self._process, None
                with contextlib.suppress(ValueError):  # its status is unknown
                    process.close()

    def _resolve(self, future: asyncio.Future[Any], outcome: Any) -> None:
        def resolve() -> None:
            if future.done():
                return
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
                future.exception()  # it needn't be read
            else:
                future.set_result(outcome)

        with contextlib.suppress(RuntimeError):  # the worker's event loop is closed
            self._loop.call_soon_threadsafe(resolve)


def _run(channel: multiprocessing.connection.Connection) -> None:
    from .child import run  # which the worker doesn't need

    run(channel)


def _describe_exit(status: Optional[int]) -> str:
    """Describes the end of a process that hasn't ended its attempt."""
    if status is None:
        return "the process died"
    if status >= 0:
        return f"the process exited with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hint = ", perhaps because the machine is out of memory" if name == "SIGKILL" else ""
    return f"the process was killed by {name}{hint}"


def _descriptor_of_end(process: Any) -> int:
    """Returns a descriptor that is readable when the process has ended."""
    if sys.platform == "linux":
        with contextlib.suppress(ProcessLookupError, OSError):
            return os.pidfd_open(process.pid)
    # It has ended already, or this system has no such descriptor. Processes that the body forked
    # can hold this one open.
    return os.dup(process.sentinel)


@atexit.register
def _end_all() -> None:
    """Ends the processes that end with the worker. Ctrl-C kills them."""
    ending = [process for process in list(_running) if process.ends_with_worker]
    for process in ending:
        process.terminate()
    try:
        _wait_for_all(ending)
    except KeyboardInterrupt:
        for process in ending:
            process.kill()


def _wait_for_all(ending: Sequence[ApartProcess]) -> None:
    start = time.monotonic()
    if ending and not all(process.wait(_QUIET_S) for process in ending):
        longest = max(process.end_timeout_s for process in ending)
        _log.warning("waiting up to %g s until the activities that run apart have stopped", longest)
    for process in ending:
        if not process.wait(start + process.end_timeout_s - time.monotonic()):
            process.kill()
