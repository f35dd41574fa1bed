"""An activity worker: takes tasks from a task queue, without Temporal's SDK."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import inspect
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Callable, NamedTuple, NoReturn, Optional, TypeVar, overload

from . import _abi, aio
from ._active_codec import Binding, invoke_with_binding
from ._activity import Activity
from ._activity_base import ActivityBase
from ._apart.main_module import refuse_if_imported
from ._apart.task import mark_registered, processes_of
from ._codec import Codec, codec_of
from ._context import context_of
from ._duration import Duration, duration_to_ms, timeout_to_ms
from ._encoding import options_json
from ._invoke import invoke_function
from ._keywords import refuse_unknown
from ._stall import stall_options
from ._task import Task, TaskInfo, take_task
from ._type_hints import Parameter, parameters_of
from ._worker_run import Run, run_in_new_loop
from .errors import (
    EndedError,
    ForkedError,
    InvalidArgumentError,
    InvalidHandleError,
    NotConnectedError,
)

__all__ = ["Worker"]

F = TypeVar("F", bound=Callable[..., Any])
S = TypeVar("S", bound="Worker")

# The longest wait in one call of the library, so that the call ends soon after Ctrl-C.
_MAX_WAIT_MS = 1000

_CLOSE_TIMEOUT_MS = 10_000

# The SDK has the same default.
_SLOTS_OF_COROUTINES = 100


class Definition(NamedTuple):
    """An activity that a worker runs."""

    name: str
    function: Callable[..., Any]

    @property
    def is_coroutine(self) -> bool:
        return inspect.iscoroutinefunction(_called(self.function))

    @property
    def is_apart(self) -> bool:
        return processes_of(self.function) is not None

    @property
    def kind(self) -> type[ActivityBase]:
        return aio.Activity if self.is_coroutine else Activity

    def parameters(self) -> Sequence[Parameter]:
        try:
            return parameters_of(self.function)
        except NameError as error:
            raise InvalidArgumentError(
                f"the annotations of the activity {self.name} can't be read: {error}. Import the"
                " name at the top of its module, outside of `if TYPE_CHECKING`"
            ) from error
        except (TypeError, ValueError) as error:
            raise InvalidArgumentError(
                f"the parameters of the activity {self.name} can't be read: {error}. Register a"
                " function with `def` that calls it"
            ) from error


class Worker:
    """Takes the tasks of a task queue and runs their activities, without Temporal's SDK.

    ::

        worker = thb.Worker("reports")

        @worker.activity
        def solve(model: Model) -> Report:
            for step in thb.track(range(100)):      # resumes, records, and stops if it is cancelled
                work_on(model, step)
            return Report(model.name)

        thb.connect()
        worker.run(signals=(signal.SIGTERM, signal.SIGINT))

    A workflow in any language calls the activities by their names, as those of a worker with an
    SDK. The library opens the activity of each task when the task arrives, and heartbeats for it.
    `current_activity` returns its `Activity`, and ``task`` of that the `TaskInfo`. There are no
    workflows, local activities or sessions: use the SDK for them.

    * ``task_queue``: the task queue.
    * ``activity_types``: the types that this worker takes, by default those that are registered; if
      there are none, all. A task of another type fails as retryable.
    * ``max_concurrent``: the slots, that is, the most tasks at once. By default 100 if one of the
      activities is a coroutine function, else the number of threads that `run` uses, and of
      processes that run `apart`.
    * ``max_per_second``: the most tasks in a second, of this worker. ``max_tasks``: after this
      number of tasks the worker shuts down.
    * ``deployment_name``, ``build_id``: the worker deployment to take tasks for. By default it
      takes those without a version.
    * ``pulse``, ``stall_timeout``, ``stall_action``, ``stall_signal``, ``stall_report``,
      ``cancel_poll``, ``follow_server``, ``require_encoded``, ``verify``: options of each task's
      `Activity`, which describes them. ``data_converter``: the codec of the tasks, instead of the
      connection's. A DataConverter of Temporal's SDK converts the arguments and results too.

    The worker starts to poll with the first `next`, `open_fd` or `run`, which need a `connect`
    before. At the end of its with block it is closed. Any thread may call any method. A child
    process of ``os.fork`` can't use its parent's worker (`ForkedError`). A process can have several
    workers.

    If a worker is deleted while it polls, it warns (ResourceWarning), and is closed.
    """

    def __init__(
        self,
        task_queue: str,
        *,
        activity_types: Optional[Sequence[str]] = None,
        max_concurrent: Optional[int] = None,
        max_per_second: Optional[float] = None,
        max_tasks: Optional[int] = None,
        deployment_name: Optional[str] = None,
        build_id: Optional[str] = None,
        pulse: bool = True,
        stall_timeout: Optional[Duration] = None,
        stall_action: Optional[str] = None,
        stall_signal: Optional[int] = None,
        stall_report: Optional[str] = None,
        cancel_poll: Optional[Duration] = None,
        follow_server: bool = False,
        require_encoded: bool = False,
        verify: bool = False,
        data_converter: Any = None,
        **unknown: NoReturn,
    ) -> None:
        self._handle: Optional[ctypes.c_uint64] = None
        refuse_unknown(type(self), unknown)
        if not isinstance(task_queue, str):
            raise TypeError(f"the task queue is a str, not {type(task_queue).__name__}")
        self._task_queue = task_queue
        self._given_types = _types(activity_types)
        self._max_concurrent = max_concurrent
        self._codec = codec_of(data_converter)
        self._require_encoded = require_encoded
        self._has_stall_signal = stall_signal is not None
        self._stall_report = stall_report
        self._options = {
            "task_queue": task_queue,
            "max_per_second": max_per_second,
            "max_tasks": max_tasks,
            "deployment_name": deployment_name,
            "build_id": build_id,
        }
        self._activity_options = {
            "pulse": pulse,
            "stall_timeout_ms": duration_to_ms("stall_timeout", stall_timeout),
            "cancel_poll_ms": duration_to_ms("cancel_poll", cancel_poll),
            "follow_server": follow_server,
            "require_encoded": require_encoded,
            "verify": verify,
        }
        self._stall_options = partial(stall_options, stall_action, stall_report, stall_signal)
        self._binding = Binding()
        self._definitions: dict[str, Definition] = {}
        self._parameters: dict[str, Sequence[Parameter]] = {}
        self._lock = threading.Lock()
        self._is_shut_down = False
        self._run: Optional[Run] = None

    @overload
    def activity(self, function: F, /) -> F: ...
    @overload
    def activity(self, /, *, name: Optional[str] = None) -> Callable[[F], F]: ...
    def activity(self, function: Any = None, /, *, name: Optional[str] = None) -> Any:
        """Register a function as an activity. A decorator, which returns the function unchanged.

        The activity has the function's name, or ``name``. The function may be a coroutine function.
        A function that is decorated with `apart` runs in a process of its own. Put this decorator
        above `apart`. The process imports the function's module, and connects as this one did.

        Its positional arguments are the activity's, converted to the types of its annotations, as
        the default converter of Temporal's Python SDK does: for example a dataclass. An argument
        whose parameter has no annotation is a plain value, and one with the annotation `Payload`
        isn't converted. Its return value is the result.

        An exception fails the attempt, with its type, message, stack and causes: see
        `Activity.fail`. Raise the SDK's ``ApplicationError(..., non_retryable=True)`` to prevent
        retries. When cancellation is requested, a coroutine is cancelled. A function learns of it
        in `track` and `Activity.raise_if_cancelled`, which raise `Cancelled`. If either exception
        leaves the function, the activity is reported as cancelled.

        Raises `InvalidArgumentError` for a generator, a name that another activity has, and a
        worker that polls already.
        """
        if function is None:
            return partial(self._register, name)
        return self._register(name, function)

    def _register(self, name: Optional[str], function: F) -> F:
        if not callable(function) or isinstance(function, type):
            raise TypeError(
                f"an activity is a function, not {function!r:.100}: write @worker.activity, or"
                ' @worker.activity(name="...")'
            )
        name = getattr(function, "__name__", None) if name is None else name
        if name is None:
            raise InvalidArgumentError(
                f'{function!r:.100} has no name: register it with activity(name="...")'
            )
        if not isinstance(name, str) or not name:
            raise TypeError(f"the name of an activity is a str that isn't empty, not {name!r:.100}")
        called = _called(function)
        if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
            raise InvalidArgumentError(
                f"the activity {name} is a generator, which has no result to complete with"
            )
        if self._handle is not None:
            raise InvalidArgumentError(
                f"the activity {name} is registered too late: the worker polls already"
            )
        if name in self._definitions:
            raise InvalidArgumentError(f"the worker has two activities with the name {name}")
        self._definitions[name] = Definition(name, function)
        mark_registered(function)
        return function

    def next(self, timeout: Optional[float] = None) -> Optional[Task]:
        """Wait for a task, and return it, for a program that runs the tasks in a loop of its own.

        ::

            while task := worker.next():
                with task.activity as act:
                    act.complete(work_on(*task.input))

        None: the ``timeout`` in seconds has passed; without a timeout it waits for ever. An
        interrupted call, for example by Ctrl-C, loses no task. Any thread may call it, and each
        task is returned once. A task that isn't taken within 10 s, or half its heartbeat timeout if
        that is less, fails as retryable.

        Raises `EndedError` when the worker was shut down, and all its tasks were taken. An error of
        polling that a retry doesn't help, such as `PermissionDeniedError`, is raised once, and
        polling continues; temporary ones are only logged. Also `NotConnectedError`, `ConfigError`,
        `LocalLimitError`, `InvalidHandleError` when the worker is closed, `ForkedError`.
        """
        handle = self._open()
        timeout_ms = timeout_to_ms(timeout)
        while True:
            wait_ms = min(timeout_ms, _MAX_WAIT_MS)
            with self._disconnects():
                task = take_task(handle, wait_ms, self._codec_for, lambda _: Activity, 10_000)
            if task is not None:
                task._free()
                return task
            if timeout is not None:
                timeout_ms -= wait_ms
                if timeout_ms <= 0:
                    return None

    def open_fd(self) -> int:
        """Return a descriptor that is readable while `next` has something to return or to raise.

        For event loops: when it is readable, call ``next(0)``. The caller closes it. Never waits.
        Raises as `next`.
        """
        descriptor = ctypes.c_int32(-1)
        out = ctypes.byref(descriptor)
        invoke_function("thb_worker_open_fd", self._open(), out, may_block=False)
        return descriptor.value

    def run(
        self,
        *,
        max_workers: Optional[int] = None,
        shutdown_grace: Optional[Duration] = 10,
        signals: Iterable[int] = (),
    ) -> None:
        """Run the activities until the worker is shut down.

        Functions run in threads, and coroutine functions in an event loop of this call: see
        `serve`, which has the same options. At its end the worker is closed. After Ctrl-C it shuts
        down without a grace, and raises KeyboardInterrupt.

        Blocks. Raises as `serve`; RuntimeError in an event loop.
        """
        handles_interrupt = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )

        async def main() -> bool:
            loop, task = asyncio.get_running_loop(), asyncio.current_task()
            assert task is not None
            interrupted = []

            def interrupt() -> None:
                interrupted.append(True)
                task.cancel()
                loop.remove_signal_handler(signal.SIGINT)  # another Ctrl-C interrupts at once

            if handles_interrupt:
                loop.add_signal_handler(signal.SIGINT, interrupt)
            try:
                await self.serve(
                    max_workers=max_workers, shutdown_grace=shutdown_grace, signals=signals
                )
            except asyncio.CancelledError:
                if not interrupted:
                    raise
            return bool(interrupted)

        if run_in_new_loop(main):
            raise KeyboardInterrupt

    async def serve(
        self,
        *,
        max_workers: Optional[int] = None,
        shutdown_grace: Optional[Duration] = 10,
        signals: Iterable[int] = (),
    ) -> None:
        """Run the activities until the worker is shut down, in the running event loop of asyncio.

        * ``max_workers``: the most functions that run at once, each in a thread. By default
          ``max_concurrent``; if that isn't given either, the number of processors plus 4, at most
          32. A task that waits for a thread is kept alive.
        * ``shutdown_grace``: how long a shutdown waits for the activities, in seconds or as a
          timedelta; None: for ever.
        * ``signals``: signals, such as ``(signal.SIGTERM, signal.SIGINT)``, that shut the worker
          down, as `shutdown` does. The second one ends the grace. Only in the main thread.

        A shutdown stops polling. Tasks that have arrived still run. After the grace, coroutines are
        cancelled, and `Signals.SHUTDOWN` is set for functions, so that `track` and
        `Activity.raise_if_cancelled` raise `Cancelled`. Their attempts fail as retryable, with the
        type Shutdown and the last recorded details. So do, 5 s later, those that haven't stopped,
        and this returns, although their threads still run. If the server can't release waiting
        polls early, it takes up to 20 s. If it can, it is asked to when no task has arrived for
        2 s. It may still lose a task that it is just sending, which is retried after its timeout.
        Cancelling this coroutine shuts down without a grace.

        Raises, after such a shutdown, an error of polling that a retry doesn't help, such as
        `PermissionDeniedError` or `NamespaceNotFoundError`; and at its start
        `InvalidArgumentError` if no activity is registered, or an option is invalid;
        `NotConnectedError`; `ConfigError`; `LocalLimitError`; `EndedError` after a shutdown.

        A body that forks must end the child process with ``os._exit`` or an ``os.exec`` function. A
        child that returns from the body ends too, and runs nothing else of the worker.
        """
        numbers = _signal_numbers(signals)
        grace_ms = duration_to_ms("shutdown_grace", shutdown_grace)
        if not self._definitions:
            raise InvalidArgumentError(
                "the worker has no activities: register functions with @worker.activity"
            )
        unknown = set(self._given_types or ()) - set(self._definitions)
        if unknown:
            raise InvalidArgumentError(
                f"no activity is registered for the activity_types {', '.join(sorted(unknown))}"
            )
        for option, number in (
            ("max_workers", max_workers),
            ("max_concurrent", self._max_concurrent),
        ):
            is_number = isinstance(number, int) and not isinstance(number, bool)
            if number is not None and (not is_number or number < 1):
                raise InvalidArgumentError(f"{option} is a number, at least 1, not {number!r}")
        threads = max_workers or self._max_concurrent or min(32, (os.cpu_count() or 1) + 4)
        self._parameters = {
            name: definition.parameters() for name, definition in self._definitions.items()
        }
        with self._lock:
            if self._is_shut_down:
                raise EndedError("the worker was shut down: make another one")
            if self._run is not None:
                raise InvalidArgumentError("the worker runs already")
            run = self._run = Run(self, None if grace_ms is None else grace_ms / 1000, threads)
        try:
            self._open(threads)
            await run.serve(numbers)
        finally:
            with self._lock:
                self._run = None
            self._close(0)

    def shutdown(self, *, timeout: Optional[float] = 0) -> None:
        """Stop polling. `run` then returns when the activities have ended: see `serve`.

        Without `run`, `next` returns the tasks that have arrived, and then raises `EndedError`.

        Blocks at most ``timeout`` seconds, until no poll is outstanding; None: for ever. Any thread
        may call it, and signal handlers too. It may be called again.

        Raises `TimeoutError` if polls are outstanding after the timeout, unless that is 0: call it
        again, because aborting them could lose a task. Also `InvalidHandleError`, `ForkedError`,
        `NotConnectedError`.
        """
        timeout_ms = timeout_to_ms(timeout)
        self._is_shut_down = True
        if self._handle is not None:
            with contextlib.suppress(*([TimeoutError] if timeout == 0 else [])):
                invoke_function(
                    "thb_worker_shutdown", self._handle, timeout_ms, may_block=timeout_ms > 0
                )
        run = self._run
        if run is not None:
            run.shut_down()

    def close(self, *, timeout: Optional[float] = 10.0) -> None:
        """Close the worker. Tasks that weren't taken fail as retryable, also those still to arrive.

        The activities of tasks that were taken stay open. Closing it again does nothing. Call
        `shutdown` before, unless `run` has returned.

        Blocks at most ``timeout`` seconds. Polls and failures that are outstanding then continue in
        the background. Any thread may call it.
        """
        self._close(timeout_to_ms(timeout))

    def __enter__(self: S) -> S:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        exception: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self._close(_CLOSE_TIMEOUT_MS)

    def __repr__(self) -> str:
        state = "not polling" if self._handle is None else "polling"
        state = "shut down" if self._is_shut_down else state
        return f"<{type(self).__module__}.{type(self).__name__} of {self._task_queue!r}, {state}>"

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None and not sys.is_finalizing():
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
            self._close(0)

    def _open(self, threads: Optional[int] = None) -> ctypes.c_uint64:
        """Opens the worker if it isn't open. It polls from then on."""
        if self._handle is not None:
            return self._handle
        refuse_if_imported()
        with self._lock:
            if self._is_shut_down:
                raise EndedError("the worker was shut down: make another one")
            if self._handle is None:
                self._handle = self._opened(threads)
            return self._handle

    def _opened(self, threads: Optional[int]) -> ctypes.c_uint64:
        types = self._definitions if self._given_types is None else self._given_types
        options = {
            **self._options,
            "activity_types": list(types),
            "max_concurrent": self._slots(threads)
            if self._max_concurrent is None
            else self._max_concurrent,
        }
        activity = {**self._activity_options, **self._stall_options()}
        handle = ctypes.c_uint64(0)

        def call(native: ctypes.CDLL, binding: Binding, error: Any) -> tuple[int, None]:
            codec = self._codec or binding.codec
            # The library can't encode a report with a codec of Python.
            if codec is not None and codec.may_encrypt:
                activity["stall_report"] = "brief"
            text = options_json({**options, "activity": _without_none(activity)})
            return native.thb_worker_open(text, len(text), ctypes.byref(handle), error), None

        self._binding, _ = invoke_with_binding(call)
        return handle

    def _slots(self, threads: Optional[int]) -> Optional[int]:
        """Returns the number of slots, if it isn't an option; None: the library's default."""
        if threads is None:
            return None
        slots = 0
        has_functions = False
        for definition in self._definitions.values():
            processes = processes_of(definition.function)
            if processes is None and definition.is_coroutine:
                return _SLOTS_OF_COROUTINES
            slots += processes or 0
            has_functions = has_functions or processes is None
        return slots + threads if has_functions else slots

    def _close(self, timeout_ms: int) -> None:
        self._is_shut_down = True
        # Without the lock, which another thread may have held when this process was forked.
        handle, self._handle = self._handle, None
        if handle is None:
            return
        # The end of the connection has closed it too.
        closed = (InvalidHandleError, ForkedError, NotConnectedError)
        with contextlib.suppress(*closed, TimeoutError):
            invoke_function("thb_worker_close", handle, timeout_ms, may_block=timeout_ms > 0)

    def _take(self) -> Optional[Task]:
        """Returns a task for `Run`, if one has arrived. Never waits."""
        handle = self._handle
        if handle is None:
            raise InvalidHandleError("the worker is closed")
        with self._disconnects():
            return take_task(handle, 0, self._codec_for, self._kind_of, _abi.FOREVER)

    @contextlib.contextmanager
    def _disconnects(self) -> Iterator[None]:
        """Raises `NotConnectedError` if the handle is invalid, and the worker wasn't closed."""
        try:
            yield
        except InvalidHandleError:
            if self._handle is None:
                raise
            raise NotConnectedError(
                "the client was disconnected, which closed the worker: make another one"
            ) from None

    def _kind_of(self, activity_type: str) -> type[ActivityBase]:
        definition = self._definitions.get(activity_type)
        return Activity if definition is None else definition.kind

    def _codec_for(self, token: bytes, info: TaskInfo) -> Optional[Codec]:
        context = partial(
            context_of,
            token,
            workflow_id=info.workflow_id,
            run_id=info.run_id,
            activity_id=info.activity_id,
            activity_type=info.activity_type,
            workflow_type=info.workflow_type,
            activity_task_queue=info.task_queue,
        )
        return self._binding.codec_for(self._codec, context, require_encoded=self._require_encoded)


def _called(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function that runs when an object is called."""
    is_function = inspect.isroutine(function) or isinstance(function, partial)
    return function if is_function else type(function).__call__


def _types(activity_types: Optional[Sequence[str]]) -> Optional[Sequence[str]]:
    if activity_types is None:
        return None
    if isinstance(activity_types, str) or not isinstance(activity_types, Iterable):
        raise TypeError(f"activity_types is a sequence of str, not {activity_types!r:.100}")
    types = list(activity_types)
    for name in types:
        if not isinstance(name, str) or not name:
            raise TypeError(f"an activity type is a str that isn't empty, not {name!r:.100}")
    return types


def _signal_numbers(signals: Iterable[int]) -> Sequence[int]:
    if not isinstance(signals, Iterable) or isinstance(signals, (str, bytes)):
        raise TypeError(f"signals is a sequence, such as (signal.SIGTERM,), not {signals!r:.100}")
    numbers = list(signals)
    for number in numbers:
        if not isinstance(number, int):
            raise TypeError(f"signals has numbers, such as signal.SIGTERM, not {number!r:.100}")
    return numbers


def _without_none(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
