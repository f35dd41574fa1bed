"""The process apart: opens the activity, runs the body, and ends the activity."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import logging
import math
import os
import pickle
import resource
import sys
from collections.abc import Iterator
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Optional, Union

from .. import aio
from .._activity import Activity, run_blocking
from .._activity_base import ActivityBase, is_cancellation
from .._connection import connect
from .._current import set_current_activity
from .._end_with_parent import end_group_with_parent
from .._ending import OVER, Stop, end_attempt
from .._task import TaskInfo
from ..signals import Signals
from .environment import Environment
from .main_module import allow_workers
from .stop import Reason, StopOfCoroutine, StopOfFunction, keep_handlers_from_forks
from .task import ENDED, FAILED_TO_START, READY, ApartTask, find_function

__all__ = ["run"]

_log = logging.getLogger("temporal_heartbeat")

# Between the soft limit of the processor time, which stops the body, and the hard one, which kills.
_CPU_TIME_TO_STOP_S = 10

# Why the body was stopped, if no signal of the activity says it.
_STOPS = {
    Reason.CPU_TIME: Stop("the limit of the processor time is reached", "CpuTimeLimit"),
    Reason.WORKER_ENDED: Stop("the worker ended", "WorkerShutdown"),
}


def run(channel: Connection) -> None:
    """The main function of the process."""
    # Ctrl-C in the worker's terminal ends the worker, and the worker ends this process. The group
    # lets the worker end the processes that the body has started.
    os.setsid()
    keep_handlers_from_forks()
    allow_workers()
    try:
        task, converter, act = _open(channel.recv_bytes())
    except Exception as error:
        channel.send((FAILED_TO_START, f"{type(error).__name__}: {error}"))
        raise
    channel.send((READY, ""))
    arguments = channel.recv_bytes()
    with contextlib.suppress(EOFError):  # the worker has ended, and this process continues
        channel.recv()
    if isinstance(act, Activity):
        _run_function(task, converter, act, arguments)
    else:
        assert task.loop_class is not None
        loop = task.loop_class()
        asyncio.set_event_loop(loop)
        loop.run_until_complete(_run_coroutine(task, converter, act, arguments))
    with contextlib.suppress(OSError):  # the worker has ended
        channel.send((ENDED, ""))


def _open(pickled: bytes) -> tuple[ApartTask, Any, Union[Activity, aio.Activity]]:
    """Connects, and opens the activity, which heartbeats from now on."""
    task: ApartTask = pickle.loads(pickled)
    if task.ends_with_worker:
        end_group_with_parent()
    converter = _assembled(pickle.loads(task.data_converter))
    # The process of a `Worker` has the same variables, and uses them in the same way.
    is_sdk = not isinstance(task.info, TaskInfo)
    with _without_variables() if is_sdk else contextlib.nullcontext():
        connect(**task.connect_options, data_converter=converter)
    # The end of the activity is worth waiting for, however long the server is away.
    kind = Activity if task.loop_class is None else aio.Activity
    act = kind(**task.activity_options, close_timeout=None)
    if not is_sdk:
        act._task = task.info
    return task, converter, act


@contextlib.contextmanager
def _without_variables() -> Iterator[None]:
    """Hides the variables of Temporal's clients: those of the worker's client are the options."""
    hidden = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if name.startswith("TEMPORAL_") and name != "TEMPORAL_HEARTBEAT_LIBRARY"
    }
    try:
        yield
    finally:
        os.environ.update(hidden)


def _assembled(converter: Any) -> Any:
    if isinstance(converter, str):
        module, _, name = converter.partition(":")
        return getattr(importlib.import_module(module), name)
    # If it was an object of the SDK, reading it has imported the module.
    client = sys.modules.get("temporal_heartbeat._apart.sdk_client")
    is_in_parts = client is not None and isinstance(converter, client.ConverterParts)
    return converter.assemble() if is_in_parts else converter


def _run_function(task: ApartTask, converter: Any, act: Activity, arguments: bytes) -> None:
    environment = _environment(task, converter, partial(_record_and_pause, act))
    stop = StopOfFunction(act, environment, task.end_timeout_s)

    def call() -> tuple[Any, Optional[BaseException]]:
        try:
            with stop, set_current_activity(act):
                decorated, body, given, named = _prepare(task, arguments)
                act.wait_while_paused()

                @functools.wraps(decorated)  # with the options of activity.defn
                def run_body() -> Any:
                    stop.check()
                    return body(*given, **named)

                return environment.run(run_body), None
        except BaseException as exception:
            return None, exception

    try:
        result, exception = call()
    except BaseException as late:  # the body was stopped when it had already ended
        if not is_cancellation(late):
            raise
        result, exception = None, late
    run_blocking(_end(task, act, result, exception, stop.reason))


async def _run_coroutine(
    task: ApartTask, converter: Any, act: aio.Activity, arguments: bytes
) -> None:
    environment = _environment(task, converter, partial(_record, act))
    stop = StopOfCoroutine(act, environment, task.end_timeout_s)
    result, exception = None, None
    try:
        async with stop:
            with set_current_activity(act):
                decorated, body, given, named = _prepare(task, arguments)
                await act.wait_while_paused()

                @functools.wraps(decorated)
                async def run_body() -> tuple[Any, Optional[BaseException]]:
                    try:
                        return await body(*given, **named), None
                    except (SystemExit, KeyboardInterrupt) as error:
                        return None, error  # asyncio would end with it

                result, exception = await environment.run(run_body)
    except BaseException as error:
        exception = error
    await _end(task, act, result, exception, stop.reason)


def _environment(task: ApartTask, converter: Any, record: Any) -> Any:
    """Returns what the body finds around it."""
    if isinstance(task.info, TaskInfo):
        return Environment()
    from .sdk_environment import SdkEnvironment

    return SdkEnvironment(task.info, converter, record)


def _record(act: ActivityBase, *details: Any) -> Signals:
    """Records. The SDK's heartbeat raises nothing when the activity is over: it is cancelled."""
    try:
        return act.heartbeat(*details)
    except OVER:
        return Signals(0)


def _record_and_pause(act: Activity, *details: Any) -> None:
    if _record(act, *details) & Signals.PAUSED:
        act.wait_while_paused()


def _prepare(task: ApartTask, arguments: bytes) -> tuple[Any, Any, Any, Any]:
    """Imports the function, and returns it with and without its decorators, and its arguments."""
    decorated, body = find_function(task)
    initializer, given, named = pickle.loads(arguments)
    if initializer is not None:
        initializer()
    elif not logging.getLogger().handlers:
        logging.basicConfig(level=task.log_level)
    limits = task.limits
    if limits.memory_bytes is not None:
        _set_limit(resource.RLIMIT_DATA, limits.memory_bytes, limits.memory_bytes)
    if limits.cpu_time_s is not None:
        soft = math.ceil(limits.cpu_time_s)
        _set_limit(resource.RLIMIT_CPU, soft, soft + _CPU_TIME_TO_STOP_S)
    return decorated, body, given, named


def _set_limit(kind: int, soft: int, hard: int) -> None:
    """Sets a limit of this process, within the limits that it already has."""
    _, highest = resource.getrlimit(kind)
    if highest != resource.RLIM_INFINITY:
        soft, hard = min(soft, highest), min(hard, highest)
    resource.setrlimit(kind, (soft, hard))


async def _end(
    task: ApartTask,
    act: Any,
    result: Any,
    exception: Optional[BaseException],
    reason: Optional[Reason],
) -> None:
    name = f"{task.qualname}, attempt {task.info.attempt},"
    await end_attempt(act, name, result, exception, None if reason is None else _STOPS.get(reason))
