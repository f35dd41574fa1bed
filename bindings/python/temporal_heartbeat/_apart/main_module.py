"""Refuses a worker that the main module runs when a process apart imports it."""

from __future__ import annotations

import multiprocessing
from typing import Any, NoReturn

__all__ = ["allow_workers", "is_being_imported", "refuse_workers"]

_refused: list[Any] = []


def is_being_imported() -> bool:
    """Whether this process is one of multiprocessing's that still imports the main module."""
    return bool(getattr(multiprocessing.current_process(), "_inheriting", False))


def refuse_workers() -> None:
    """Lets the creation of a worker fail. It would take tasks that this process can't do."""
    from temporalio.worker import Worker

    if not _refused:
        _refused.append(Worker.__init__)
        Worker.__init__ = _refuse  # type: ignore[method-assign]


def allow_workers() -> None:
    if _refused:
        from temporalio.worker import Worker

        Worker.__init__ = _refused.pop()  # type: ignore[method-assign]


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise RuntimeError(
        "the main module runs a worker when a process apart imports it: put the code that runs the"
        ' worker below `if __name__ == "__main__":`'
    )
