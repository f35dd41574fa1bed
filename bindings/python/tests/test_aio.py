"""The functions of `aio`: their results, cancellations, event loops, and no threads."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import inspect
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, Callable

import pytest
from support import BlackHole, Recorder, requires
from test_active_codec import SECRET, OtherReversing
from test_activity_aio import descriptors
from test_codec import Reversing

import temporal_heartbeat as thb
from temporal_heartbeat import Payload, Signals, _queue, aio

FUNCTIONS = ["connect", "disconnect", "heartbeat", "get_details", "complete", "fail"]
FUNCTIONS += ["report_cancelled"]


def run(main: Coroutine[Any, Any, Any]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(main, 30)

    asyncio.run(limited())


async def until_sent(server: Recorder, token: bytes) -> None:
    while token not in server.received:
        await asyncio.sleep(0.005)


@pytest.fixture
def silent(recorder: Recorder) -> Recorder:
    """A connection to a server that answers nothing until ``answers`` is set."""
    thb.connect(address=recorder.address, compression="none")
    recorder.answers.clear()
    return recorder


def test_the_functions_have_the_names_and_the_arguments_of_those_for_threads() -> None:
    assert dir(aio) == sorted([*FUNCTIONS, "Activity", "track"])
    for name in FUNCTIONS:
        mine, other = getattr(aio, name), getattr(thb, name)
        assert inspect.signature(mine).parameters == inspect.signature(other).parameters
        assert inspect.iscoroutinefunction(mine)
        assert inspect.getdoc(mine)


def program(lines: str, *arguments: str) -> str:
    head = """
        import asyncio, os, sys, threading
        import temporal_heartbeat as thb
        from temporal_heartbeat import Signals, aio
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(lines), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_ten_thousand_tasks_get_their_own_results_without_a_thread(recorder: Recorder) -> None:
    requires("/proc/self/task", os.path.isdir("/proc/self/task"))
    program(
        """
        def threads():
            return threading.active_count(), len(os.listdir("/proc/self/task"))

        async def main():
            await aio.connect(sys.argv[1], compression="none")
            before = threads()
            most = []

            async def beat(number):
                signals = await aio.heartbeat(b"signals-%d.%d" % (number % 8, number), number)
                assert signals == number % 8 and type(signals) is Signals, (signals, number)
                if number % 1000 == 0:
                    most.append(threads())

            await asyncio.gather(*(beat(number) for number in range(10_000)))
            # The library's own thread, which connect began.
            assert before[0] == 1 and before[1] <= 2 and set(most) == {before}, (before, most)
            await aio.disconnect()

        asyncio.run(main())
        """,
        recorder.address,
    )


CASES: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "silent": ("heartbeat", (b"t", 1), {"timeout": 0.2}),
    "silent complete": ("complete", (b"t", 1), {"timeout": 0.2}),
    "timeout 0": ("complete", (b"t", 1), {"timeout": 0}),
    "invalid timeout": ("fail", (b"t", "m"), {"timeout": -1}),
    "no details": ("heartbeat", (b"t",), {}),
    "clear with details": ("heartbeat", (b"t", 1), {"clear": True}),
    "token of text": ("heartbeat", ("t", 1), {}),
    "empty token": ("complete", (b"",), {}),
    "unreadable token": ("get_details", (b"\xff garbage",), {}),
    "no JSON": ("report_cancelled", (b"t", object()), {}),
    "too large": ("complete", (b"t", b"x" * 2_097_152), {}),
    "too large failure": ("fail", (b"t", "x" * 2_097_152), {}),
    "unknown key": ("fail", (b"t", "m"), {"cause": {"mesage": "typo"}}),
    "no codec": ("heartbeat", (b"t", 1), {"data_converter": 5}),
    "held": ("complete", (b"held", 1), {}),
    "connected": ("connect", (), {}),
    "unknown option": ("connect", (), {"api_kee": "x"}),
    "invalid option": ("connect", ("no port",), {}),
    "invalid timeout of disconnect": ("disconnect", (), {"timeout": -1}),
}


@pytest.mark.parametrize("case", CASES)
def test_errors_are_those_of_the_functions_for_threads(silent: Recorder, case: str) -> None:
    name, arguments, options = CASES[case]
    with thb.Activity(b"held", initial_details=[], heartbeat_timeout=30, close_timeout=0):
        with pytest.raises(Exception) as theirs:  # noqa: PT011 - any
            getattr(thb, name)(*arguments, **options)
        with pytest.raises(type(theirs.value)) as mine:
            run(getattr(aio, name)(*arguments, **options))
    if case in ("silent", "silent complete"):
        return  # the messages have the number of tries
    assert str(mine.value) == str(theirs.value)
    if isinstance(theirs.value, thb.Error):
        assert vars(mine.value) == vars(theirs.value)


