"""Iterates over the items of an activity, and records each item that is done."""

from __future__ import annotations

import inspect
import logging
import math
import sys
import time
from collections import deque
from collections.abc import AsyncIterable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Callable, Generic, Literal, NoReturn, Optional, TypeVar, Union, cast

from ._activity import Activity, run_blocking
from ._activity_base import ActivityBase
from ._converter import from_payload, to_payload
from ._current import current_activity
from ._details import Details
from ._duration import Duration, duration_to_ms
from ._progress_bar import MIN_INTERVAL_S, ProgressBar, open_bar
from .errors import Cancelled, Error, FailedPreconditionError, InvalidArgumentError, NotFoundError
from .signals import STOP_SIGNALS, Signals

__all__ = ["NOTHING", "Loop", "OnStop", "the_activity", "track"]

T = TypeVar("T")
A = TypeVar("A", bound=ActivityBase)

_log = logging.getLogger("temporal_heartbeat")

NOTHING: Any = object()

OnStop = Literal["raise", "end"]

# These iterators can be set to a position, as for unpickling: without a copy, and without reading
# the items before. The last one is that of a class with __getitem__ and without __iter__.
_ITERABLES: list[Any] = [[], (), range(0), range(2**64), "", "\u00e9", b"", bytearray()]
_ITERABLES.append(type("Items", (), {"__getitem__": None})())
_POSITIONED = tuple(type(iter(iterable)) for iterable in _ITERABLES)


def track(
    iterable: Iterable[T],
    activity: Optional[Activity] = None,
    *,
    key: Optional[Callable[[T], Any]] = None,
    flush_every: Optional[Duration] = None,
    on_stop: OnStop = "raise",
    progress: bool = True,
    total: Optional[int] = None,
    description: str = "",
) -> Iterator[T]:
    """Iterate over the items of an activity: skip those that are done, and record each new one.

    ::

        with Activity.from_env() as act:
            for item in track(range(100), act):
                work_on(item)
            act.complete("done")

    An item is done when the loop asks for the next one, or ends. Then it is recorded, as
    `Activity.heartbeat` does. If the body raises or breaks, its item isn't recorded. The next
    attempt begins after the last recorded item. A record may be lost with the process, so the work
    on an item must be repeatable. If all items are done, the loop is empty.

    After each item and before the first one, the loop waits while the activity is paused, and
    raises `Cancelled` if one of STOP_SIGNALS is set.

    * ``activity``: an open `Activity`. In a function that is decorated with `apart` it may be left
      out.
    * ``key``: a function that returns the key of an item: a value for JSON that is unique and the
      same in each attempt. Then the keys are recorded. Without it, the items must be the same in
      each attempt, in the same order, and the index of the last item that is done is recorded: an
      integer, from 0. `track` in C++, Go and Rust records the same.
    * ``flush_every``: seconds or a timedelta. After an item, if as much time has passed since the
      last `Activity.flush`, and after the last item, the record is flushed. With 0 each item is.
      Use it for expensive items, of which none may be repeated. A temporary error is logged.
      Without it the library decides when to send a record.
    * ``on_stop``: "raise" raises `Cancelled`; "end" ends the loop. Then call
      `Activity.raise_if_cancelled` after the loop, or read ``signals``, before you complete.
    * ``progress``: show a progress bar if stderr is a terminal, with tqdm if that is installed.
      ``total`` and ``description`` are for the bar; ``total`` is only needed if the iterable has no
      length.

    An activity has one loop. For several, record yourself, or join the iterables with
    itertools.chain. Items of a sequence are skipped without reading them; those of other iterables
    are read.

    Raises, before the first item: `InvalidArgumentError` if the recorded value doesn't belong to
    this loop, because it isn't an index, or is an index beyond the end, or a key that no item has;
    `FailedPreconditionError` if something was recorded before the loop; RuntimeError if no activity
    is current. It also raises as `Activity.details`, `Activity.heartbeat`, `Activity.flush` and
    `Activity.wait_while_paused` do, but never `NotFoundError` after the first item: an activity
    that is over has the signal GONE.
    """
    loop = Loop(
        the_activity(activity, Activity, "temporal_heartbeat.aio.track for a coroutine"),
        iterable,
        key=key,
        flush_every=flush_every,
        on_stop=on_stop,
        bar=(total, description) if progress else None,
    )
    return _iterate(loop, iterable)


