"""The heartbeat details that the server holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Optional, Union, overload

from ._payload import Payload

__all__ = ["Details"]


class Details(Sequence[Any]):
    """The heartbeat details of an activity: the values that were last recorded, often just one.

    It is empty, and false, when there are none. `attempt`, `recorded_at` and `heartbeat_timeout`
    tell about the activity.
    """

    __slots__ = ("_values", "attempt", "heartbeat_timeout", "payloads", "recorded_at")

    payloads: tuple[Payload, ...]
    """The same values as they are stored: ``heartbeat(token, *details.payloads)`` repeats them."""

    attempt: int
    """The number of the attempt that the server has now, from 1; 0 when it doesn't tell."""

    recorded_at: Optional[datetime]
    """When they were recorded, in UTC by the server's clock; None when it doesn't tell."""

    heartbeat_timeout: Optional[timedelta]
    """How long the server waits for a heartbeat; zero: for ever; None when it doesn't tell."""

    def __init__(
        self,
        values: Sequence[Any] = (),
        *,
        payloads: Sequence[Payload] = (),
        attempt: int = 0,
        recorded_at: Optional[datetime] = None,
        heartbeat_timeout: Optional[timedelta] = None,
    ) -> None:
        self._values = tuple(values)
        self.payloads = tuple(payloads)
        self.attempt = attempt
        self.recorded_at = recorded_at
        self.heartbeat_timeout = heartbeat_timeout

    def __len__(self) -> int:
        return len(self._values)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Any, ...]: ...

    def __getitem__(self, index: Union[int, slice]) -> Any:
        return self._values[index]

    def __repr__(self) -> str:
        return f"<Details {list(self._values)!r}, attempt {self.attempt}>"
