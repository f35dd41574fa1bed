"""The iteration of `aio.track`, by the rules of `track`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any, TypeVar, Union, cast

from ._track import NOTHING, Loop
from .errors import NotFoundError
from .signals import Signals

__all__ = ["Iteration"]

T = TypeVar("T")


class Iteration(AsyncIterator[T]):
    """The iterator of `aio.track`. Not a generator, because an event loop must close those."""

    def __init__(self, loop: Loop[T], iterable: Union[Iterable[T], AsyncIterable[T]]) -> None:
        self._loop = loop
        self._iterable = iterable
        self._items: Union[Iterator[T], AsyncIterator[T], None] = None
        # What is recorded when the current item is done.
        self._record: Any = None
        self._is_over = False

    async def __anext__(self) -> T:
        if self._is_over:
            raise StopAsyncIteration
        try:
            item = NOTHING if await self._must_end() else await self._next_item()
            if item is NOTHING:
                raise StopAsyncIteration
            key = self._loop.key
            # Before the body, which may change the item.
            self._record = self._loop.done if key is None else key(item)
        except BaseException:
            self._close()
            raise
        return cast("T", item)

    async def _must_end(self) -> bool:
        """Begins the loop, or records the item that is done. Returns whether the loop must end."""
        loop = self._loop
        if self._items is None:
            self._items = await _after(loop, await loop.last_done(), self._iterable)
            loop.open_bar()
            return await loop.begin()
        try:
            signals = loop.activity.heartbeat(self._record)
        except NotFoundError:
            signals = Signals.GONE
        loop.done += 1
        must_step = signals or (loop.is_timed and time.monotonic() >= loop.next_step)
        return bool(must_step) and await loop.step(signals)

    async def _next_item(self) -> Any:
        """Returns the next item, or NOTHING after the last one."""
        if isinstance(self._items, AsyncIterator):
            try:
                return await self._items.__anext__()
            except StopAsyncIteration:
                item = NOTHING
        else:
            assert self._items is not None
            item = next(self._items, NOTHING)
        if item is NOTHING:
            await self._loop.end()
        return item

    def _close(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._loop.close()

    def __del__(self) -> None:
        self._close()


async def _after(
    loop: Loop[T], last: Any, iterable: Union[Iterable[T], AsyncIterable[T]]
) -> Union[Iterator[T], AsyncIterator[T]]:
    """Returns the items after the last one that is done."""
    if not isinstance(iterable, AsyncIterable):
        return loop.after(last, iterable)
    items = iterable.__aiter__()
    if last is NOTHING:
        return items
    async for item in items:
        if loop.skip(item, last):
            return items
    loop.refuse_end(last)