def _iterate(loop: Loop[T], iterable: Iterable[T]) -> Iterator[T]:
    last = run_blocking(loop.last_done())
    items = loop.after(last, iterable)
    loop.open_bar()
    # Local names, because the rest costs less than a record.
    heartbeat, key, is_timed, now = loop.activity.heartbeat, loop.key, loop.is_timed, time.monotonic
    try:
        if run_blocking(loop.begin()):
            return
        for index, item in enumerate(items, loop.done):
            record = index if key is None else key(item)  # before the body, which may change it
            yield item
            try:
                signals = heartbeat(record)
            except NotFoundError:
                signals = Signals.GONE
            if is_timed:
                loop.done = index + 1
            must_step = signals or (is_timed and now() >= loop.next_step)
            if must_step and run_blocking(loop.step(signals)):
                return
        run_blocking(loop.end())
    finally:
        loop.close()


class Loop(Generic[T]):
    """The rules of both functions `track`, for threads and for asyncio.

    The coroutines never suspend for an `Activity` for threads.
    """

    def __init__(
        self,
        activity: Any,
        iterable: Union[Iterable[T], AsyncIterable[T]],
        *,
        key: Optional[Callable[[T], Any]],
        flush_every: Optional[Duration],
        on_stop: OnStop,
        bar: Optional[tuple[Optional[int], str]],
    ) -> None:
        if on_stop not in ("raise", "end"):
            raise InvalidArgumentError(f'on_stop must be "raise" or "end", not {on_stop!r}')
        flush_every_ms = duration_to_ms("flush_every", flush_every)
        self.activity = activity
        self.key = key
        self.done = 0
        # The time of the next flush or of the next update of the bar.
        self.next_step = 0.0
        self._iterable = iterable
        self._on_stop = on_stop
        self._bar_options = bar
        self._bar: Optional[ProgressBar] = None
        self._flush_every = None if flush_every_ms is None else flush_every_ms / 1000
        self._next_flush = self._next_update = math.inf

    async def last_done(self) -> Any:
        """Returns the index or the key of the last item that is done, or NOTHING."""
        if self.activity.info.get("records"):
            raise FailedPreconditionError(
                "something was recorded for the activity before the loop of track: an activity has"
                " one such loop, which records alone. For several loops, join their iterables with"
                " itertools.chain, or record with Activity.heartbeat"
            )
        details: Details = await _result(self.activity.details())
        if not details:
            return NOTHING
        is_index = type(details[0]) is int and details[0] >= 0
        if len(details) > 1 or (self.key is None and not is_index):
            expected = "the index" if self.key is None else "the key"
            recorded = ", ".join(map(_shown, details))
            self._refuse(f"the heartbeat details aren't {expected} of an item, but {recorded}")
        return details[0]

    def after(self, last: Any, iterable: Iterable[T]) -> Iterator[T]:
        """Returns the items after the last one that is done."""
        if last is NOTHING:
            return iter(iterable)
        if self.key is None and _is_indexed(iterable):
            sequence = cast("Sequence[T]", iterable)
            if last >= len(sequence):
                self.refuse_index(last, None)
            self.done = last + 1
            return map(sequence.__getitem__, range(self.done, len(sequence)))
        if self.key is None:
            items = iter(()) if last > sys.maxsize else _iterator_at(last, iterable)
            # Also reads the last item that is done, to notice that there are fewer items.
            if next(items, NOTHING) is NOTHING:
                self.refuse_index(last, None)
            self.done = last + 1
            return items
        items = iter(iterable)
        for self.done, item in enumerate(items, 1):
            if self.is_last(item, last):
                return items
        self.refuse_key(last)

    def is_last(self, item: T, last: Any) -> bool:
        """Returns whether the item has this key."""
        assert self.key is not None
        return _equals(self.key(item), last)

    def skip(self, item: T, last: Any) -> bool:
        """Counts an item that is done. Returns whether it is the last one."""
        self.done += 1
        if self.key is None:
            return bool(self.done > last)
        return self.is_last(item, last)

    def refuse_end(self, last: Any) -> NoReturn:
        """Raises the error for an iterable that ends before the last item that is done."""
        if self.key is None:
            self.refuse_index(last, self.done)
        self.refuse_key(last)

    def refuse_index(self, last: int, count: Optional[int]) -> NoReturn:
        if count is None and hasattr(self._iterable, "__len__"):
            count = len(cast("Sequence[T]", self._iterable))
        there_are = "fewer" if count is None else f"only {count}"
        self._refuse(f"item {last} was the last one that was done, but there are {there_are} items")

    def refuse_key(self, last: Any) -> NoReturn:
        self._refuse(
            f"no item has the key {_shown(last)}, which the last item that was done had; there are"
            f" {self.done} items"
        )

    def _refuse(self, reason: str) -> NoReturn:
        raise InvalidArgumentError(
            f"track can't resume: {reason}. Pass the same items and the same kind of key as the"
            " earlier attempt. To start with the first item again, delete the details: temporal"
            " activity reset --reset-heartbeats"
        )

    def open_bar(self) -> None:
        if self._bar_options is not None:
            total, description = self._bar_options
            self._bar = open_bar(self._iterable, total, self.done, description)
        if self._bar is not None:
            self._next_update = 0.0

    @property
    def is_timed(self) -> bool:
        """Whether the loop needs a `step` from time to time, also without signals."""
        return self._bar is not None or self._flush_every is not None

    def close(self) -> None:
        """Must be called at the end of the loop, also after an exception."""
        if self._bar is not None:
            self._bar.update(self.done)
            self._bar.close()

    async def begin(self) -> bool:
        """Must be called before the first item. Returns whether the loop must end."""
        if self._flush_every is not None:
            self._next_flush = time.monotonic() + self._flush_every
        return await self._should_stop(self.activity.signals)

    async def step(self, signals: Signals) -> bool:
        """Must be called after an item was recorded, if there are signals or the time has come.

        Returns whether the loop must end.
        """
        now = time.monotonic()
        if self._bar is not None and now >= self._next_update:
            self._bar.update(self.done)
            self._next_update = now + MIN_INTERVAL_S
        if self._flush_every is not None and now >= self._next_flush:
            signals |= await self._flush()
            self._next_flush = time.monotonic() + self._flush_every
        self.next_step = min(self._next_flush, self._next_update)
        return await self._should_stop(signals)

    async def end(self) -> None:
        """Must be called after the last item."""
        if self._flush_every is not None:
            await self._should_stop(await self._flush())

    async def _flush(self) -> Signals:
        try:
            await _result(self.activity.flush())
        except NotFoundError:
            return Signals.GONE
        except Error as error:
            if not error.retryable:
                raise
            _log.warning("the record of an item could not be flushed: %s", error)
        signals: Signals = self.activity.signals
        return signals

    async def _should_stop(self, signals: Signals) -> bool:
        """Waits while the activity is paused. Returns whether the loop must end, or raises."""
        if signals & Signals.PAUSED and not signals & STOP_SIGNALS:
            if self._bar is not None:
                self._bar.show("paused")
            signals = await _result(self.activity.wait_while_paused())
            if self._bar is not None:
                self._bar.show("")
        if signals & STOP_SIGNALS and self._on_stop == "raise":
            raise Cancelled(signals, self.activity.reason)
        return bool(signals & STOP_SIGNALS)


