"""The activity that the running code belongs to, for code that isn't passed an `Activity`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from ._activity_base import ActivityBase
    from ._worker_run import Body

__all__ = ["current_activity", "current_body", "set_activity_in_context", "set_current_activity"]

_in_context: ContextVar[Optional[ActivityBase]] = ContextVar("temporal_heartbeat_activity")

_body_in_context: ContextVar[Optional[Body]] = ContextVar("temporal_heartbeat_body")

# Threads that the activity starts don't inherit its context.
_in_process: list[ActivityBase] = []


def current_activity() -> Any:
    """Return the `Activity` of the running code: of a `Worker`, or in a function that runs `apart`.

    In a coroutine it is a `temporal_heartbeat.aio.Activity`. Any thread may call it. In a `Worker`,
    threads that the activity starts have no current one: pass it on.

    Raises RuntimeError in other code: open an `Activity`, and pass it on.
    """
    activity = _in_context.get(None) or next(iter(_in_process), None)
    if activity is None:
        raise RuntimeError(
            "no activity is current here: only an activity of a temporal_heartbeat.Worker, or a"
            " function that is decorated with temporal_heartbeat.apart, has one. Elsewhere open one"
            " with Activity.from_env(), and pass it on, for example track(items, activity)"
        )
    return activity


@contextlib.contextmanager
def set_current_activity(activity: ActivityBase) -> Iterator[None]:
    """Makes the activity current for the block, and for threads that the block starts."""
    _in_process.append(activity)
    try:
        with set_activity_in_context(activity):
            yield
    finally:
        _in_process.remove(activity)


@contextlib.contextmanager
def set_activity_in_context(activity: ActivityBase, body: Optional[Body] = None) -> Iterator[None]:
    """Makes the activity current for the block only, in a process that runs several.

    ``body``: the body of a `Worker`, if the block is one.
    """
    token, body_token = _in_context.set(activity), _body_in_context.set(body)
    try:
        yield
    finally:
        _in_context.reset(token)
        _body_in_context.reset(body_token)


def current_body() -> Optional[Body]:
    """Returns the body of a `Worker` that the running code belongs to."""
    return _body_in_context.get(None)
