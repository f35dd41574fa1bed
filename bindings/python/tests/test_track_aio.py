"""`aio.track`: the rules of `track`, over sync and async iterables."""

from __future__ import annotations

import asyncio
import gc
import inspect
import itertools
import warnings
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

import pytest
import trio
from support import BlackHole, Recorder

import temporal_heartbeat as thb
from temporal_heartbeat import Signals, aio
from temporal_heartbeat._current import set_current_activity


class RecordingActivity(aio.Activity):
    """An activity that needs no server. It keeps what is recorded, and counts the flushes."""

    def __init__(self, details: Sequence[Any] = (), **options: Any) -> None:
        options = {"heartbeat_timeout": 30, "close_timeout": 0, **options}
        super().__init__(b"signals-0.", initial_details=details, **options)
        self.records: list[Any] = []
        self.flushes = 0

    def heartbeat(self, *details: Any) -> Signals:
        self.records += details
        return super().heartbeat(*details)

    async def flush(self, *, timeout: float | None = 10.0) -> None:
        self.flushes += 1


async def letters() -> AsyncIterator[str]:
    for letter in "abcde":
        await asyncio.sleep(0)
        yield letter


async def fail_at_once(loop: AsyncIterator[Any]) -> None:
    async for item in loop:
        raise KeyError(item)


each_iterable = pytest.mark.parametrize(
    "iterable", [letters, lambda: "abcde"], ids=["async", "sync"]
)


