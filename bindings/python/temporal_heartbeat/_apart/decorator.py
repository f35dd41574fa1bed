"""The decorator `apart`, and what the decorated function does in the worker."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Callable, NoReturn, Optional, TypedDict, TypeVar, overload

from .._current import current_body
from .._duration import Duration, duration_to_ms
from .._keywords import refuse_unknown
from .._stall import check_stall_options
from ..errors import InvalidArgumentError
from .here import run_here
from .main_module import is_being_imported, refuse_workers
from .places import Places
from .task import Limits, is_registered, mark_body
from .worker_attempt import WorkerAttempt

if TYPE_CHECKING:
    from typing_extensions import ParamSpec, Unpack

    P = ParamSpec("P")

__all__ = ["ApartOptions", "apart"]

R = TypeVar("R")


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

    Without the SDK, put it below ``@worker.activity`` of a `Worker`. The rules are the same, but
    `Cancelled` replaces the SDK's exception below, and the process connects as the worker's process
    did.

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
        self.activity_options: dict[str, Any] = {
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
        if is_registered(function):
            raise InvalidArgumentError(
                "@worker.activity must be above @apart, so that the worker runs the decorated"
                " function"
            )
        _check_importable("a function that runs apart", function)
        if is_being_imported():
            refuse_workers()
        places = Places(self.max_concurrent)

        @functools.wraps(function)
        async def run_apart(*args: Any, **kwargs: Any) -> Any:
            body = current_body()
            if body is not None:
                if body.definition.function is not run_apart:
                    _refuse_call(run_apart, body.task.activity_type)
                return await WorkerAttempt(self, function, body, places).run(args, kwargs)
            client = _worker_client(run_apart)
            if client is None:
                return await run_here(function, *args, **kwargs)
            from .sdk_attempt import SdkAttempt

            return await SdkAttempt(self, function, client, places).hand_over(args, kwargs)

        mark_body(run_apart, function, self.max_concurrent)
        return run_apart


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
        _refuse_call(decorated, info.activity_type)
    return client


def _refuse_call(decorated: Any, activity_type: str) -> NoReturn:
    raise InvalidArgumentError(
        f"{decorated.__qualname__} runs apart only as an activity of its own, not within"
        f" {activity_type}: start it with execute_activity, or call its body, which is"
        f" {decorated.__qualname__}.__wrapped__"
    )


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
