"""The activity that the running code belongs to, for code that isn't passed an `Activity`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from ._activity_base import ActivityBase

__all__ = ["current_activity", "set_current_activity"]

_in_context: ContextVar[Optional[ActivityBase]] = ContextVar("temporal_heartbeat_activity")

# Threads that the activity starts don't inherit its context.
_in_process: list[ActivityBase] = []


def current_activity() -> Any:
    """Return the `Activity` of the running code, in a function that is decorated with `apart`.

    In a coroutine it is a `temporal_heartbeat.aio.Activity`. Any thread may call it.

    Raises RuntimeError in other code: open an `Activity`, and pass it on.
    """
    activity = _in_context.get(None) or next(iter(_in_process), None)
    if activity is None:
        raise RuntimeError(
            "no activity is current here: only a function that is decorated with"
            " temporal_heartbeat.apart has one. Elsewhere open one with Activity.from_env(), and"
            " pass it on, for example track(items, activity)"
        )
    return activity


@contextlib.contextmanager
def set_current_activity(activity: ActivityBase) -> Iterator[None]:
    """Makes the activity current for the block, and for threads that the block starts."""
    token = _in_context.set(activity)
    _in_process.append(activity)
    try:
        yield
    finally:
        _in_process.remove(activity)
        _in_context.reset(token)
