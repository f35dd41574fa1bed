"""The decorator `apart`, and what the decorated function does in the worker."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import logging
import os
import sys
import time
import warnings
from collections.abc import AsyncIterator, Coroutine, Mapping
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any, Callable, NoReturn, Optional, TypedDict, TypeVar, overload

from .._duration import Duration, duration_to_ms
from .._keywords import refuse_unknown
from .._stall import check_stall_options
from ..errors import InvalidArgumentError
from ..handoff import NO_HEARTBEAT_TIMEOUT, context_of_info, remaining_ms
from .here import run_here
from .main_module import is_being_imported, refuse_workers
from .places import Places
from .process import ApartProcess
from .task import ApartTask, Limits, first_line, mark_body

if TYPE_CHECKING:
    from typing_extensions import ParamSpec, Unpack

    P = ParamSpec("P")

__all__ = ["ApartOptions", "apart"]

R = TypeVar("R")

_log = logging.getLogger("temporal_heartbeat")

# How many heartbeats the SDK gets per heartbeat timeout; it sends fewer itself.
_BEATS_PER_TIMEOUT = 3


class ApartOptions(TypedDict, total=False):
    """The options of `apart`."""

    start_method: str
    max_concurrent: Optional[int]
    memory_limit: Optional[int]
    cpu_time_limit: Optional[Duration]
    when_worker_ends: str
    end_timeout: Duration
    start_timeout: Duration
    initializer: Optional[Callable[[], object]]
    connect: Optional[Mapping[str, Any]]
    data_converter: Any
    stall_timeout: Optional[Duration]
    stall_action: Optional[str]
    stall_signal: Optional[int]
    stall_report: Optional[str]
    cancel_poll: Optional[Duration]
    follow_server: bool


@overload
def apart(
    function: Callable[P, Coroutine[Any, Any, R]], /
) -> Callable[P, Coroutine[object, object, R]]: ...
@overload
def apart(function: Callable[P, R], /) -> Callable[P, Coroutine[object, object, R]]: ...
@overload
def apart(**options: Unpack[ApartOptions]) -> _Decorator: ...
def apart(function: Any = None, /, **options: Any) -> Any:
    """Run the body of an activity in a process of its own.

    A decorator for activities of Temporal's Python SDK::

        from temporalio import activity
        import temporal_heartbeat as thb

        @activity.defn
        @thb.apart(stall_timeout=600)
        def train(config: Config) -> Report:
            for epoch in thb.track(range(100)):     # resumes, records, waits while paused, stops
                ...
            return Report(...)

    The worker starts a process for each attempt. The process heartbeats, runs the body, and ends
    the activity with the body's result or exception. So a body that holds the GIL or blocks an
    event loop neither loses heartbeats nor disturbs the worker. docs/guide/apart.md of the project
    is the guide.

    The function may be a coroutine function or not. The decorated one always is, so the worker
    needs no ``activity_executor`` for it. Arguments must be picklable. The worker's DataConverter
    converts results, exceptions and details. The process connects as the worker's client does.

    * ``start_method``: ``"spawn"`` or ``"forkserver"``, of ``multiprocessing``. A forkserver
      imports the function's module once for all processes. Both import ``__main__``, so the main
      module needs the usual ``if __name__ == "__main__":``.
    * ``max_concurrent``: the most processes of this function at once in a worker; by default the
      number of processors. ``max_concurrent_activities`` of the worker doesn't limit them. An
      attempt that waits for its process is kept alive with the details of the previous attempt.
    * ``memory_limit``: the most data of the process in bytes (RLIMIT_DATA); over it the body gets a
      MemoryError. ``cpu_time_limit``: the most processor time (RLIMIT_CPU); over it the body is
      stopped, and the attempt fails.
    * ``when_worker_ends``: ``"end"``: the process ends with the worker's process. If the
      interpreter of the worker exits normally, the attempt fails at once as retryable, with
      everything that is recorded; a killed worker's processes are killed too. ``"finish"``: it
      continues until the body returns. ``end_timeout``: the time that the body has to stop; 10 s.
    * ``start_timeout``: the time that the process has to start and to import the main module; 60 s.
    * ``initializer``: a function that the process calls before the body, for example to configure
      ``logging``. By default the log goes to stderr, from the level of the worker's root logger.
    * ``connect``: arguments of `temporal_heartbeat.connect` that replace those of the worker's
      client.
    * ``data_converter``: a DataConverter instead of that of the worker's client; or the name of
      one, as ``"package.module:name"``, if it can't be pickled.
    * ``stall_timeout``, ``stall_action``, ``stall_signal``, ``stall_report``, ``cancel_poll``,
      ``follow_server``: as those of `Activity`. With ``stall_signal`` a stall shows where the body
      hangs.

    Times are seconds or a timedelta.

    In the body, `current_activity` returns the `Activity`. ``activity.info()`` and
    ``activity.logger`` work as usual. ``activity.heartbeat()`` records. In a function that isn't a
    coroutine function it also waits while the activity is paused. ``activity.client()`` isn't
    available, and ``activity.metric_meter()`` counts nothing.

    A cancellation raises asyncio.CancelledError in a coroutine. In another function it raises
    ``temporalio.exceptions.CancelledError`` in the main thread, also while that sleeps or waits.
    So do a reset, a timeout, and the end of the worker.

    Outside of a worker, also in an ``ActivityEnvironment``, the body runs in this process, and
    nothing is recorded.

    Raises `InvalidArgumentError` for an invalid option, and for a function that another process
    can't import by its name, such as one within a function.
    """
    if function is not None:
        return _Decorator()(function)
    return _Decorator(**options)


class _Decorator:
    """The decorator with its options."""

    def __init__(
        self,
        *,
        start_method: str = "spawn",
        max_concurrent: Optional[int] = None,
        memory_limit: Optional[int] = None,
        cpu_time_limit: Optional[Duration] = None,
        when_worker_ends: str = "end",
        end_timeout: Duration = 10,
        start_timeout: Duration = 60,
        initializer: Optional[Callable[[], object]] = None,
        connect: Optional[Mapping[str, Any]] = None,
        data_converter: Any = None,
        stall_timeout: Optional[Duration] = None,
        stall_action: Optional[str] = None,
        stall_signal: Optional[int] = None,
        stall_report: Optional[str] = None,
        cancel_poll: Optional[Duration] = None,
        follow_server: bool = False,
        **unknown: NoReturn,
    ) -> None:
        refuse_unknown(apart, unknown, type(self))
        _check_choice("start_method", start_method, ("spawn", "forkserver"))
        _check_choice("when_worker_ends", when_worker_ends, ("end", "finish"))
        if max_concurrent is None:
            max_concurrent = _processors()
        _check_count("max_concurrent", "processes", max_concurrent)
        if memory_limit is not None:
            _check_count("memory_limit", "bytes", memory_limit)
        if initializer is not None:
            _check_importable("the initializer", initializer)
        self.start_method = start_method
        self.max_concurrent = max_concurrent
        self.limits = Limits(memory_limit, _seconds("cpu_time_limit", cpu_time_limit))
        self.ends_with_worker = when_worker_ends == "end"
        self.end_timeout_s = _seconds("end_timeout", end_timeout) or 0.0
        self.start_timeout_s = _seconds("start_timeout", start_timeout) or 0.0
        self.initializer = initializer
        self.connect = dict(connect or {})
        self.data_converter = data_converter
        duration_to_ms("stall_timeout", stall_timeout)
        duration_to_ms("cancel_poll", cancel_poll)
        check_stall_options(stall_action, stall_signal)
        self.activity_options = {
            "stall_timeout": stall_timeout,
            "stall_action": stall_action,
            "stall_signal": stall_signal,
            "stall_report": stall_report,
            "cancel_poll": cancel_poll,
            "follow_server": follow_server,
        }

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, R]]
    ) -> Callable[P, Coroutine[object, object, R]]: ...
    @overload
    def __call__(self, function: Callable[P, R]) -> Callable[P, Coroutine[object, object, R]]: ...
    def __call__(self, function: Any) -> Any:
        if hasattr(function, "__temporal_activity_definition"):
            raise InvalidArgumentError(
                "@activity.defn must be above @apart, so that the worker calls the decorated"
                " function"
            )
        _check_importable("a function that runs apart", function)
        if is_being_imported():
            refuse_workers()
        places = Places(self.max_concurrent)

        @functools.wraps(function)
        async def run_apart(*args: Any, **kwargs: Any) -> Any:
            client = _worker_client(run_apart)
            if client is None:
                return await run_here(function, *args, **kwargs)
            return await _Attempt(self, function, client, places).hand_over(args, kwargs)

        mark_body(run_apart, function)
        return run_apart


class _Attempt:
    """One attempt in the worker: gets a place, starts the process, and leaves the rest to it."""

    def __init__(
        self, options: _Decorator, function: Callable[..., Any], client: Any, places: Places
    ) -> None:
        from temporalio import activity

        self._options = options
        self._function = function
        self._client = client
        self._places = places
        self._activity = activity
        self._info = activity.info()
        self._start = time.monotonic()

    async def hand_over(self, args: Any, kwargs: Any) -> None:
        """Raises the SDK's exception of a completion that follows later."""
        if self._info.is_local:
            raise self._failure(
                "a local activity can't run apart: call it with execute_activity", retryable=False
            )
        if not self._info.heartbeat_timeout:
            warnings.warn(NO_HEARTBEAT_TIMEOUT, stacklevel=2)
        arguments = _pickled(
            f"an argument of {self._name}", (self._options.initializer, args, kwargs)
        )
        async with self._kept_alive():
            earlier = _processes.get(self._key)
            if earlier is not None:
                # Its attempt is over, or the server wouldn't have started this one.
                await asyncio.get_running_loop().run_in_executor(None, earlier.end)
            await self._place()
            process = await self._started(arguments)
        task = asyncio.current_task()
        assert task is not None
        is_handed_over = asyncio.Event()
        # When the task is done, the SDK has sent its last heartbeat of this attempt. A later one
        # could replace what the body has recorded.
        task.add_done_callback(lambda _: process.go())
        task.add_done_callback(lambda _: is_handed_over.set())
        _keep(self._report_death(process, is_handed_over))
        self._activity.raise_complete_async()

    async def _place(self) -> None:
        acquiring = asyncio.ensure_future(self._places.acquire())
        try:
            await self._through_pauses(acquiring)
        except asyncio.CancelledError:
            if not acquiring.cancel() and not acquiring.cancelled():
                self._places.release()
            raise

    async def _started(self, arguments: bytes) -> ApartProcess:
        """Returns the process when its activity is open."""
        try:
            process = ApartProcess(
                self._pickled_task(),
                arguments,
                start_method=self._options.start_method,
                ends_with_worker=self._options.ends_with_worker,
                end_timeout_s=self._options.end_timeout_s,
                on_exit=self._places.release,
            )
        except BaseException:
            self._places.release()
            raise
        _processes[self._key] = process
        _keep(self._forget(process))
        try:
            await self._through_pauses(process.ready, self._options.start_timeout_s)
        except asyncio.TimeoutError:
            process.kill()
            raise self._failure(
                f"the process of {self._name} hasn't started within"
                f" {self._options.start_timeout_s:g} s. Either its imports take longer"
                " (start_timeout), or the main module runs the worker when it is imported: it"
                ' needs `if __name__ == "__main__":`'
            ) from None
        except RuntimeError as error:
            raise self._failure(
                f"{self._name} didn't start: {error}. Its stderr may show more"
            ) from None
        except BaseException:
            process.kill()
            raise
        return process

    def _pickled_task(self) -> bytes:
        from .sdk_client import connect_options, portable_converter

        function, info = self._function, self._info
        age_ms = round((time.monotonic() - self._start) * 1000)
        left_ms = remaining_ms(info, age_ms)
        context = context_of_info(info, self._client.namespace)
        loop_class = type(asyncio.get_running_loop())
        converter = _pickled(
            "the DataConverter, which a process apart needs: pass its name to apart, as in"
            ' data_converter="package.module:name". It',
            portable_converter(self._options.data_converter, self._client),
        )
        _set_forkserver_modules(self._options.start_method, function.__module__)
        task = ApartTask(
            module=function.__module__,
            qualname=function.__qualname__,
            first_line=first_line(function),
            loop_class=loop_class if inspect.iscoroutinefunction(function) else None,
            info=info,
            activity_options={
                "token": info.task_token,
                "workflow_id": context.workflow_id,
                "run_id": context.run_id,
                "activity_id": context.activity_id,
                "attempt": info.attempt,
                "activity_type": context.activity_type,
                "workflow_type": context.workflow_type,
                "task_queue": context.activity_task_queue,
                "heartbeat_timeout": info.heartbeat_timeout or None,
                "initial_details": list(info.heartbeat_details),
                "age": _age_of_due_beat_s(info.heartbeat_timeout),
                "attempt_remaining": None if left_ms is None else left_ms / 1000,
                **self._options.activity_options,
            },
            connect_options={**connect_options(self._client), **self._options.connect},
            data_converter=converter,
            ends_with_worker=self._options.ends_with_worker,
            end_timeout_s=self._options.end_timeout_s,
            limits=self._options.limits,
            log_level=logging.getLogger().getEffectiveLevel(),
        )
        return _pickled(f"the context of {self._name}", task)

    @contextlib.asynccontextmanager
    async def _kept_alive(self) -> AsyncIterator[None]:
        """Heartbeats through the SDK, with the details of the previous attempt."""
        timeout = self._info.heartbeat_timeout
        if not timeout:
            yield
            return
        interval_s = timeout.total_seconds() / _BEATS_PER_TIMEOUT

        async def beat() -> None:
            while True:
                self._activity.heartbeat(*self._info.heartbeat_details)
                await asyncio.sleep(interval_s)

        beats = asyncio.ensure_future(beat())
        try:
            yield
        finally:
            beats.cancel()

    async def _through_pauses(
        self, waited: asyncio.Future[None], timeout_s: Optional[float] = None
    ) -> None:
        """Waits, although the SDK cancels the task when an operator pauses the activity.

        The process continues to wait when it has started.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not waited.done():
            left_s = None if deadline is None else max(0, deadline - time.monotonic())
            try:
                await asyncio.wait([waited], timeout=left_s)
            except asyncio.CancelledError:
                details = self._activity.cancellation_details()
                if details is None or not details.paused:
                    raise
                if sys.version_info >= (3, 11):
                    task = asyncio.current_task()
                    assert task is not None
                    task.uncancel()
            if left_s == 0 and not waited.done():
                raise asyncio.TimeoutError
        waited.result()

    async def _forget(self, process: ApartProcess) -> None:
        await process.ended
        if _processes.get(self._key) is process:
            del _processes[self._key]

    @property
    def _key(self) -> tuple[object, ...]:
        info = self._info
        run_id = info.workflow_run_id or getattr(info, "activity_run_id", None)
        return (self._client.namespace, info.workflow_id, run_id, info.activity_id)

    async def _report_death(self, process: ApartProcess, is_handed_over: asyncio.Event) -> None:
        """Fails the attempt if the process dies. Else the server would wait for a timeout."""
        death = await process.ended
        await is_handed_over.wait()
        if death is None:
            return
        text = f"{self._name} didn't end: {death}"
        _log.warning("%s; its attempt %s fails", text, self._info.attempt)
        handle = self._client.get_async_activity_handle(task_token=self._info.task_token)
        try:
            await handle.fail(self._failure(text))
        except Exception as error:  # for example because the attempt is over
            _log.warning("%s, and its attempt wasn't failed: %s", text, error)

    @property
    def _name(self) -> str:
        return f"{self._function.__qualname__} (apart)"

    def _failure(self, message: str, *, retryable: bool = True) -> Exception:
        from temporalio.exceptions import ApplicationError

        return ApplicationError(message, type="ApartError", non_retryable=not retryable)


def _age_of_due_beat_s(heartbeat_timeout: Optional[timedelta]) -> Optional[float]:
    """Returns an age of the last heartbeat with which the library sends the next one at once.

    The SDK's last heartbeat is older than that at most, and it isn't known by how much.
    """
    if not heartbeat_timeout:
        return None
    timeout_s = heartbeat_timeout.total_seconds()
    slack_s = min(timeout_s / 2, 10)
    return min(timeout_s - slack_s, 0.8 * timeout_s)


# The running process of each activity.
_processes: dict[tuple[object, ...], ApartProcess] = {}

# The event loop itself keeps no reference to a task.
_tasks: set[asyncio.Task[None]] = set()


def _keep(coroutine: Coroutine[Any, Any, None]) -> None:
    task = asyncio.get_running_loop().create_task(coroutine)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


def _pickled(what: str, value: Any) -> bytes:
    try:
        return bytes(ForkingPickler.dumps(value))
    except Exception as error:
        raise TypeError(f"{what} can't be passed to another process: {error}") from error


def _worker_client(decorated: Any) -> Any:
    """Returns the client of the worker that runs this activity; None outside of a worker."""
    module = sys.modules.get("temporalio.activity")
    if module is None or not module.in_activity():
        return None
    info = module.info()
    try:
        client = module.client()
    except RuntimeError:  # an ActivityEnvironment, or another activity that isn't a coroutine
        return None
    if info.task_token == b"test":  # an ActivityEnvironment with a client
        return None
    definition = getattr(decorated, "__temporal_activity_definition", None)
    if definition is None or definition.name not in (None, info.activity_type):
        raise InvalidArgumentError(
            f"{decorated.__qualname__} runs apart only as an activity of its own, not within"
            f" {info.activity_type}: start it with execute_activity, or call its body, which is"
            f" {decorated.__qualname__}.__wrapped__"
        )
    return client


def _set_forkserver_modules(start_method: str, module: str) -> None:
    """Lets the forkserver import what each process needs. Without effect once it runs."""
    if start_method == "forkserver":
        modules = [module, "temporal_heartbeat._apart.child", "temporalio.testing"]
        get_context("forkserver").set_forkserver_preload(modules)


def _check_count(name: str, unit: str, number: Any) -> None:
    if not isinstance(number, int) or number < 1:
        raise InvalidArgumentError(f"{name} is a number of {unit}, at least 1, not {number!r}")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        known = " or ".join(map(repr, choices))
        raise InvalidArgumentError(f"{name} is {known}, not {value!r}")


def _check_importable(what: str, function: Any) -> None:
    """Raises an error if another process can't import the function by its name."""
    if not inspect.isfunction(function):
        raise InvalidArgumentError(f"{what} is a function, not {function!r}")
    name = f"{function.__module__}.{function.__qualname__}"
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidArgumentError(f"{name} is a generator, which has no result to complete with")
    reason = None
    if "<" in function.__qualname__:  # <locals> or <lambda>
        reason = "define it at the top of a module"
    elif function.__module__ == "__main__":
        main = sys.modules["__main__"]
        is_module = getattr(main, "__spec__", None) is not None  # python -m
        if not is_module and not os.path.exists(getattr(main, "__file__", "")):
            reason = "__main__ isn't a file here; define it in a module"
    if reason is not None:
        raise InvalidArgumentError(f"another process can't import {name} by its name: {reason}")


def _seconds(name: str, duration: Optional[Duration]) -> Optional[float]:
    ms = duration_to_ms(name, duration)
    return None if ms is None else ms / 1000


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
