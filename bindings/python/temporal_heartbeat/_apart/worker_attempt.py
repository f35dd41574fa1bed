"""An attempt of a `Worker`, which hands it over to a process apart."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Optional

from .. import aio
from .._codec import Codec
from .._details import decode_details
from .._payload import Payload, decode_payloads
from .._queue import with_codec
from ..errors import Error, InvalidArgumentError
from ..handoff import NO_HEARTBEAT_TIMEOUT
from .attempt import Attempt, Options, age_of_due_beat_s
from .places import Places

if TYPE_CHECKING:
    from .._worker_run import Body

__all__ = ["WorkerAttempt"]

_log = logging.getLogger("temporal_heartbeat")


class ApartError(Exception):
    """The process didn't start, or died. The type of the failure is the name of this class."""


class WorkerAttempt(Attempt):
    """One attempt in a `Worker`, whose activity the worker holds open until the process does."""

    def __init__(
        self, options: Options, function: Callable[..., Any], body: Body, places: Places
    ) -> None:
        super().__init__(options, function, places)
        self._body = body
        self._task = body.task
        self._start = time.monotonic()

    async def run(self, args: Any, kwargs: Any) -> None:
        """Returns when the process has ended the attempt, or its death was reported."""
        info = self._task.info
        if not info.heartbeat_timeout:
            warnings.warn(NO_HEARTBEAT_TIMEOUT, stacklevel=2)
        arguments = self._pickled_arguments(args, kwargs)
        details = await with_codec(self._codec, self._initial_details)
        await self._placed()
        process = await self._started(partial(self._pickled, details), arguments)
        # The process heartbeats too, with the same details. Nothing was recorded here.
        self._body.hand_over(process)
        await self._body.activity.close()
        process.go()
        death = await process.ended
        if death is not None:
            await self._report_death(death)

    @property
    def _codec(self) -> Optional[Codec]:
        codec: Optional[Codec] = self._body.activity._codec
        return codec

    def _initial_details(self, codec: Optional[Codec]) -> list[Payload]:
        """Returns the details of the previous attempt, which the codec of the process encodes.

        Without a codec of Python they stay as they are: a codec server may have encoded them.
        """
        raw = self._task._raw.details
        return decode_payloads(raw[0]) if codec is None else [*decode_details(raw, codec).payloads]

    def _pickled(self, details: list[Payload]) -> bytes:
        info, given = self._task.info, self._options.data_converter
        converter = self._body.data_converter if given is None else given
        left = info.start_to_close_timeout
        elapsed_s = time.monotonic() - self._start
        activity_options = {
            "token": self._task.token,
            "workflow_id": info.workflow_id or None,
            "run_id": info.run_id,
            "activity_id": info.activity_id,
            "attempt": info.attempt,
            "activity_type": info.activity_type,
            "workflow_type": info.workflow_type or None,
            "task_queue": info.task_queue,
            "heartbeat_timeout": info.heartbeat_timeout,
            "initial_details": details,
            "age": age_of_due_beat_s(info.heartbeat_timeout),
            "attempt_remaining": None
            if left is None
            else max(0.001, left.total_seconds() - elapsed_s),
        }
        return self._pickled_task(
            info, _portable(converter), activity_options, self._body.connect_options
        )

    async def _wait_for(
        self, waited: asyncio.Future[None], timeout_s: Optional[float] = None
    ) -> None:
        done, _ = await asyncio.wait([waited], timeout=timeout_s)
        if not done:
            raise asyncio.TimeoutError
        waited.result()

    async def _report_death(self, death: str) -> None:
        text = f"{self._name} didn't end: {death}"
        _log.warning("%s; its attempt %s fails", text, self._task.info.attempt)
        try:
            await aio.fail(self._task.token, ApartError(text), data_converter=self._body.codec)
        except Error as error:  # for example because the attempt is over
            _log.warning("%s, and its attempt wasn't failed: %s", text, error)

    def _failure(self, message: str, *, retryable: bool = True) -> Exception:
        return ApartError(message)

    @property
    def _key(self) -> tuple[object, ...]:
        info = self._task.info
        return ("", info.workflow_id, info.run_id, info.activity_id)


def _portable(converter: Any) -> Any:
    """Returns a ``data_converter`` for another process."""
    if isinstance(converter, str):
        module, _, name = converter.partition(":")
        if not module or not name:
            raise InvalidArgumentError(
                f'the data_converter {converter!r} isn\'t a name such as "package.module:name"'
            )
        return converter
    # If it is an object of the SDK, the SDK is already loaded.
    sdk = sys.modules.get("temporalio.converter")
    if sdk is None or not isinstance(converter, sdk.DataConverter):
        return converter
    from .sdk_client import ConverterParts

    return ConverterParts(converter)