def run(main: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(main, 30)

    asyncio.run(limited())


def test_the_arguments_equal_those_for_threads() -> None:
    ours, theirs = inspect.signature(aio.track), inspect.signature(thb.track)
    assert list(ours.parameters) == list(theirs.parameters)
    assert [each.default for each in ours.parameters.values()] == [
        each.default for each in theirs.parameters.values()
    ]


@each_iterable
def test_items_are_recorded_and_skipped(iterable: Any, connected: BlackHole) -> None:
    async def main() -> None:
        async with RecordingActivity() as act:
            count = 0
            async for _ in aio.track(iterable(), act):
                assert act.records == list(range(count))
                count += 1
            assert act.records == [0, 1, 2, 3, 4]
        for details, expected in (([2], ["d", "e"]), ([4], [])):
            async with RecordingActivity(details) as act:
                assert [item async for item in aio.track(iterable(), act)] == expected
                assert act.records == list(range(details[0] + 1, 5))

    run(main())


@each_iterable
def test_what_cannot_be_resumed_is_an_error(iterable: Any, connected: BlackHole) -> None:
    async def main() -> None:
        for details, key, reason in (
            ([5], None, "there are only 5 items"),
            ([-1], None, "aren't the index"),
            (["x"], str, "no item has the key 'x'.*there are 5 items"),
        ):
            async with RecordingActivity(details) as act:
                with pytest.raises(thb.InvalidArgumentError, match=reason):
                    await fail_at_once(aio.track(iterable(), act, key=key))
                assert act.records == []

    run(main())


@each_iterable
def test_keys_are_recorded_and_found_again(iterable: Any, connected: BlackHole) -> None:
    async def main() -> None:
        async with RecordingActivity(["c"]) as act:
            assert [item async for item in aio.track(iterable(), act, key=str)] == ["d", "e"]
            assert act.records == ["d", "e"]

    run(main())


@each_iterable
def test_an_item_that_is_not_done_is_not_recorded(iterable: Any, connected: BlackHole) -> None:
    async def main() -> None:
        async with RecordingActivity() as act:
            async for item in aio.track(iterable(), act):
                if item == "c":
                    break
            assert act.records == [0, 1]
        async with RecordingActivity() as act:
            with pytest.raises(KeyError):
                await fail_at_once(aio.track(iterable(), act))
            assert act.records == []

    run(main())


def test_a_cancelled_task_does_not_record_its_item(connected: BlackHole) -> None:
    async def main() -> None:
        async with RecordingActivity() as act:
            began = asyncio.Event()

            async def work() -> None:
                async for item in aio.track(range(5), act):
                    if item == 2:
                        began.set()
                        await asyncio.Event().wait()

            task = asyncio.create_task(work())
            await began.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert act.records == [0, 1]

    run(main())


def test_a_broken_loop_leaves_nothing_for_the_event_loop_to_close(connected: BlackHole) -> None:
    async def main() -> None:
        async with RecordingActivity() as act:
            async for _ in aio.track("abc", act):
                break
            gc.collect()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trio.run(main)  # it warns of generators that aren't closed
    assert [str(warning.message) for warning in caught] == []


def test_a_key_that_raises_ends_the_loop(connected: BlackHole) -> None:
    async def main() -> None:
        async with RecordingActivity() as act:
            loop = aio.track("abc", act, key=lambda letter: 1 // "ac".index(letter))
            with pytest.raises(ZeroDivisionError):
                await loop.__anext__()
            with pytest.raises(StopAsyncIteration):
                await loop.__anext__()
            assert act.records == []

    run(main())


def test_a_stop_signal_raises_or_ends_the_loop(recorder: Recorder) -> None:
    async def endless() -> AsyncIterator[int]:
        for number in itertools.count():
            await asyncio.sleep(0)
            yield number

    async def main() -> None:
        recorder.further_signals = Signals.CANCEL_REQUESTED
        await aio.connect(recorder.address, lazy=True)
        async with RecordingActivity() as act:
            with pytest.raises(thb.Cancelled) as caught:
                async for _ in aio.track(endless(), act):
                    pass
            assert caught.value.signals == Signals.CANCEL_REQUESTED
        async with RecordingActivity() as act:
            handed_out = [item async for item in aio.track(endless(), act, on_stop="end")]
            assert act.records == handed_out

    run(main())


def test_the_loop_waits_while_the_activity_is_paused(recorder: Recorder) -> None:
    async def main() -> None:
        recorder.further_signals = Signals.PAUSED
        await aio.connect(recorder.address, lazy=True)
        async with RecordingActivity(cancel_poll=0.1) as act:
            handed_out = []

            async def work() -> None:
                async for item in aio.track(itertools.count(), act):
                    handed_out.append(item)
                    if not recorder.further_signals:
                        return
                    await asyncio.sleep(0)

            task = asyncio.create_task(work())
            await act.wait(Signals.PAUSED)
            for _ in range(10):  # the task notices it at its next item
                await asyncio.sleep(0)
            before = len(handed_out)
            for _ in range(10):
                await asyncio.sleep(0)
            assert len(handed_out) == before
            recorder.further_signals = 0
            await task
            assert len(handed_out) == before + 1

    run(main())


def test_an_activity_that_is_over_has_the_signal_gone(connected: BlackHole) -> None:
    class Over(RecordingActivity):
        def heartbeat(self, *details: Any) -> Signals:
            raise thb.NotFoundError("over")

    async def main() -> None:
        async with Over() as act:
            with pytest.raises(thb.Cancelled) as caught:
                async for _ in aio.track("abc", act):
                    pass
            assert caught.value.signals == Signals.GONE

    run(main())


def test_a_record_is_flushed_as_often_as_requested(connected: BlackHole) -> None:
    async def main() -> None:
        async with RecordingActivity() as act:
            flushes = [act.flushes async for _ in aio.track("abc", act, flush_every=0)]
            assert (flushes, act.flushes) == ([0, 1, 2], 4)

    run(main())


def test_the_current_activity_is_used(connected: BlackHole) -> None:
    async def main() -> None:
        async with RecordingActivity([3]) as act:
            with set_current_activity(act):
                assert [item async for item in aio.track("abcde")] == ["e"]
                with pytest.raises(TypeError, match=r"use temporal_heartbeat\.aio\.track"):
                    thb.track("abc")

    run(main())
