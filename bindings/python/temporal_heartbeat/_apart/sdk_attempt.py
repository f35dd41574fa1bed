"""An attempt of a worker of Temporal's Python SDK, which hands it over to a process apart."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
import warnings
from collections.abc import AsyncIterator
from typing import Any, Callable, Optional

from temporalio import activity
from temporalio.exceptions import ApplicationError

from ..handoff import NO_HEARTBEAT_TIMEOUT, context_of_info, remaining_ms
from .attempt import Attempt, Options, age_of_due_beat_s, keep
from .places import Places
from .process import ApartProcess
from .sdk_client import connect_options, portable_converter

__all__ = ["SdkAttempt"]

_log = logging.getLogger("temporal_heartbeat")

# How many heartbeats the SDK gets per heartbeat timeout; it sends fewer itself.
_BEATS_PER_TIMEOUT = 3


class SdkAttempt(Attempt):
    """One attempt in a worker of the SDK."""

    modules = ("temporal_heartbeat._apart.child", "temporalio.testing")

    def __init__(
        self, options: Options, function: Callable[..., Any], client: Any, places: Places
    ) -> None:
        super().__init__(options, function, places)
        self._client = client
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
        arguments = self._pickled_arguments(args, kwargs)
        async with self._kept_alive():
            await self._placed()
            process = await self._started(self._task, arguments)
        task = asyncio.current_task()
        assert task is not None
        is_handed_over = asyncio.Event()
        # When the task is done, the SDK has sent its last heartbeat of this attempt. A later one
        # could replace what the body has recorded.
        task.add_done_callback(lambda _: process.go())
        task.add_done_callback(lambda _: is_handed_over.set())
        keep(self._report_death(process, is_handed_over))
        activity.raise_complete_async()

    def _task(self) -> bytes:
        info = self._info
        age_ms = round((time.monotonic() - self._start) * 1000)
        left_ms = remaining_ms(info, age_ms)
        context = context_of_info(info, self._client.namespace)
        activity_options = {
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
            "age": age_of_due_beat_s(info.heartbeat_timeout),
            "attempt_remaining": None if left_ms is None else left_ms / 1000,
        }
        converter = portable_converter(self._options.data_converter, self._client)
        return self._pickled_task(info, converter, activity_options, connect_options(self._client))

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
                activity.heartbeat(*self._info.heartbeat_details)
                await asyncio.sleep(interval_s)

        beats = asyncio.ensure_future(beat())
        try:
            yield
        finally:
            beats.cancel()

    async def _wait_for(
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
                details = activity.cancellation_details()
                if details is None or not details.paused:
                    raise
                if sys.version_info >= (3, 11):
                    task = asyncio.current_task()
                    assert task is not None
                    task.uncancel()
            if left_s == 0 and not waited.done():
                raise asyncio.TimeoutError
        waited.result()

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

    def _failure(self, message: str, *, retryable: bool = True) -> Exception:
        return ApplicationError(message, type="ApartError", non_retryable=not retryable)
