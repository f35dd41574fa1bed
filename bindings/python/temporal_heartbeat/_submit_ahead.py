"""Submits the items of an activity to a pool or a cluster, some of them ahead of the loop."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Callable, Generic, Optional, TypeVar, Union, overload

from .errors import InvalidArgumentError

__all__ = ["SubmittedTasks", "submit_ahead"]

T = TypeVar("T")
R = TypeVar("R")


def submit_ahead(
    submit: Callable[[T], R],
    items: Sequence[T],
    *,
    limit: int,
    cancel: Callable[[list[R]], object],
) -> SubmittedTasks[T, R]:
    """Return the tasks of the items as a sequence, which submits each one when the loop is near it.

    ::

        with submit_ahead(work.remote, range(1000), limit=16, cancel=cancel_and_wait) as tasks:
            for task in track(tasks, act):
                ray.get(task)

    It connects `track` with an engine that runs items at the same time: Ray, Dask, or a pool of
    ``concurrent.futures``. The loop receives the tasks in the order of the items, so `track`
    records the first items that are done. Items after them may be done too: the next attempt
    repeats at most ``limit`` - 1 of these.

    * ``submit``: a function that submits an item and returns its task: a reference or a future.
    * ``limit``: how many tasks are submitted at the same time, including that of the loop. Use some
      more than the engine has workers, because all wait for a slow first item.
    * ``cancel``: called at the end of the with block with the task that the loop received last, and
      those after it. It must cancel them, and return when none of them runs. So end the block
      before the activity: the next attempt must not run beside them.

    While the activity is paused, submitted tasks run, and no new one is submitted.

    Raises `InvalidArgumentError` if ``limit`` isn't positive.
    """
    if limit < 1:
        raise InvalidArgumentError(f"limit must be at least 1, not {limit}")
    return SubmittedTasks(submit, items, limit, cancel)


class SubmittedTasks(Sequence[R], Generic[T, R]):
    """The result of `submit_ahead`. Tasks are read in order; none is kept after the next one."""

    def __init__(
        self,
        submit: Callable[[T], R],
        items: Sequence[T],
        limit: int,
        cancel: Callable[[list[R]], object],
    ) -> None:
        self._submit = submit
        self._items = items
        self._limit = limit
        self._cancel = cancel
        self._tasks: dict[int, R] = {}

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> R: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[R]: ...

    def __getitem__(self, index: Union[int, slice]) -> Any:
        if isinstance(index, slice) or index < 0:
            raise TypeError("tasks are read one by one, in the order of the items")
        if index >= len(self._items):
            raise IndexError(index)
        # The loop has finished the earlier ones.
        self._tasks = {at: task for at, task in self._tasks.items() if at >= index}
        for at in range(index, min(index + self._limit, len(self._items))):
            if at not in self._tasks:
                self._tasks[at] = self._submit(self._items[at])
        return self._tasks[index]

    def __enter__(self) -> SubmittedTasks[T, R]:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        exception: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if self._tasks:
            tasks, self._tasks = list(self._tasks.values()), {}
            self._cancel(tasks)
