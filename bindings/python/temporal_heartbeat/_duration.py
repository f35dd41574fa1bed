"""Durations and timeouts, converted to the library's milliseconds."""

from __future__ import annotations

from datetime import timedelta
from typing import Optional, Union

from . import _abi
from .errors import InvalidArgumentError

__all__ = ["Duration", "duration_to_ms", "timeout_to_ms"]

Duration = Union[float, timedelta]

_MAX_TIMEOUT_MS = 2**31 - 1


def duration_to_ms(name: str, duration: Optional[Duration]) -> Optional[int]:
    """Converts seconds or a timedelta to milliseconds. Only 0 becomes 0; None stays None."""
    if duration is None:
        return None
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    try:
        is_valid = 0 <= seconds < 2**53 / 1000
    except TypeError:
        raise TypeError(
            f"{name} is a number of seconds or a timedelta, not {type(duration).__name__}"
        ) from None
    if not is_valid:
        raise InvalidArgumentError(f"{name} must be a time of at least 0, not {duration!r}")
    return max(1, round(seconds * 1000)) if seconds else 0


def timeout_to_ms(timeout: Optional[float]) -> int:
    """Converts a timeout in seconds to milliseconds. Only 0 becomes 0; None becomes FOREVER."""
    if timeout is None:
        return _abi.FOREVER
    try:
        is_valid = 0 <= timeout * 1000 <= _MAX_TIMEOUT_MS
    except TypeError:
        raise TypeError(
            f"a timeout is a number of seconds, or None to wait for ever; not {timeout!r}"
        ) from None
    if not is_valid:
        raise InvalidArgumentError(
            f"a timeout is a number of seconds from 0 to {_MAX_TIMEOUT_MS // 1000},"
            f" or None to wait for ever; not {timeout!r}"
        )
    return max(1, round(timeout * 1000)) if timeout else 0
