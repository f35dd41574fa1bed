"""An activity that is held open in Python: the library beats for it, whatever Python does."""

import contextlib
import time
from collections.abc import Iterator
from typing import Protocol

import pytest
from temporalio.exceptions import CancelledError

from harness.activities import Kind
from harness.children import Child
from harness.proxy import Proxy
from harness.server import NAMESPACE, Server
from harness.signals import Signals
from harness.stage import StartActivity
from harness.worker import Backstage

GONE, LEASE_LOST, STALLED = 8, 16, 32

# Longer than the second of other scenarios: here a beat is a process of its own, on a machine that may be busy.
TIMEOUT = {"heartbeat_timeout_ms": 2_000}
TOLD = {"HEARTBEAT_TIMEOUT_MS": "2000"}


class StartChild(Protocol):
    """Starts a child that does these lines, connected to the server unless another address is given."""

    def __call__(self, lines: str, address: str = ...) -> Child: ...


@pytest.fixture
def start_child(server: Server) -> Iterator[StartChild]:
    with contextlib.ExitStack() as started:

        def start(lines: str, address: str = server.address) -> Child:
            child = Child(lines, {"TEMPORAL_ADDRESS": address, "TEMPORAL_NAMESPACE": NAMESPACE})
            started.callback(child.close)
            assert child.hears() == ["ready"]
            return child

        yield start


