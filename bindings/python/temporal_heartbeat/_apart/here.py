"""Runs a decorated function in this process: by hand, or in a test of the activity."""

from __future__ import annotations

import inspect
from typing import Any, Callable

from .._activity import Activity
from .._current import set_current_activity

__all__ = ["run_here"]


async def run_here(body: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls the function with an inactive activity as the current one."""
    if inspect.iscoroutinefunction(body):
        from .. import aio

        async with aio.Activity.from_env(when_absent="inactive") as act:
            with set_current_activity(act):
                return await body(*args, **kwargs)
    with Activity.from_env(when_absent="inactive") as activity, set_current_activity(activity):
        return body(*args, **kwargs)
