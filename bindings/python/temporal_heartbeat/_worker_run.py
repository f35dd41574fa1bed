"""Runs the tasks of a `Worker` in an event loop: coroutines in it, functions in threads."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import logging
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, NoReturn, Optional, TypeVar

from ._activity import run_blocking
from ._current import set_activity_in_context
from ._ending import OVER, end_attempt
from ._failure import encode_failure
from ._queue import running_queue, with_codec
from .errors import (
    Cancelled,
    EndedError,
    Error,
    ForkedError,
    InvalidArgumentError,
    InvalidHandleError,
    NotConnectedError,
)
from .signals import STOP_SIGNALS, Signals

if TYPE_CHECKING:
    from ._apart.process import ApartProcess
    from ._task import Task
    from ._worker import Definition, Worker

__all__ = ["Body", "Run", "run_in_new_loop"]

T = TypeVar("T")

_log = logging.getLogger("temporal_heartbeat")

# How long bodies have to stop after the grace of a shutdown.
_STOP_TIMEOUT_S = 5.0

# How long a shutdown then still waits for polls, which end within 20 s.
_POLLS_TIMEOUT_S = 25.0

# How long it tries to fail the attempt of a body that hasn't stopped.
_FAIL_TIMEOUT_MS = 10_000

# How long the end of an event loop waits for coroutines that it has cancelled.
_LOOP_END_TIMEOUT_S = 1.0

# The tasks that are taken before the event loop continues.
_MAX_TASKS = 64


# After these `next` returns no more tasks.
_ENDS = (InvalidHandleError, NotConnectedError, ForkedError)


class Run:
    """One `Worker.serve`. Used only in its event loop, except `shut_down`."""

    def __init__(self, worker: Worker, grace_s: Optional[float], max_threads: int) -> None:
        self._worker = worker
        self._grace_s = grace_s
        self._loop = asyncio.get_running_loop()
        self._threads = _Threads(max_threads)
        self._bodies: set[Body] = set()
        # Set when something has changed that `_until` may wait for.
        self._changed = asyncio.Event()
        self._has_all_tasks = False
        self._error: Optional[Error] = None
        self._stop_at: Optional[float] = None  # the end of the grace
        self._is_shutting_down = False
        self._is_late = False

    def shut_down(self) -> None:
        """Starts the grace. Any thread may call it."""
        with contextlib.suppress(RuntimeError):  # the event loop is closed
            self._loop.call_soon_threadsafe(self._begin_shutdown)

    async def serve(self, signals: Sequence[int]) -> None:
        descriptor = self._worker.open_fd()
        self._loop.add_reader(descriptor, self._take_tasks)
        ending = None
        try:
            with self._signal_handlers(signals):
                ending = self._loop.create_task(self._until_ended())
                try:
                    await asyncio.shield(ending)
                except asyncio.CancelledError:
                    self._begin_shutdown(grace_s=0)
                    await asyncio.shield(ending)  # another cancellation ends it
                    raise
        finally:
            if ending is not None:
                ending.cancel()
            self._loop.remove_reader(descriptor)
            os.close(descriptor)
            self._threads.close()
        if self._error is not None:
            raise self._error

    @contextlib.contextmanager
    def _signal_handlers(self, signals: Sequence[int]) -> Iterator[None]:
        added = []
        try:
            for number in signals:
                try:
                    self._loop.add_signal_handler(number, self._on_signal)
                except (RuntimeError, ValueError) as error:
                    raise InvalidArgumentError(
                        f"the signal {number} can't shut the worker down: {error}. Only the main"
                        " thread handles signals: call shutdown() instead"
                    ) from error
                added.append(number)
            yield
        finally:
            for number in added:
                self._loop.remove_signal_handler(number)

    def _on_signal(self) -> None:
        if self._is_shutting_down:
            self._begin_shutdown(grace_s=0)
        else:
            _log.info("a signal shuts the worker down")
            self._worker.shutdown()

    def _begin_shutdown(self, grace_s: Optional[float] = None) -> None:
        """Starts the grace, or ends it."""
        if not self._is_shutting_down or grace_s is not None:
            grace_s = self._grace_s if grace_s is None else grace_s
            self._stop_at = None if grace_s is None else time.monotonic() + grace_s
        if not self._is_shutting_down:
            self._is_shutting_down = True
            with contextlib.suppress(Error):  # `next` raises it too
                self._worker.shutdown()
        self._changed.set()

    def _take_tasks(self) -> None:
        try:
            for _ in range(_MAX_TASKS):
                task = self._worker._take()
                if task is None:
                    return
                self._start(task)
        except EndedError:
            self._has_all_tasks = True
        except Error as error:
            # The polls continue, so the worker must be shut down.
            self._error = self._error or error
            self._has_all_tasks = isinstance(error, _ENDS)
            self._begin_shutdown()
        if self._has_all_tasks:
            self._changed.set()

    def _start(self, task: Task) -> None:
        body = Body(self, task, self._worker._definitions[task.activity_type])
        self._bodies.add(body)
        if self._is_late:
            body.stop()
        if body.definition.is_coroutine:
            body.running = self._loop.create_task(body.run_coroutine())
            body.running.add_done_callback(lambda _: self._discard(body))
        else:
            self._threads.submit(body.run_function)

    def _discard(self, body: Body) -> None:
        """Any thread may call it."""
        self._bodies.discard(body)
        if self._is_shutting_down or self._has_all_tasks:
            with contextlib.suppress(RuntimeError):  # the event loop is closed
                self._loop.call_soon_threadsafe(self._changed.set)

    async def _until_ended(self) -> None:
        """Returns when there are no more tasks, and no body runs."""
        await self._until(lambda: self._has_all_tasks and not self._bodies, lambda: self._stop_at)
        if self._has_all_tasks and not self._bodies:
            return
        self._is_late = True
        for body in list(self._bodies):
            body.stop()
        end = time.monotonic() + _STOP_TIMEOUT_S
        await self._until(lambda: not self._bodies, lambda: end)
        await asyncio.gather(*(body.abandon() for body in list(self._bodies)))
        end = time.monotonic() + _POLLS_TIMEOUT_S
        await self._until(lambda: self._has_all_tasks, lambda: end)
        # Those that arrived last.
        end = time.monotonic() + _STOP_TIMEOUT_S
        await self._until(lambda: all(body.is_abandoned for body in self._bodies), lambda: end)

    async def _until(
        self, condition: Callable[[], bool], end: Callable[[], Optional[float]]
    ) -> None:
        """Returns when the condition holds, or at the time that ``end`` returns; None: never."""
        while True:
            self._changed.clear()
            if condition():
                return
            end_at = end()
            left_s = None if end_at is None else end_at - time.monotonic()
            if left_s is not None and left_s <= 0:
                return
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left_s)


class Body:
    """The body of one task."""

    def __init__(self, run: Run, task: Task, definition: Definition) -> None:
        self.definition = definition
        self.task = task
        self.activity: Any = task.activity
        self.codec = run._worker._codec
        self.running: Optional[asyncio.Task[None]] = None
        self.is_abandoned = False
        self._run = run
        self._inner: Optional[asyncio.Task[Any]] = None
        # The process apart that holds the activity.
        self._process: Optional[ApartProcess] = None
        self._pid = os.getpid()
        if not definition.is_apart:
            task._free()

    @property
    def data_converter(self) -> Any:
        """The object that the user has passed to the worker, or to `connect`."""
        codec = self.codec or self._run._worker._binding.codec
        return None if codec is None else codec._codec

    @property
    def connect_options(self) -> Mapping[str, Any]:
        """The arguments of `connect`, without a codec."""
        return self._run._worker._binding.connect_options

    def hand_over(self, process: ApartProcess) -> None:
        """Leaves the end of the attempt to a process apart. The slot stays occupied."""
        self._process = process

    def stop(self) -> None:
        """Lets the body end its attempt, because the worker shuts down."""
        if self._process is not None:
            if self._process.ends_with_worker:
                self._process.terminate()
            return
        self.activity._set_shutdown()
        if self._inner is not None:
            self._inner.cancel()

    async def abandon(self) -> None:
        """Fails the attempt while the body still runs."""
        self.is_abandoned = True
        if self._process is not None and not self._process.ends_with_worker:
            return  # it continues
        _log.warning("the body of %s hasn't stopped; its attempt fails", self.task)
        if self._process is not None:
            self._process.kill()
            assert self.running is not None
            await asyncio.wait([self.running], timeout=_FAIL_TIMEOUT_MS / 1000)
            return
        try:
            encode = partial(encode_failure, "the worker is shutting down", type="Shutdown")
            failure = await with_codec(self.activity._codec, encode)
            handle = self.activity._handle
            await running_queue().call("thb_activity_fail", handle, *failure, _FAIL_TIMEOUT_MS)
        except OVER:
            pass  # the body has ended
        except Exception as error:
            _log.warning("the attempt of %s could not be failed: %s", self.task, error)

    def run_function(self) -> None:
        """Runs in a thread."""
        try:
            result, exception = contextvars.copy_context().run(self._call)
            self._end_child(exception)
            run_blocking(end_attempt(self.activity, str(self.task), result, exception))
        finally:
            self._run._discard(self)

    def _call(self) -> tuple[Any, Optional[BaseException]]:
        try:
            self._check_start()
            if self._run._worker._has_stall_signal:
                self.activity.set_status("")  # the stack of this thread comes first
            arguments = self._arguments(self.activity._codec)
            with set_activity_in_context(self.activity, self):
                result = self.definition.function(*arguments)
            if inspect.iscoroutine(result):
                result.close()
                raise TypeError(
                    f"{self.definition.name} returned a coroutine, which is awaited only if the"
                    " activity is a coroutine function (async def), and each of its decorators"
                    " returns one"
                )
            return result, None
        except BaseException as exception:
            return None, exception

    def _end_child(self, exception: Optional[BaseException]) -> None:
        """Ends this process if the body has forked it: the worker belongs to the parent.

        Its event loop too: closing it would remove the descriptors of the parent from epoll.
        """
        if os.getpid() != self._pid:
            end_child(f"a child process that {self.task} has forked", exception)

    async def run_coroutine(self) -> None:
        self._inner = self._run._loop.create_task(self._await())
        if self.activity._own_signals:
            self._inner.cancel()
        watching = self._run._loop.create_task(self._cancel_on_signals(self._inner))
        await asyncio.wait([self._inner])
        self._end_child(None if self._inner.cancelled() else self._inner.result()[1])
        watching.cancel()
        if self._inner.cancelled():
            result, exception = None, asyncio.CancelledError()
        else:
            result, exception = self._inner.result()
        try:
            if self._process is None:
                await end_attempt(self.activity, str(self.task), result, exception)
            elif exception is not None:
                _log.error("%s (apart)", self.task, exc_info=exception)
        finally:
            self.activity._unwatch()
            self.task._free()

    async def _await(self) -> tuple[Any, Optional[BaseException]]:
        try:
            self._check_start()
            arguments = await with_codec(self.activity._codec, self._arguments)
            with set_activity_in_context(self.activity, self):
                return await self.definition.function(*arguments), None
        except BaseException as exception:
            return None, exception

    async def _cancel_on_signals(self, inner: asyncio.Task[Any]) -> None:
        with contextlib.suppress(Error):  # the activity is closed
            await self.activity.wait(STOP_SIGNALS)
            inner.cancel()

    def _check_start(self) -> None:
        if self.activity._own_signals:
            raise Cancelled(Signals.SHUTDOWN)

    def _arguments(self, codec: Any) -> list[Any]:
        parameters = self._run._worker._parameters[self.definition.name]
        return self.task._arguments(parameters, codec)


def end_child(name: str, exception: Optional[BaseException]) -> NoReturn:
    """Ends a forked process with the exit status of a program that the exception ends."""
    status = 0
    if isinstance(exception, SystemExit):
        if exception.code is not None:
            status = exception.code if isinstance(exception.code, int) else 1
    elif exception is None:
        _log.warning("%s returned from the activity, and ends: call os._exit", name)
    else:
        status = 1
        traceback.print_exception(type(exception), exception, exception.__traceback__)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(status & 0xFF)


def run_in_new_loop(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs a coroutine as `asyncio.run` does, but returns even if others don't end."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise RuntimeError("run can't be called in an event loop: use `await worker.serve()`")
    loop = asyncio.new_event_loop()

    def end(awaited: Any) -> None:
        if awaited:
            loop.run_until_complete(asyncio.wait(awaited, timeout=_LOOP_END_TIMEOUT_S))

    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(main())
    finally:
        try:
            remaining = asyncio.all_tasks(loop)
            for task in remaining:
                task.cancel()
            end(remaining)
            end([loop.create_task(loop.shutdown_asyncgens())])
        finally:
            asyncio.set_event_loop(None)
            loop.close()


class _Threads:
    """Threads for functions. They are daemons: a body that hangs must not keep the process."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._idle = threading.Semaphore(0)
        self._jobs: queue.SimpleQueue[Optional[Callable[[], None]]] = queue.SimpleQueue()

    def submit(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)
        if not self._idle.acquire(blocking=False) and self._count < self._limit:
            self._count += 1
            name = f"temporal-heartbeat-worker-{self._count}"
            threading.Thread(target=self._work, name=name, daemon=True).start()

    def close(self) -> None:
        """Ends the threads after the jobs that were submitted."""
        for _ in range(self._count):
            self._jobs.put(None)

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                self._idle.release()
                job = self._jobs.get()
            if job is None:
                return
            job()
            del job
