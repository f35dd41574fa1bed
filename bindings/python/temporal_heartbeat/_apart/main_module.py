"""Refuses a worker that the main module runs when a process apart imports it."""

from __future__ import annotations

import multiprocessing
import os
import sys
import traceback
from typing import Any, NoReturn

__all__ = [
    "REFUSAL",
    "REFUSED_STATUS",
    "allow_workers",
    "is_being_imported",
    "refuse_if_imported",
    "refuse_workers",
]

REFUSAL = (
    "the main module runs a worker when a process apart imports it: put the code that runs the"
    ' worker below `if __name__ == "__main__":`'
)

# The exit status of a process that refused. It has no other way to report: multiprocessing hands
# the channel over after the import.
REFUSED_STATUS = 159

_refused: list[Any] = []


def is_being_imported() -> bool:
    """Whether this process is one of multiprocessing's that still imports the main module."""
    return bool(getattr(multiprocessing.current_process(), "_inheriting", False))


def refuse_if_imported() -> None:
    """Ends this process if a `Worker` starts to poll in a main module that is being imported."""
    if is_being_imported():
        _refuse()


def refuse_workers() -> None:
    """Ends this process when it creates a worker, which would take tasks that it can't do."""
    if "temporalio" not in sys.modules:
        return  # the main module uses a `Worker`
    from temporalio.worker import Worker

    if not _refused:
        _refused.append(Worker.__init__)
        Worker.__init__ = _refuse  # type: ignore[method-assign]


def allow_workers() -> None:
    if _refused:
        from temporalio.worker import Worker

        Worker.__init__ = _refused.pop()  # type: ignore[method-assign]


def _refuse(*_: Any, **__: Any) -> NoReturn:
    """Shows where the worker is created, and exits.

    It raises no exception, because the SDK's threads can abort the exit of an interpreter.
    """
    try:
        traceback.print_stack(sys._getframe(1))
        print(f"temporal_heartbeat: {REFUSAL}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(REFUSED_STATUS)
