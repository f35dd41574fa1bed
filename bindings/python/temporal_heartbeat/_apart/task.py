"""What the worker's process sends to a process apart, and what that process answers."""

from __future__ import annotations

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
    "mark_body",
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


def mark_body(decorated: Any, body: Callable[..., Any]) -> None:
    """Stores the function in its decorated form."""
    setattr(decorated, _BODY, body)


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