@pytest.mark.parametrize("name", ["heartbeat", "get_details", "complete", "fail"])
def test_a_call_before_connect_is_not_connected(disconnected: None, name: str) -> None:
    arguments = () if name in ("get_details", "complete") else ("1",)
    with pytest.raises(thb.NotConnectedError):
        run(getattr(aio, name)(b"t", *arguments))
    run(aio.disconnect())


def test_a_cancelled_task_cancels_its_call(silent: Recorder) -> None:
    async def main() -> None:
        calls = [
            asyncio.create_task(aio.heartbeat(b"token-%d." % number, 1, timeout=None))
            for number in range(20)
        ]
        ending = asyncio.create_task(aio.complete(b"ended.", "done", timeout=None))
        waiting = asyncio.create_task(aio.heartbeat(b"token-0.", "never sent", timeout=None))
        for number in range(20):
            await until_sent(silent, b"token-%d." % number)
        await until_sent(silent, b"ended.")
        for call in (waiting, ending, *calls):
            call.cancel()
        outcomes = await asyncio.gather(ending, waiting, *calls, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {asyncio.CancelledError}
        # The calls of a token are sent one at a time, so the cancelled ones have ended.
        silent.answers.set()
        await asyncio.gather(
            *(aio.heartbeat(b"token-%d." % number, "newer", timeout=20) for number in range(20)),
        )
        assert b"never sent" not in silent.received

    run(main())


def test_a_call_that_is_cancelled_before_it_is_awaited_sends_nothing(silent: Recorder) -> None:
    silent.answers.set()

    async def main() -> None:
        call = asyncio.create_task(aio.complete(b"unsent", 1))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await aio.heartbeat(b"sent", 1)

    run(main())
    assert b"unsent" not in silent.received


def test_disconnect_ends_the_calls(silent: Recorder) -> None:
    async def main() -> None:
        calls = [
            asyncio.create_task(aio.heartbeat(b"token-%d" % number, 1, timeout=None))
            for number in range(100)
        ]
        await until_sent(silent, b"token-99")
        await aio.disconnect(timeout=0)
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {thb.NotConnectedError}
        silent.answers.set()
        await aio.connect(silent.address)
        assert await aio.heartbeat(b"token", 1) == Signals(0)

    run(main())


def test_one_activity_is_ended_by_one_call(silent: Recorder) -> None:
    silent.answers.set()

    async def main() -> None:
        await aio.complete(b"c", "the result")
        await aio.fail(b"f", ValueError("the fault"), heartbeat_details=[b"the progress"])
        await aio.report_cancelled(b"r", "the reason")
        assert await aio.heartbeat(b"signals-1.", clear=True) == Signals.CANCEL_REQUESTED

    run(main())
    for sent in (b'"the result"', b"the fault", b"the progress", b'"the reason"'):
        assert sent in silent.received


@pytest.mark.parametrize("ends", ["run", "close"])
def test_an_event_loop_may_end_with_calls_outstanding(silent: Recorder, ends: str) -> None:
    def end_with_calls() -> None:
        async def main() -> None:
            for number in range(20):
                call = aio.heartbeat(b"token-%d." % number, 1, timeout=None)
                tasks.append(asyncio.ensure_future(call))
            await until_sent(silent, b"token-19.")
            # It waits for the first call of its token.
            call = aio.heartbeat(b"token-19.", "never sent", timeout=None)
            tasks.append(asyncio.ensure_future(call))
            await asyncio.sleep(0)

        tasks: list[asyncio.Future[Signals]] = []
        if ends == "run":
            asyncio.run(main())
            assert all(task.cancelled() for task in tasks)
            return
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
        for task in tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]

    end_with_calls()
    before = descriptors()
    for _ in range(3):
        end_with_calls()
    # The next event loop cancels the calls of closed ones.
    with pytest.raises(thb.TimeoutError):
        run(aio.heartbeat(b"t", 1, timeout=0))
    silent.answers.set()
    for _ in range(2):
        run(aio.heartbeat(b"token-19.", "newer", timeout=20))
    if ends == "close":  # asyncio.run cancels its tasks in any order
        assert b"never sent" not in silent.received
    assert len(_queue._queues) == 1
    assert descriptors() <= before


