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
from collections.abc import Iterator
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Optional, Union

from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, CancelledError
from temporalio.testing import ActivityEnvironment

from .. import aio
from .._activity import Activity, run_blocking
from .._activity_base import ActivityBase, is_cancellation
from .._connection import connect
from .._current import set_current_activity
from .._duration import timeout_to_ms
from .._encoding import encode_values
from .._end_with_parent import end_group_with_parent
from ..errors import EndedError, Error, InDoubtError, InvalidHandleError, NotFoundError
from ..signals import Signals
from .main_module import allow_workers
from .sdk_client import ConverterParts
from .stop import Reason, StopOfCoroutine, StopOfFunction, keep_handlers_from_forks
from .task import ENDED, FAILED_TO_START, READY, ApartTask, find_function

__all__ = ["run"]

_log = logging.getLogger("temporal_heartbeat")

# Between the soft limit of the processor time, which stops the body, and the hard one, which kills.
_CPU_TIME_TO_STOP_S = 10

# At its end, the activity has nothing more to send.
_CLOSE_TIMEOUT_S = 10.0

_FOREVER_MS = timeout_to_ms(None)

# The activity is over for this process, and no other call can change that.
_OVER = (EndedError, InDoubtError, InvalidHandleError, NotFoundError)


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
    with _without_variables():
        connect(**task.connect_options, data_converter=converter)
    # The end of the activity is worth waiting for, however long the server is away.
    kind = Activity if task.loop_class is None else aio.Activity
    return task, converter, kind(**task.activity_options, close_timeout=None)


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
    return converter.assemble() if isinstance(converter, ConverterParts) else converter


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
    except CancelledError as late:  # the body was stopped when it had already ended
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


def _environment(task: ApartTask, converter: Any, record: Any) -> ActivityEnvironment:
    """Returns what ``temporalio.activity`` uses in the body."""
    environment = ActivityEnvironment()
    environment.info = task.info
    environment.on_heartbeat = record
    if isinstance(converter, DataConverter):
        environment.payload_converter = converter.payload_converter
    return environment


def _record(act: ActivityBase, *details: Any) -> Signals:
    """Records. The SDK's heartbeat raises nothing when the activity is over: it is cancelled."""
    try:
        return act.heartbeat(*details)
    except _OVER:
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
    """Ends the attempt as the SDK's worker does, and closes the activity."""
    try:
        if exception is None:
            exception = await _completed(act, result)
        if exception is not None:
            await _report(task, act, exception, reason)
    except _OVER as over:
        _log.info("the attempt had ended before its process: %s", over)
    with contextlib.suppress(Error):
        await act._close(timeout_to_ms(_CLOSE_TIMEOUT_S))


async def _completed(act: Any, result: Any) -> Optional[Exception]:
    """Completes. Returns the exception if the result can't be sent."""
    try:
        encode = partial(encode_values, (result,))
        await act._send("thb_activity_complete", encode, _FOREVER_MS)
    except _OVER:
        raise
    except Exception as error:
        return error
    return None


async def _report(
    task: ApartTask, act: Any, exception: BaseException, reason: Optional[Reason]
) -> None:
    if reason is not None and is_cancellation(exception):
        signals = act.signals
        if reason is Reason.CPU_TIME:
            exception = ApplicationError(
                "the limit of the processor time is reached", type="CpuTimeLimit"
            )
        elif signals & Signals.CANCEL_REQUESTED:
            await act._report_cancellation(exception)
            return
        elif signals & Signals.RESET:
            exception = ApplicationError("the activity was reset", type="ActivityReset")
        elif reason is Reason.WORKER_ENDED:
            exception = ApplicationError("the worker ended", type="WorkerShutdown")
        else:
            return  # the attempt is over, or another one may be running
    if getattr(exception, "category", None) != ApplicationErrorCategory.BENIGN:
        _log.warning("attempt %s of %s fails", task.info.attempt, task.qualname, exc_info=exception)
    try:
        await act._fail_with(exception)
    except Error:
        raise
    except Exception:  # of the exception's own methods, such as __str__
        name = type(exception).__name__
        await act._fail_with(ApplicationError(f"{name}, which has no readable message", type=name))