def the_activity(activity: Optional[A], expected: type[A], otherwise: str) -> A:
    """Returns the activity, or the current one."""
    if activity is None:
        activity = current_activity()
    if not isinstance(activity, expected):
        kind = f"{type(activity).__module__}.{type(activity).__name__}"
        raise TypeError(f"the activity is a {kind}: use {otherwise}")
    return activity


async def _result(value: Any) -> Any:
    """Returns the result of a method of either class of activities."""
    return await value if inspect.isawaitable(value) else value


def _iterator_at(index: int, iterable: Iterable[T]) -> Iterator[T]:
    """Returns the items from this index on; none if there are fewer."""
    items: Any = iter(iterable)
    # An iterator may have been advanced before: then its own position isn't that of the loop.
    if items is not iterable and type(items) in _POSITIONED and hasattr(items, "__setstate__"):
        items.__setstate__(index)
        return cast("Iterator[T]", items)
    return islice(items, index, None)


def _is_indexed(iterable: Iterable[T]) -> bool:
    """Returns whether reading an item by its index is the way to skip those before it."""
    is_sequence = isinstance(iterable, Sequence) and not isinstance(iterable, deque)
    return is_sequence and type(iter(iterable)) not in _POSITIONED


def _equals(key: Any, recorded: Any) -> bool:
    """Returns whether the key is the recorded one, of which only the JSON is left."""
    if key == recorded:
        return isinstance(key, bool) == isinstance(recorded, bool)
    if type(key) in (str, int, bool, float):
        return False
    return bool(from_payload(to_payload(key)) == recorded)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
