"""What the worker's process sends to a process apart, and what that process answers."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import inspect
from collections.abc import Mapping
from typing import Any, Callable, Optional

__all__ = [
    "ENDED",
    "GO",
    "READY",
    "ApartTask",
    "Limits",
    "find_function",
    "first_line",
    "is_registered",
    "mark_body",
    "mark_registered",
    "processes_of",
]

# The messages of the process, each with a text: its activity is open; the text is the reason why it
# isn't; the attempt has ended.
READY = "ready"
FAILED_TO_START = "failed to start"
ENDED = "ended"

# The message of the worker: the SDK sends nothing more for this attempt, so the body may start.
GO = "go"

# The attribute of a decorated function that has the function itself.
_BODY = "__temporal_heartbeat_body__"

# The attribute of a decorated function that has the option.
_MAX_CONCURRENT = "__temporal_heartbeat_max_concurrent__"

# The attribute of a function that is an activity of a `Worker`.
_REGISTERED = "__temporal_heartbeat_activity__"


@dataclasses.dataclass(frozen=True)
class Limits:
    """The resource limits of a process."""

    memory_bytes: Optional[int] = None
    cpu_time_s: Optional[float] = None


@dataclasses.dataclass(frozen=True)
class ApartTask:
    """All that a process needs to run one attempt, except the arguments of the function.

    The arguments are sent separately, because reading them imports the user's modules.
    """

    module: str
    qualname: str
    first_line: int
    loop_class: Optional[type]  # None: the body isn't a coroutine function
    info: Any
    activity_options: Mapping[str, Any]
    connect_options: Mapping[str, Any]
    data_converter: bytes  # pickled separately, so that an error names it
    ends_with_worker: bool
    end_timeout_s: float
    limits: Limits
    log_level: int


def mark_body(decorated: Any, body: Callable[..., Any], max_concurrent: int) -> None:
    """Stores the function and the most processes of it in its decorated form."""
    setattr(decorated, _BODY, body)
    setattr(decorated, _MAX_CONCURRENT, max_concurrent)


def processes_of(function: Any) -> Optional[int]:
    """Returns the most processes of a function; None if it isn't decorated with `apart`."""
    return getattr(function, _MAX_CONCURRENT, None)


def mark_registered(function: Any) -> None:
    """Notes that a `Worker` runs the function."""
    with contextlib.suppress(AttributeError, TypeError):  # of a method
        setattr(function, _REGISTERED, True)


def is_registered(function: Any) -> bool:
    """Whether a `Worker` runs the function itself, and not its decorated form."""
    return hasattr(function, _REGISTERED)


def find_function(task: ApartTask) -> tuple[Any, Any]:
    """Imports the function by its name, and returns it with and without its decorators.

    Raises RuntimeError if the name means another function here.
    """
    decorated: Any = importlib.import_module(task.module)
    for name in task.qualname.split("."):
        decorated = getattr(decorated, name)
    body = decorated
    while not hasattr(body, _BODY) and hasattr(body, "__wrapped__"):
        body = body.__wrapped__
    body = getattr(body, _BODY, body)
    if not inspect.isfunction(body) or first_line(body) != task.first_line:
        raise RuntimeError(
            f"{task.module}.{task.qualname} is another function in the process apart: give each"
            " function that runs apart a name of its own, which doesn't depend on the process"
        )
    return decorated, body


def first_line(body: Any) -> int:
    line: int = body.__code__.co_firstlineno
    return line
