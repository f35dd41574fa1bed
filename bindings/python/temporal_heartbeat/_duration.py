"""Lengths of time, as users give them and as the library takes them."""

from __future__ import annotations

from datetime import timedelta
from typing import Optional, Union

from .errors import InvalidArgument

__all__ = ["Duration", "duration_ms"]

Duration = Union[float, timedelta]


def duration_ms(name: str, duration: Optional[Duration]) -> Optional[int]:
    """Seconds, or a timedelta, in milliseconds; None stays None. Only 0 itself becomes 0."""
    if duration is None:
        return None
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    if not 0 <= seconds < 2**53 / 1000:
        raise InvalidArgument(f"{name} is a time from 0 on, not {duration!r}")
    return max(1, round(seconds * 1000)) if seconds else 0