@pytest.fixture(params=["threads", "asyncio"])
def flavour(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


THREE_ITEMS = {
    "threads": """
        with thb.Activity.from_env() as act:
            first = act.details(default=-1) + 1
            for item in range(first, first + 3):
                act.heartbeat(item)
            act.flush()
            say(first)
            if first:
                act.complete(item)
            else:
                signal.pause()
    """,
    "asyncio": """
        async def main():
            async with aio.Activity.from_env() as act:
                first = await act.details(default=-1) + 1
                for item in range(first, first + 3):
                    act.heartbeat(item)
                await act.flush()
                say(first)
                if first:
                    await act.complete(item)
                else:
                    await asyncio.Future()
        asyncio.run(main())
    """,
}


def test_killed_child_in_python_resumes_after_last_item(
    flavour: str, kind: Kind, start: StartActivity, start_child: StartChild
) -> None:
    first, second = (start_child(THREE_ITEMS[flavour]) for _ in range(2))
    activity = start(kind, **TIMEOUT)
    first.takes(activity.next_attempt(), **TOLD)
    assert first.hears() == [0]
    first.kill()

    retry = activity.next_attempt()
    assert (retry.number, retry.details) == (2, [2])
    second.takes(retry, **TOLD)
    assert second.hears() == [3]
    second.ends()
    assert activity.result() == 5


WAIT_TO_BE_CANCELLED = {
    "threads": """
        with thb.Activity.from_env() as act:
            act.heartbeat(41)
            act.flush()
            say("ready")
            say(act.wait(thb.Signals.CANCEL_REQUESTED))
            try:
                act.raise_if_cancelled()
            except thb.Cancelled as cancelled:
                act.report_cancelled("cleaned up", str(cancelled))
    """,
    "asyncio": """
        async def main():
            async with aio.Activity.from_env() as act:
                act.heartbeat(41)
                await act.flush()
                say("ready")
                say(await act.wait(thb.Signals.CANCEL_REQUESTED))
                try:
                    act.raise_if_cancelled()
                except thb.Cancelled as cancelled:
                    await act.report_cancelled("cleaned up", str(cancelled))
        asyncio.run(main())
    """,
}


def test_cancellation_is_seen_within_the_throttle_interval_without_any_call(
    flavour: str, kind: Kind, start: StartActivity, start_child: StartChild
) -> None:
    child = start_child(WAIT_TO_BE_CANCELLED[flavour])
    activity = start(kind, heartbeat_timeout_ms=4_000)
    child.takes(activity.next_attempt(), HEARTBEAT_TIMEOUT_MS="4000")
    assert child.hears() == ["ready"]
    activity.request_cancel()
    began = time.monotonic()
    assert child.hears() == [Signals.CANCEL_REQUESTED]
    # The interval is half of the timeout; the other half is for a busy machine.
    assert time.monotonic() - began < 4
    child.ends()
    error = activity.failure()
    assert isinstance(error, CancelledError)
    assert error.details[0] == "cleaned up"
    assert "cancellation was requested" in error.details[1]


def test_pulse_keeps_the_activity_alive_and_the_details_of_the_attempt_before(
    kind: Kind, start: StartActivity, start_child: StartChild
) -> None:
    record = """
        act = thb.Activity.from_env()
        act.heartbeat({"item": 41})
        act.flush()
        say("recorded")
        signal.pause()
    """
    idle = """
        with thb.Activity.from_env() as act:
            time.sleep(6)  # it is the time that is to pass
            say(act.info)
            sys.stdin.readline()
            act.complete("idle")
    """
    first, second = start_child(record), start_child(idle)
    activity = start(kind, **TIMEOUT)
    first.takes(activity.next_attempt(), **TOLD)
    assert first.hears() == ["recorded"]
    first.kill()

    retry = activity.next_attempt()
    assert retry.number == 2
    second.takes(retry, **TOLD)
    [info] = second.hears()
    assert info["state"] == "open"
    assert info["records"] == 0
    assert info["beats"] >= 3
    assert activity.heartbeat_details() == [{"item": 41}]
    second.tells()
    second.ends()
    assert activity.result() == "idle"


def test_hung_child_is_retried_and_a_touching_one_is_not(start: StartActivity, start_child: StartChild) -> None:
    touch = """
        with thb.Activity.from_env(stall_timeout=1) as act:
            while not select.select([sys.stdin], [], [], 0.1)[0]:
                act.touch()
            act.complete("slow, but alive")
    """
    hang = """
        act = thb.Activity.from_env(stall_timeout=1)
        act.heartbeat(41)
        signals = act.wait(thb.Signals.STALLED)
        say(signals)
        signal.pause()
    """
    alive, dead = start_child(touch), start_child(hang)
    touching, hung = start("workflow", **TIMEOUT), start("workflow", **TIMEOUT)
    alive.takes(touching.next_attempt(), **TOLD)
    dead.takes(hung.next_attempt(), **TOLD)
    [signals] = dead.hears()
    assert signals & STALLED
    retry = hung.next_attempt()
    assert (retry.number, retry.details) == (2, [41])
    alive.tells()
    alive.ends()
    assert touching.result() == "slow, but alive"


def test_frozen_child_learns_on_waking_that_its_lease_is_lost(start: StartActivity, start_child: StartChild) -> None:
    lines = """
        act = thb.Activity.from_env()
        act.heartbeat(0)
        act.flush()
        say("working")
        before = time.monotonic()
        while True:
            try:
                signals = act.heartbeat(1)
            except thb.NotFoundError:
                signals = thb.Signals.GONE  # the server's answer was here first
            now = time.monotonic()
            if signals or now - before > 2:  # which it is after the freeze at the latest
                break
            before = now
            time.sleep(0.01)
        say(signals)
    """
    child = start_child(lines)
    activity = start("workflow", **TIMEOUT)
    child.takes(activity.next_attempt(), **TOLD)
    assert child.hears() == ["working"]
    child.freezes()
    assert activity.next_attempt().number == 2
    child.thaws()
    [signals] = child.hears()
    assert signals & LEASE_LOST or signals == GONE


def test_failure_right_after_a_heartbeat_carries_its_details(
    kind: Kind, start: StartActivity, start_child: StartChild
) -> None:
    activity = start(kind)
    lines = """
        with thb.Activity.from_env(fail_on_exception=True) as act:
            act.heartbeat(40)
            act.flush()
            act.heartbeat(41)
            raise RuntimeError("a fault")
    """
    start_child(lines).takes(activity.next_attempt())
    retry = activity.next_attempt()
    assert (retry.number, retry.details) == (2, [41])


def test_exception_that_leaves_the_block_fails_nothing_unless_asked_to(
    start: StartActivity, start_child: StartChild
) -> None:
    activity = start("workflow")
    lines = """
        token = thb.token_from_env()
        try:
            with thb.Activity(token) as act:
                act.heartbeat(41)
                raise RuntimeError("a fault")
        except RuntimeError as fault:
            say(str(fault))
        with thb.Activity(token) as act:
            act.complete(act.details()[0])
    """
    child = start_child(lines)
    child.takes(activity.next_attempt())
    assert child.hears() == ["a fault"]
    child.ends()
    assert activity.result() == 41


def test_pause_is_waited_for_and_so_is_its_end(
    flavour: str, kind: Kind, start: StartActivity, start_child: StartChild
) -> None:
    lines = {
        "threads": """
            with thb.Activity.from_env() as act:
                PAUSED = thb.Signals.PAUSED
                act.heartbeat(41)
                say(act.wait(PAUSED))
                say(act.wait(PAUSED, known=PAUSED))
                act.complete("done")
        """,
        "asyncio": """
            async def main():
                async with aio.Activity.from_env() as act:
                    PAUSED = thb.Signals.PAUSED
                    act.heartbeat(41)
                    say(await act.wait(PAUSED))
                    say(await act.wait(PAUSED, known=PAUSED))
                    await act.complete("done")
            asyncio.run(main())
        """,
    }
    child = start_child(lines[flavour])
    activity = start(kind, **TIMEOUT)
    child.takes(activity.next_attempt(), **TOLD)
    activity.pause()
    assert child.hears() == [Signals.PAUSED]
    activity.unpause()
    assert child.hears() == [Signals.NONE]
    child.ends()
    assert activity.result() == "done"


@pytest.mark.parametrize("end", ["act.close()", "thb.disconnect()"])
def test_what_was_recorded_last_is_sent_at_the_end(
    end: str, kind: Kind, start: StartActivity, start_child: StartChild
) -> None:
    activity = start(kind)
    lines = f"""
        act = thb.Activity.from_env()
        act.heartbeat(0)
        act.flush()
        for item in range(1000):
            act.heartbeat(item)
        beats = act.info["beats"]
        {end}
        say(beats)
    """
    child = start_child(lines)
    child.takes(activity.next_attempt(), HEARTBEAT_TIMEOUT_MS="30000")
    assert child.hears() == [1]
    assert activity.heartbeat_details() == [999]


def test_busy_event_loop_is_kept_alive_and_hears_of_the_cancellation_later(
    start: StartActivity, start_child: StartChild
) -> None:
    """Whatever blocks the loop, or holds the GIL, doesn't hold the beats."""
    lines = """
        async def main():
            async with aio.Activity.from_env() as act:
                act.heartbeat(41)
                waiting = asyncio.create_task(act.wait(thb.Signals.CANCEL_REQUESTED))
                await asyncio.sleep(0)
                say("hanging")
                until = time.monotonic() + 5
                while time.monotonic() < until:
                    pow(3, 200_000)
                say(act.signals & thb.Signals.LEASE_LOST, await waiting)
                await act.report_cancelled()
        asyncio.run(main())
    """
    child = start_child(lines)
    activity = start("workflow", **TIMEOUT)
    child.takes(activity.next_attempt(), **TOLD)
    assert child.hears() == ["hanging"]
    activity.request_cancel()
    assert child.hears() == [0, Signals.CANCEL_REQUESTED]
    child.ends()
    assert isinstance(activity.failure(), CancelledError)


@pytest.mark.parametrize(("age_ms", "signals"), [("1000", 0), ("90000", LEASE_LOST)])
def test_age_that_was_handed_over_is_taken_from_the_lease_until_the_first_answer(
    age_ms: str, signals: int, start: StartActivity, start_child: StartChild
) -> None:
    lines = """
        # Without a pulse nothing is sent that would win the lease back.
        with thb.Activity.from_env(pulse=False) as act:
            say(act.signals, act.info["lease_left_ms"])
            act.heartbeat(41)
            act.flush()
            say(act.signals, act.info["lease_left_ms"], act.info["leases_regained"])
            act.complete("done")
    """
    child = start_child(lines)
    activity = start("workflow", heartbeat_timeout_ms=60_000)
    child.takes(activity.next_attempt(), HEARTBEAT_TIMEOUT_MS="60000", AGE_MS=age_ms)
    seen, left = child.hears()
    assert seen == signals
    assert left <= 59_000
    seen, left, regained = child.hears()
    assert (seen, regained) == (0, int(signals == LEASE_LOST))
    assert 0 < left <= 60_000
    child.ends()
    assert activity.result() == "done"


def test_child_that_must_encode_sends_nothing_that_anybody_can_read(
    flavour: str, kind: Kind, start: StartActivity, start_child: StartChild
) -> None:
    lines = {
        "threads": """
            with thb.Activity.from_env() as act:
                sealed = thb.Payload(b"sealed", {"encoding": b"binary/encrypted"})
                refused = 0
                for send in (act.heartbeat, act.complete, act.report_cancelled):
                    try:
                        send("readable")
                    except thb.InvalidArgumentError as error:
                        refused += "encode" in str(error)
                act.heartbeat(sealed)
                act.flush()
                stored = thb.get_details(thb.token_from_env())
                say(refused, [[payload.data.decode() for payload in stored.payloads], act.info["state"]])
                act.complete(None)
        """,
        "asyncio": """
            async def main():
                async with aio.Activity.from_env() as act:
                    sealed = thb.Payload(b"sealed", {"encoding": b"binary/encrypted"})
                    refused = 0
                    for send in (act.complete, act.report_cancelled):
                        try:
                            await send("readable")
                        except thb.InvalidArgumentError as error:
                            refused += "encode" in str(error)
                    try:
                        act.heartbeat("readable")
                    except thb.InvalidArgumentError as error:
                        refused += "encode" in str(error)
                    act.heartbeat(sealed)
                    await act.flush()
                    stored = thb.get_details(thb.token_from_env())
                    say(refused, [[payload.data.decode() for payload in stored.payloads], act.info["state"]])
                    await act.complete(None)
            asyncio.run(main())
        """,
    }
    child = start_child(lines[flavour])
    activity = start(kind)
    attempt = activity.next_attempt()
    child.takes(attempt, REQUIRE_ENCODED="true")
    assert child.hears() == [3, [["sealed"], "open"]]
    child.ends()
    assert activity.result() is None


def test_end_whose_answer_was_lost_is_looked_up(
    flavour: str, kind: Kind, start: StartActivity, proxy: Proxy, start_child: StartChild
) -> None:
    lines = {
        "threads": """
            with thb.Activity.from_env(verify=True) as act:
                act.heartbeat(41)
                act.flush()
                say("ready")
                sys.stdin.readline()
                act.complete("done", timeout=30)
                say(act.info["state"])
        """,
        "asyncio": """
            async def main():
                async with aio.Activity.from_env(verify=True) as act:
                    act.heartbeat(41)
                    await act.flush()
                    say("ready")
                    sys.stdin.readline()
                    await act.complete("done", timeout=30)
                    say(act.info["state"])
            asyncio.run(main())
        """,
    }
    child = start_child(lines[flavour], proxy.address)
    activity = start(kind)
    # An end waits for an answer that is under way, and here it would be lost: there is nothing to ask.
    child.takes(activity.next_attempt(), HEARTBEAT_TIMEOUT_MS="30000")
    assert child.hears() == ["ready"]
    proxy.lose_answers()
    child.tells()
    assert activity.result() == "done"
    proxy.cut()
    assert child.hears() == ["ended"]
    child.ends()


BY_IDS = """
    with thb.Activity.from_env() as act:
        say(act.details(default=None))
        act.heartbeat(42)
        act.flush()
        say(act.info["attempt"])
        signals = act.wait(thb.Signals.GONE)
        try:
            act.complete("too late")
        except thb.NotFoundError:
            say(signals)
"""


def test_superseded_holder_by_ids_is_gone_and_feeds_nobody(
    kind: Kind, start: StartActivity, start_child: StartChild, backstage: Backstage
) -> None:
    child = start_child(BY_IDS)
    activity = start(kind, heartbeat_timeout_ms=3_000)
    attempt = activity.next_attempt()
    variables = {"HEARTBEAT_TIMEOUT_MS": "3000", "ATTEMPT": "1"}
    names = {"workflow_id": "WORKFLOW_ID", "run_id": "RUN_ID", "activity_id": "ID"}
    child.takes_over(**variables, **{names[name]: value for name, value in activity.ids().items()})
    assert child.hears() == [None]
    assert child.hears() == [1]
    backstage.fail(attempt.token)
    second = activity.next_attempt()
    assert (second.number, second.details) == (2, [42])
    [signals] = child.hears()
    assert signals & GONE
    child.ends()
    assert activity.heartbeat_details() == [42]


RESET = {
    "threads": """
        with thb.Activity.from_env(fail_on_exception=True) as act:
            first = act.details(default=0)
            act.heartbeat(first + 1)
            act.flush()
            say(first)
            while first == 0:
                act.wait(thb.Signals.RESET)
                act.raise_if_cancelled()
            act.complete(first)
    """,
    "asyncio": """
        async def main():
            async with aio.Activity.from_env(fail_on_exception=True) as act:
                first = await act.details(default=0)
                act.heartbeat(first + 1)
                await act.flush()
                say(first)
                while first == 0:
                    await act.wait(thb.Signals.RESET)
                    act.raise_if_cancelled()
                await act.complete(first)
        try:
            asyncio.run(main())
        except thb.Cancelled:
            pass
    """,
}


def test_reset_ends_the_attempt_and_another_goes_on(
    flavour: str, kind: Kind, start: StartActivity, start_child: StartChild
) -> None:
    first, second = (start_child(RESET[flavour]) for _ in range(2))
    activity = start(kind, heartbeat_timeout_ms=4_000)
    first.takes(activity.next_attempt(), HEARTBEAT_TIMEOUT_MS="4000")
    assert first.hears() == [0]
    activity.reset()
    retry = activity.next_attempt()
    assert retry.details == [1]
    second.takes(retry, HEARTBEAT_TIMEOUT_MS="4000")
    assert second.hears() == [1]
    second.ends()
    assert activity.result() == 1
