"""The activity for asyncio: the same names, and no thread for waiters."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from support import BlackHole, requires

import temporal_heartbeat as thb
from temporal_heartbeat import Signals, _watch, aio


def open_activity(number: int = 0, **options: Any) -> aio.Activity:
    options = {"initial_details": [], "heartbeat_timeout": 30, "close_timeout": 0, **options}
    return aio.Activity(b"token %d" % number, **options)


def run(main: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(main, 30)

    asyncio.run(limited())
    assert not _watch._watches, "the watch is closed with its last activity"


def test_connect_and_disconnect_are_coroutines(disconnected: None) -> None:
    async def main() -> None:
        await aio.connect("127.0.0.1:1", lazy=True)
        with pytest.raises(thb.AlreadyConnectedError):
            await aio.connect()
        await aio.disconnect()

    run(main())


def descriptors() -> int:
    where = Path("/proc/self/fd")
    requires("/proc/self/fd", where.is_dir())
    return len(list(where.iterdir()))


async def until_the_lease_is_lost(number: int = 0) -> None:
    async with open_activity(number, age=29.9) as act:
        assert await act.wait() == Signals.LEASE_LOST


def test_the_names_and_arguments_equal_those_of_the_class_for_threads() -> None:
    ours, theirs = vars(aio.Activity), vars(thb.Activity)
    names = {name for name in theirs if not name.startswith("_")}
    assert {name for name in ours if not name.startswith("_")} == names
    for name in names:
        mine, other = inspect.signature(ours[name]), inspect.signature(theirs[name])
        assert mine.parameters == other.parameters
        assert inspect.iscoroutinefunction(ours[name])
        assert inspect.getdoc(ours[name])


def test_methods_that_never_wait_are_plain_methods(connected: BlackHole) -> None:
    async def main() -> None:
        async with open_activity(initial_details=[41]) as act:
            assert await act.details(default=-1) == 41
            assert list(await act.details()) == [41]
            assert act.heartbeat(42) == act.touch() == act.heartbeat() == act.signals == Signals(0)
            act.raise_if_cancelled()
            assert act.info["records"] == 1

    run(main())


def test_a_thousand_waiters_use_one_descriptor_and_no_thread(
    connected: BlackHole,
) -> None:
    async def main() -> None:
        activities = [open_activity(number, age=29.5) for number in range(1000)]
        threads, open_before = threading.active_count(), descriptors()
        waiting = [asyncio.create_task(act.wait(Signals.LEASE_LOST)) for act in activities]
        await asyncio.sleep(0)
        assert threading.active_count() == threads
        # The library's descriptors, one for the event loop, and those of the loop itself.
        assert descriptors() <= open_before + 4
        assert set(await asyncio.gather(*waiting)) == {Signals.LEASE_LOST}
        for act in activities:
            await act.close(timeout=0)

    run(main())


def test_a_wait_ends_at_its_timeout(connected: BlackHole) -> None:
    async def main() -> None:
        async with open_activity() as act:
            assert await act.wait(timeout=0) == Signals(0)
            began = time.monotonic()
            assert await act.wait(timeout=0.2) == Signals(0)
            assert time.monotonic() - began >= 0.15
            with pytest.raises(ValueError, match="timeout"):
                await act.wait(timeout=-1)

    run(main())


def test_a_wait_is_for_the_signals_of_its_mask_and_for_a_change(
    connected: BlackHole,
) -> None:
    async def main() -> None:
        async with open_activity(stall_timeout=0.1, age=29.5) as act:
            waiting = [asyncio.create_task(act.wait(~Signals.STALLED)) for _ in range(3)]
            assert await act.wait(Signals.STALLED) == Signals.STALLED
            lifted = asyncio.create_task(act.wait(Signals.STALLED, known=Signals.STALLED))
            await asyncio.sleep(0)
            act.touch()
            assert not await lifted & Signals.STALLED
            for signals in await asyncio.gather(*waiting):
                assert signals & Signals.LEASE_LOST

    run(main())


def test_a_lost_lease_wakes_a_wait_without_the_server(connected: BlackHole) -> None:
    async def main() -> None:
        async with open_activity(heartbeat_timeout=1) as act:
            began = time.monotonic()
            assert await act.wait(Signals.LEASE_LOST) & Signals.LEASE_LOST
            assert 0.5 < time.monotonic() - began < 5
            with pytest.raises(thb.Cancelled, match="another attempt may be running"):
                act.raise_if_cancelled()

    run(main())


def test_closing_ends_the_waits(connected: BlackHole) -> None:
    async def main() -> None:
        act = open_activity()
        waiting = [asyncio.create_task(act.wait()) for _ in range(3)]
        await asyncio.sleep(0)
        await act.close()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [thb.InvalidHandleError] * 3
        await act.close()

    run(main())


def test_disconnect_ends_the_waits(connected: BlackHole) -> None:
    async def main() -> None:
        async with open_activity() as act:
            waiting = asyncio.create_task(act.wait())
            await asyncio.sleep(0)
            await asyncio.to_thread(thb.disconnect, timeout=0)
            with pytest.raises((thb.InvalidHandleError, thb.NotConnectedError)):
                await waiting

    run(main())
    thb.connect(address=connected.address, lazy=True)
    run(until_the_lease_is_lost())


def test_a_wait_can_be_cancelled(connected: BlackHole) -> None:
    async def main() -> None:
        async with open_activity(age=29.7) as act:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(act.wait(), 0.05)
            assert await act.wait() == Signals.LEASE_LOST

    run(main())


def test_a_wait_in_another_event_loop_is_an_error(connected: BlackHole) -> None:
    act = open_activity(age=29.9)

    async def wait() -> None:
        assert not await act.wait(Signals.STALLED, timeout=0.01) & Signals.STALLED

    asyncio.run(wait())
    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(wait())
    # The next event loop closes the watch of a loop that ended before its activities.
    run(until_the_lease_is_lost(1))
    asyncio.run(act.close(timeout=0))


def test_the_event_loop_runs_while_a_call_blocks(connected: BlackHole) -> None:
    async def main() -> None:
        async with open_activity() as act:
            act.heartbeat(1)
            blocked = asyncio.create_task(act.flush(timeout=None))
            for _ in range(10):
                await asyncio.sleep(0.01)
            assert not blocked.done()
            blocked.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await blocked
            with pytest.raises((thb.TimeoutError, thb.UnavailableError)):
                await act.complete("done", timeout=0.1)
            for call in (act.fail("broken", timeout=0), act.report_cancelled(timeout=0)):
                with pytest.raises(thb.TimeoutError):
                    await call

    run(main())


def test_arguments_can_be_changed_during_the_call(connected: BlackHole) -> None:
    async def main() -> None:
        async with open_activity() as act:
            result = {"item": 1}
            completing = asyncio.create_task(act.complete(result, timeout=0.2))
            await asyncio.sleep(0)
            result["item"] = object()  # type: ignore[assignment]
            with pytest.raises((thb.TimeoutError, thb.UnavailableError)):
                await completing

    run(main())


@pytest.mark.parametrize("leaving", [ZeroDivisionError, asyncio.CancelledError])
def test_an_exception_that_leaves_the_block_is_not_replaced(
    connected: BlackHole, leaving: type[BaseException]
) -> None:
    async def main() -> None:
        act = open_activity(close_timeout=0.1, fail_on_exception=True)

        async def work() -> None:
            async with act:
                act.heartbeat(1)
                raise leaving

        with pytest.raises(leaving):
            await work()
        with pytest.raises(thb.InvalidHandleError):
            act.touch()

    run(main())


def test_an_unclosed_activity_warns_when_deleted_and_frees_its_token(
    connected: BlackHole,
) -> None:
    def drop() -> None:
        open_activity()
        gc.collect()

    async def main() -> None:
        with pytest.warns(ResourceWarning, match="unclosed"):
            drop()
        async with open_activity() as act:
            assert act.info["state"] == "open"

    run(main())


def test_no_descriptor_leaks(connected: BlackHole) -> None:
    run(until_the_lease_is_lost())
    before = descriptors()
    for _ in range(3):
        run(until_the_lease_is_lost())
    # The server of this test opens and closes descriptors of this process too.
    end = time.monotonic() + 20
    while descriptors() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert descriptors() <= before
