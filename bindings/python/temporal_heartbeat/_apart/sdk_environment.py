"""What a body of an activity of Temporal's SDK finds around it: ``temporalio.activity``."""

from __future__ import annotations

from typing import Any, Callable

from temporalio.activity import ActivityCancellationDetails
from temporalio.converter import DataConverter
from temporalio.exceptions import CancelledError
from temporalio.testing import ActivityEnvironment

from ..signals import Signals

__all__ = ["SdkEnvironment"]


class SdkEnvironment:
    """Runs the body, and stops it with the exceptions of the SDK."""

    def __init__(self, info: Any, converter: Any, record: Callable[..., None]) -> None:
        self._environment = ActivityEnvironment()
        self._environment.info = info
        self._environment.on_heartbeat = record
        if isinstance(converter, DataConverter):
            self._environment.payload_converter = converter.payload_converter

    def run(self, body: Callable[[], Any]) -> Any:
        return self._environment.run(body)

    def stop(self, signals: Signals, *, is_shutdown: bool) -> None:
        if is_shutdown:
            self._environment.worker_shutdown()
        self._environment.cancel(
            ActivityCancellationDetails(
                cancel_requested=bool(signals & Signals.CANCEL_REQUESTED),
                reset=bool(signals & Signals.RESET),
                paused=bool(signals & Signals.PAUSED),
                not_found=bool(signals & Signals.GONE),
                timed_out=bool(signals & Signals.LEASE_LOST),
                worker_shutdown=is_shutdown,
            )
        )

    def exception(self) -> BaseException:
        return CancelledError("Cancelled")
