"""The heartbeat details that the server holds, and how they are read from the library."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Optional, Union, overload

from . import _abi
from ._codec import Codec
from ._encoding import decode_values
from ._payload import Payload

__all__ = ["Details", "RawDetails", "decode_details", "fetch_details", "read_details"]

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Details(Sequence[Any]):
    """The heartbeat details of an activity: a sequence of the values that were recorded last.

    Usually it has one value. Without any it is empty, and false. It also has

    * ``payloads``: the same values as a tuple of `Payload`, decoded by the codec or codec server.
      ``heartbeat(token, *details.payloads)`` records them again;
    * ``attempt``: the number of the attempt that the server has now, from 1; 0 if it is unknown.
      If it differs from the caller's attempt, another attempt has replaced it;
    * ``recorded_at``: the time of the last heartbeat, a datetime in UTC by the server's clock; None
      if there was none;
    * ``heartbeat_timeout``: the heartbeat timeout, a timedelta; zero: none; None if it is unknown.
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


# What the C functions return: the serialized Payloads as the server has them; the same, decoded by
# the codec server; the attempt; and two times in milliseconds.
RawDetails = tuple[bytes, bytes, int, int, int]


def fetch_details(
    native: ctypes.CDLL, name: str, *arguments: Any
) -> tuple[int, Optional[RawDetails]]:
    """Calls a C function that outputs details. ``arguments`` ends with the error output.

    Returns its status, and on success a copy of the details, which are freed.
    """
    details = _abi.DetailsPtr()
    try:
        *inputs, error = arguments
        status = getattr(native, name)(*inputs, ctypes.byref(details), error)
        if status != _abi.Status.OK:
            return status, None
        return status, read_details(native, details)
    finally:
        native.thb_details_free(details)


def read_details(native: ctypes.CDLL, details: Any) -> RawDetails:
    """Returns a copy of a ``thb_details_t``."""

    def payloads(name: str) -> bytes:
        size = ctypes.c_size_t(0)
        data = getattr(native, name)(details, ctypes.byref(size))
        return ctypes.string_at(data, size.value) if size.value else b""

    return (
        payloads("thb_details_payloads"),
        payloads("thb_details_decoded_payloads"),
        native.thb_details_attempt(details),
        native.thb_details_recorded_at_unix_ms(details),
        native.thb_details_heartbeat_timeout_ms(details),
    )


def decode_details(raw: Optional[RawDetails], codec: Optional[Codec]) -> Details:
    """Decodes the result of a successful `fetch_details`."""
    assert raw is not None
    data, decoded_by_server, attempt, recorded_at_ms, heartbeat_timeout_ms = raw
    # A codec of this process has encoded what it reads. It needn't accept decoded values.
    values, payloads = decode_values(decoded_by_server if codec is None else data, codec)
    return Details(
        values,
        payloads=payloads,
        attempt=attempt,
        recorded_at=_UNIX_EPOCH + timedelta(milliseconds=recorded_at_ms)
        if recorded_at_ms
        else None,
        heartbeat_timeout=timedelta(milliseconds=heartbeat_timeout_ms)
        if heartbeat_timeout_ms >= 0
        else None,
    )
