"""The worker's side of one attempt: gets a place, starts the process, and leaves the rest to it."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Coroutine, Mapping
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.reduction import ForkingPickler
from typing import Any, Callable, Optional, Protocol

from .places import Places
from .process import ApartProcess
from .task import ApartTask, Limits, first_line

__all__ = ["Attempt", "Options", "age_of_due_beat_s", "keep", "pickled"]


class Options(Protocol):
    """The options of the decorator that an attempt uses."""

    start_method: str
    limits: Limits
    ends_with_worker: bool
    end_timeout_s: float
    start_timeout_s: float
    initializer: Optional[Callable[[], object]]
    connect: dict[str, Any]
    data_converter: Any
    activity_options: dict[str, Any]


class Attempt:
    """What is common to the attempts of both kinds of workers."""

    # The modules that each process needs, for a forkserver.
    modules: tuple[str, ...] = ("temporal_heartbeat._apart.child",)

    def __init__(self, options: Options, function: Callable[..., Any], places: Places) -> None:
        self._options = options
        self._function = function
        self._places = places

    async def _wait_for(
        self, waited: asyncio.Future[None], timeout_s: Optional[float] = None
    ) -> None:
        """Waits; asyncio.TimeoutError: the time is over. Cancelling it leaves the future."""
        raise NotImplementedError

    def _failure(self, message: str, *, retryable: bool = True) -> Exception:
        """Returns an exception that fails the attempt with the type ApartError."""
        raise NotImplementedError

    @property
    def _key(self) -> tuple[object, ...]:
        """Identifies the activity: the same for all of its attempts."""
        raise NotImplementedError

    @property
    def _name(self) -> str:
        return f"{self._function.__qualname__} (apart)"

    def _pickled_arguments(self, args: Any, kwargs: Any) -> bytes:
        what = f"an argument of {self._name}"
        return pickled(what, (self._options.initializer, args, kwargs))

    async def _placed(self) -> None:
        """Waits for the end of an earlier process of the activity, and for a place."""
        earlier = _processes.get(self._key)
        if earlier is not None:
            # Its attempt is over, or the server wouldn't have started this one.
            await asyncio.get_running_loop().run_in_executor(None, earlier.end)
        acquiring = asyncio.ensure_future(self._places.acquire())
        try:
            await self._wait_for(acquiring)
        except asyncio.CancelledError:
            if not acquiring.cancel() and not acquiring.cancelled():
                self._places.release()
            raise

    async def _started(self, task: Callable[[], bytes], arguments: bytes) -> ApartProcess:
        """Returns the process when its activity is open. ``task`` returns the pickled task."""
        try:
            process = ApartProcess(
                task(),
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
        keep(self._forget(process))
        try:
            await self._wait_for(process.ready, self._options.start_timeout_s)
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

    def _pickled_task(
        self,
        info: Any,
        converter: Any,
        activity_options: Mapping[str, Any],
        connect_options: Mapping[str, Any],
    ) -> bytes:
        function = self._function
        data_converter = pickled(
            "the DataConverter, which a process apart needs: pass its name to apart, as in"
            ' data_converter="package.module:name". It',
            converter,
        )
        if self._options.start_method == "forkserver":
            # Without effect once the forkserver runs.
            preloaded = [function.__module__, *self.modules]
            get_context("forkserver").set_forkserver_preload(preloaded)
        task = ApartTask(
            module=function.__module__,
            qualname=function.__qualname__,
            first_line=first_line(function),
            loop_class=type(asyncio.get_running_loop())
            if inspect.iscoroutinefunction(function)
            else None,
            info=info,
            activity_options={**activity_options, **self._options.activity_options},
            connect_options={**connect_options, **self._options.connect},
            data_converter=data_converter,
            ends_with_worker=self._options.ends_with_worker,
            end_timeout_s=self._options.end_timeout_s,
            limits=self._options.limits,
            log_level=logging.getLogger().getEffectiveLevel(),
        )
        return pickled(f"the context of {self._name}", task)

    async def _forget(self, process: ApartProcess) -> None:
        await process.ended
        if _processes.get(self._key) is process:
            del _processes[self._key]


def age_of_due_beat_s(heartbeat_timeout: Optional[timedelta]) -> Optional[float]:
    """Returns an age of the last heartbeat with which the library sends the next one at once.

    The last heartbeat of the worker is older than that at most, and it isn't known by how much.
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


def keep(coroutine: Coroutine[Any, Any, None]) -> None:
    task = asyncio.get_running_loop().create_task(coroutine)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


def pickled(what: str, value: Any) -> bytes:
    try:
        return bytes(ForkingPickler.dumps(value))
    except Exception as error:
        raise TypeError(f"{what} can't be passed to another process: {error}") from error
