"""The heartbeat details that the server holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Optional, Union, overload

from ._payload import Payload

__all__ = ["Details"]


class Details(Sequence[Any]):
    """The heartbeat details of an activity: a sequence of the values that were last recorded.

    Often it is just one; none at all make it empty, and false. Beside them there are

    * ``payloads``: the same values as they are stored, or were before the connection's codec
      encoded them; a tuple of `Payload`, such that ``heartbeat(token, *details.payloads)`` repeats
      them;
    * ``attempt``: the number of the attempt that the server has now, from 1; 0 when it doesn't
      tell. If it isn't one's own, another has taken over;
    * ``recorded_at``: when the last heartbeat was recorded, a datetime in UTC by the server's
      clock; None when none was;
    * ``heartbeat_timeout``: how long the server waits for a heartbeat, a timedelta; zero: for ever;
      None when it doesn't tell.
    """

    __slots__ = ("_values", "attempt", "heartbeat_timeout", "payloads", "recorded_at")

    payloads: tuple[Payload, ...]
    attempt: int
    recorded_at: Optional[datetime]
    heartbeat_timeout: Optional[timedelta]

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