def test_event_loops_of_several_threads_have_their_own_calls(silent: Recorder) -> None:
    silent.answers.set()
    results: list[list[Signals]] = []

    async def main() -> None:
        calls = (aio.heartbeat(b"signals-%d.%d" % (at % 8, at), 1) for at in range(400))
        results.append(await asyncio.gather(*calls))

    threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == [[Signals(at % 8) for at in range(400)]] * 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_makes_its_own_calls(silent: Recorder) -> None:
    async def in_child() -> None:
        assert await aio.heartbeat(b"signals-5.child", 1, timeout=20) == Signals(5)
        assert len(_queue._queues) == 1
        async with aio.Activity(b"of child", initial_details=[], heartbeat_timeout=30) as act:
            await act.wait(timeout=0.01)

    async def main() -> None:
        call = asyncio.create_task(aio.heartbeat(b"signals-3.parent", 1, timeout=None))
        await until_sent(silent, b"signals-3.parent")
        descriptor = _queue.running_queue()._descriptor
        child = os.fork()
        if child == 0:
            status = 1
            with contextlib.suppress(BaseException):
                with pytest.raises(OSError, match="Bad file descriptor"):
                    os.fstat(descriptor)
                asyncio.run(asyncio.wait_for(in_child(), 20))
                status = 0
            os._exit(status)
        await until_sent(silent, b"signals-5.child")
        silent.answers.set()
        assert await call == Signals(3)
        _, ended = await asyncio.to_thread(os.waitpid, child, 0)
        assert os.waitstatus_to_exitcode(ended) == 0

    run(main())


def test_one_connect_at_a_time(recorder: Recorder) -> None:
    recorder.answers.clear()

    async def main() -> None:
        options: Any = {"compression": "none", "data_converter": OtherReversing()}
        first = asyncio.create_task(aio.connect(recorder.address, connect_timeout=30, **options))
        await asyncio.to_thread(recorder.wait_for_requests, 1)
        with pytest.raises(thb.AlreadyConnectedError, match="connecting"):
            await aio.connect("127.0.0.1:1", lazy=True, data_converter=Reversing())
        with pytest.raises(thb.AlreadyConnectedError, match="connecting"):
            await asyncio.to_thread(thb.connect, "127.0.0.1:1", lazy=True)
        with pytest.raises(thb.NotConnectedError):
            await aio.heartbeat(b"t", 1)
        recorder.answers.set()
        await first
        await aio.heartbeat(b"t", SECRET)
        assert b"binary/other" in recorder.received, "a refused connect activated its codec"
        await aio.disconnect()

    run(main())


def test_a_cancelled_connect_has_ended(disconnected: None, black_hole: BlackHole) -> None:
    async def main() -> None:
        for _ in range(2):
            connecting = asyncio.create_task(aio.connect(black_hole.address, connect_timeout=30))
            await asyncio.to_thread(black_hole.wait_for_request)
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
        await aio.connect("127.0.0.1:1", lazy=True)

    run(main())


def test_a_connect_ends_with_its_event_loop(disconnected: None, black_hole: BlackHole) -> None:
    loop = asyncio.new_event_loop()
    connecting = loop.create_task(aio.connect(black_hole.address, connect_timeout=600))
    loop.run_until_complete(asyncio.sleep(0))
    with pytest.raises(thb.AlreadyConnectedError, match="connecting"):
        thb.connect("127.0.0.1:1", lazy=True)
    loop.close()
    connecting._log_destroy_pending = False  # type: ignore[attr-defined]
    thb.connect("127.0.0.1:1", lazy=True)


def test_values_are_encoded_during_connects(recorder: Recorder) -> None:
    async def main() -> None:
        async def beat(token: bytes) -> None:
            while True:
                with contextlib.suppress(thb.NotConnectedError):
                    await aio.heartbeat(token, SECRET)
                    return
                await asyncio.sleep(0)

        for number in range(10):
            beating = asyncio.create_task(beat(b"token-%d." % number))
            await aio.connect(
                recorder.address,
                lazy=bool(number % 2),
                compression="none",
                data_converter=Reversing(),
            )
            await beating
            await aio.disconnect(timeout=0)

    run(main())
    assert recorder.received.count(b"binary/reversed") == 10
    assert SECRET.encode() not in recorder.received


class WithCoroutines:
    """A codec whose coroutines wait, and fail if they run in the event loop of the caller."""

    def __init__(self, event_loop_thread: int) -> None:
        self._codec = OtherReversing()
        self._event_loop_thread = event_loop_thread

    async def encode(self, payloads: Sequence[Payload], /) -> Sequence[Payload]:
        await asyncio.sleep(0.01)
        assert threading.get_ident() != self._event_loop_thread
        return self._codec.encode(payloads)

    async def decode(self, payloads: Sequence[Payload], /) -> Sequence[Payload]:
        await asyncio.sleep(0.01)
        return self._codec.decode(payloads)


