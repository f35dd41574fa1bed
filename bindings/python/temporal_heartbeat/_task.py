"""One task of a task queue, and how it is taken from the library."""

from __future__ import annotations

import ctypes
import dataclasses
import json
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from functools import cached_property
from typing import Any, Callable, Optional

from . import _abi
from ._activity import Activity
from ._activity_base import ActivityBase
from ._codec import Codec
from ._details import Details, RawDetails, decode_details, read_details
from ._failure import encode_failure
from ._invoke import invoke
from ._type_hints import NO_HINT, Parameter, typed_values

__all__ = ["Task", "TaskInfo", "take_task"]

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclasses.dataclass(frozen=True)
class TaskInfo:
    """The facts about the task of a `Worker`: about one attempt of one activity.

    * ``task_queue``, ``activity_type``, ``activity_id``, ``attempt``, from 1.
    * ``workflow_type``, ``workflow_id``: "" for a standalone activity. ``run_id``: the run of the
      workflow, or of the standalone activity.
    * ``heartbeat_timeout``, ``start_to_close_timeout``, ``schedule_to_close_timeout``: a timedelta;
      None: no timeout.
    * ``scheduled_at``, ``attempt_scheduled_at``, ``started_at``: times in UTC by the server's
      clock; None: unknown.
    * ``header_keys``: the names of the values in the header.
    """

    task_queue: str
    activity_type: str
    activity_id: str
    workflow_type: str
    workflow_id: str
    run_id: str
    attempt: int
    heartbeat_timeout: Optional[timedelta]
    start_to_close_timeout: Optional[timedelta]
    schedule_to_close_timeout: Optional[timedelta]
    scheduled_at: Optional[datetime]
    attempt_scheduled_at: Optional[datetime]
    started_at: Optional[datetime]
    header_keys: Sequence[str]

    @classmethod
    def _read(cls, text: bytes) -> TaskInfo:
        facts = json.loads(text)

        def timeout(name: str) -> Optional[timedelta]:
            return timedelta(milliseconds=facts[f"{name}_ms"]) or None

        def time(name: str) -> Optional[datetime]:
            ms = facts[f"{name}_unix_ms"]
            return _UNIX_EPOCH + timedelta(milliseconds=ms) if ms else None

        return cls(
            task_queue=facts["task_queue"],
            activity_type=facts["activity_type"],
            activity_id=facts["activity_id"],
            workflow_type=facts["workflow_type"],
            workflow_id=facts["workflow_id"],
            run_id=facts["run_id"],
            attempt=facts["attempt"],
            heartbeat_timeout=timeout("heartbeat_timeout"),
            start_to_close_timeout=timeout("start_to_close_timeout"),
            schedule_to_close_timeout=timeout("schedule_to_close_timeout"),
            scheduled_at=time("scheduled_at"),
            attempt_scheduled_at=time("attempt_scheduled_at"),
            started_at=time("started_at"),
            header_keys=tuple(facts["header_keys"]),
        )


class Task:
    """A task that `Worker.next` has taken. Its activity is open, and heartbeats in the background.

    * ``activity``: the `Activity`. End it and close it, for example with its with block. Then the
      slot of the task is free.
    * ``info``: the `TaskInfo`. ``activity_type``: its type, which says what to do.
    * ``token``: the task token.
    * ``input``: the arguments. ``details``: the heartbeat details of the previous attempt. Both are
      a `Details`, which is decoded when it is first read. Only the codec may block. Reading raises
      what the codec raises.
    """

    activity: Activity
    info: TaskInfo
    token: bytes

    def __init__(self, activity: Any, raw: RawTask, info: TaskInfo, codec: Optional[Codec]) -> None:
        self.activity = activity
        self.info = info
        self.token = raw.token
        self._raw = raw
        self._codec = codec

    @property
    def activity_type(self) -> str:
        """The type of the activity."""
        return self.info.activity_type

    @cached_property
    def input(self) -> Details:
        """The arguments of the activity."""
        return decode_details(self._raw.input, self._codec)

    @cached_property
    def details(self) -> Details:
        """The heartbeat details of the previous attempt."""
        return decode_details(self._raw.details, self._codec)

    def __repr__(self) -> str:
        info = self.info
        return f"<Task {info.activity_type} {info.activity_id!r}, attempt {info.attempt}>"

    def _arguments(self, parameters: Sequence[Parameter], codec: Optional[Codec]) -> list[Any]:
        """Returns the arguments for a function with these parameters."""
        payloads = decode_details(self._raw.input, codec).payloads
        convert = typed_values if codec is None else codec.typed_values
        arguments: list[Any] = []
        for index, payload in enumerate(payloads):
            name, hint = parameters[index] if index < len(parameters) else ("", NO_HINT)
            try:
                arguments += convert([payload], [hint])
            except Exception as error:
                raise TypeError(
                    f"the argument {index + 1} ({name}) of {self.activity_type} can't be converted:"
                    f" {error}"
                ) from error
        return arguments

    def _free(self) -> None:
        """Frees the library's task. Without this the slot would stay occupied."""
        self._raw.free()


class RawTask:
    """A copy of what the library's task contains."""

    def __init__(self, native: ctypes.CDLL, task: Any) -> None:
        self._native = native
        self._task: Any = task
        size = ctypes.c_size_t(0)
        token = native.thb_task_token(task, ctypes.byref(size))
        self.handle: int = native.thb_task_activity(task)
        self.token: bytes = ctypes.string_at(token, size.value)
        self.info: bytes = native.thb_task_info(task)
        self.input: RawDetails = read_details(native, native.thb_task_input(task))
        self.details: RawDetails = read_details(native, native.thb_task_details(task))

    def free(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            self._native.thb_task_free(task)

    def hand_back(self, message: str, kind: str) -> None:
        """Fails the attempt as retryable. May block."""
        failure, length = encode_failure(message, None, type=kind)
        self._native.thb_activity_fail(self.handle, failure, length, 10_000, None)
        self._native.thb_activity_close(self.handle, 0, None)
        self.free()

    __del__ = free


def take_task(
    worker: ctypes.c_uint64,
    timeout_ms: int,
    codec_for: Callable[[bytes, TaskInfo], Optional[Codec]],
    kind_of: Callable[[str], type[ActivityBase]],
    close_timeout_ms: int,
) -> Optional[Task]:
    """Waits for a task. None: the time is over.

    ``kind_of`` returns the class of the activity for its type.
    """
    taken: list[RawTask] = []
    is_abandoned = False

    def call(native: ctypes.CDLL, error: Any) -> tuple[int, None]:
        task = _abi.TaskPtr()
        status: int = native.thb_worker_next(worker, timeout_ms, ctypes.byref(task), error)
        if task:
            taken.append(RawTask(native, task))
            if is_abandoned:
                _hand_back(taken, None)
        return status, None

    try:
        invoke(call, may_block=timeout_ms > 0)
        if not taken:
            return None
        [raw] = taken
        info = TaskInfo._read(raw.info)
        codec = codec_for(raw.token, info)
        activity = kind_of(info.activity_type)._of_task(raw.handle, info, codec, close_timeout_ms)
        return Task(activity, raw, info, codec)
    except BaseException as error:
        # An interrupted call continues in its thread, and may take a task later.
        is_abandoned = True
        _hand_back(taken, error)
        raise


def _hand_back(taken: list[RawTask], error: Optional[BaseException]) -> None:
    while taken:
        if isinstance(error, Exception):  # of the codec
            taken.pop().hand_back(f"the task can't be taken: {type(error).__name__}", "Worker")
        else:
            taken.pop().hand_back("the worker was interrupted", "Shutdown")