def test_a_codec_with_coroutines_does_not_block_the_event_loop(silent: Recorder) -> None:
    silent.answers.set()

    async def main() -> None:
        codec = WithCoroutines(threading.get_ident())
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0.001)
                turns += 1

        counting = asyncio.create_task(count())
        calls: list[Callable[..., Coroutine[Any, Any, Any]]] = [
            aio.heartbeat,
            aio.complete,
            aio.report_cancelled,
        ]
        for call in calls:
            await call(b"t", SECRET, data_converter=codec)
        async with aio.Activity(b"held", initial_details=[], data_converter=codec) as act:
            await act.complete(SECRET)
        counting.cancel()
        assert turns > 4

    run(main())
    assert silent.received.count(b"binary/other") == 4
    assert SECRET.encode() not in silent.received


def test_the_end_of_a_block_can_be_cancelled(silent: Recorder) -> None:
    async def main() -> None:
        act = aio.Activity(b"held", initial_details=[], heartbeat_timeout=30, close_timeout=None)

        async def work() -> None:
            async with act:
                act.heartbeat(1)
                await asyncio.sleep(0)
                raise ZeroDivisionError

        working = asyncio.create_task(work())
        await until_sent(silent, b"ZeroDivisionError")
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        with pytest.raises(thb.InvalidHandleError):
            act.touch()
        silent.answers.set()
        await aio.complete(b"held", timeout=20)  # its token is free

    run(main())


OTHER_LOOPS = {
    "uvloop": """
        import uvloop
        uvloop.run(main(asyncio.sleep, asyncio.TimeoutError, asyncio.wait_for))
    """,
    "trio": """
        import trio

        async def within(call, seconds):
            with trio.fail_after(seconds):
                return await call

        trio.run(main, trio.sleep, trio.TooSlowError, within)
        # The next run has its own queue.
        trio.run(main, trio.sleep, trio.TooSlowError, within)
    """,
    "anyio": """
        import anyio

        async def within(call, seconds):
            with anyio.fail_after(seconds):
                return await call

        anyio.run(main, anyio.sleep, TimeoutError, within, backend="trio")
        anyio.run(main, anyio.sleep, TimeoutError, within, backend="asyncio")
    """,
}


@pytest.mark.parametrize("name", OTHER_LOOPS)
def test_other_event_loops(recorder: Recorder, name: str) -> None:
    requires(name, importlib.util.find_spec(name) is not None)
    said = program(
        """
        class Codec:
            async def encode(self, payloads):
                return [thb.Payload(b"reversed" + one.data[::-1], {"encoding": b"mine"})
                        for one in payloads]

            async def decode(self, payloads):
                return payloads

        async def main(sleep, timeout, within):
            await aio.connect(sys.argv[1], compression="none")
            for number in range(100):
                assert await aio.heartbeat(b"signals-%d." % (number % 8), 1) == number % 8
            await aio.heartbeat(b"t", "wen", data_converter=Codec())
            async with aio.Activity(b"held", initial_details=[41], heartbeat_timeout=30) as act:
                assert await act.details(default=0) == 41
                assert await act.wait(timeout=0.01) == 0
                act.heartbeat(42)
                await act.flush()
                try:
                    await within(act.wait(), 0.01)
                except timeout:
                    print("cancelled")
                await act.complete("done")

            async def work():
                async with aio.Activity(b"cancelled", initial_details=[41]) as act:
                    act.heartbeat(42)
                    await act.flush()
                    act.heartbeat("the newest")
                    await sleep(20)

            try:
                await within(work(), 0.1)
            except timeout:
                print("cancelled")
            try:
                await aio.heartbeat(b"t")
            except ValueError:
                await aio.disconnect()
            try:
                await aio.heartbeat(b"t", 1)
            except thb.NotConnectedError:
                print("ended")
        """
        + OTHER_LOOPS[name],
        recorder.address,
    )
    times = 1 if name == "uvloop" else 2
    assert said == "cancelled\ncancelled\nended\n" * times
    assert recorder.received.count(b"the newest") == times
    assert b'"done"' in recorder.received
    assert b'reversed"new"' in recorder.received


def test_no_other_event_loop_is_imported(recorder: Recorder) -> None:
    program(
        """
        asyncio.run(aio.connect(sys.argv[1]))
        assert not {"trio", "anyio", "sniffio", "uvloop"} & set(sys.modules)
        """,
        recorder.address,
    )
