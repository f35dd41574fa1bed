"""An open activity in Python: `with` blocks, exceptions, payloads and event loops."""

import base64
import contextlib
import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import pytest
from temporalio.exceptions import CancelledError

from harness.activities import Kind
from harness.fixtures import StartActivity
from harness.languages import library_environment
from harness.paths import ROOT
from harness.process import Process
from harness.server import NAMESPACE, Server
from harness.signals import Signals
from harness.worker import Attempt

# Longer than the 1 s of other scenarios, because the child is a separate process on a possibly busy machine.
TIMEOUT = {"heartbeat_timeout_ms": 2_000}
HANDED_OVER = {"HEARTBEAT_TIMEOUT_MS": "2000"}


HEAD = """
    import asyncio, json, os, select, signal, sys, time
    import temporal_heartbeat as thb
    from temporal_heartbeat import aio

    def report(*values):
        print(json.dumps(values), flush=True)

    thb.connect()
    report("ready")
    os.environ.update(json.loads(sys.stdin.readline()))
"""


class PythonChild(Process):
    """A process that runs lines with the library, and reports values.

    It connects before the hand-off, so that its start takes no time of the attempt. The lines run after the
    hand-off.
    """

    def __init__(self, lines: str, environment: Mapping[str, str]) -> None:
        super().__init__(
            [sys.executable, "-c", textwrap.dedent(HEAD) + textwrap.dedent(lines)],
            library_environment() | {"PYTHONPATH": str(ROOT / "bindings" / "python")} | dict(environment),
        )

    def hand_over(self, attempt: Attempt, **variables: str) -> None:
        """Hands over the token and further variables of the hand-off."""
        variables["TASK_TOKEN"] = base64.b64encode(attempt.token).decode()
        self.write_line(json.dumps({f"TEMPORAL_ACTIVITY_{name}": value for name, value in variables.items()}))

    def receive(self) -> list[Any]:
        """Returns the child's next report."""
        values: list[Any] = json.loads(self.read_line())
        return values


class StartChild(Protocol):
    """Starts a child that runs these lines, connected to the server."""

    def __call__(self, lines: str) -> PythonChild: ...


@pytest.fixture
def start_child(server: Server) -> Iterator[StartChild]:
    with contextlib.ExitStack() as stack:

        def start(lines: str) -> PythonChild:
            child = PythonChild(lines, {"TEMPORAL_ADDRESS": server.address, "TEMPORAL_NAMESPACE": NAMESPACE})
            stack.enter_context(child)
            assert child.receive() == ["ready"]
            return child

        yield start


@pytest.fixture(params=["threads", "asyncio"])
def flavour(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


WAIT_TO_BE_CANCELLED = {
    "threads": """
        with thb.Activity.from_env() as act:
            act.heartbeat(41)
            act.flush()
            report("ready")
            report(act.wait(thb.Signals.CANCEL_REQUESTED))
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
                report("ready")
                report(await act.wait(thb.Signals.CANCEL_REQUESTED))
                try:
                    act.raise_if_cancelled()
                except thb.Cancelled as cancelled:
                    await act.report_cancelled("cleaned up", str(cancelled))
        asyncio.run(main())
    """,
}


def test_cancellation_is_an_exception_that_names_its_reason(
    flavour: str, kind: Kind, start: StartActivity, start_child: StartChild
) -> None:
    child = start_child(WAIT_TO_BE_CANCELLED[flavour])
    activity = start(kind, heartbeat_timeout_ms=4_000)
    child.hand_over(activity.next_attempt(), HEARTBEAT_TIMEOUT_MS="4000")
    assert child.receive() == ["ready"]
    activity.request_cancel()
    assert child.receive() == [Signals.CANCEL_REQUESTED]
    assert child.wait() == 0
    error = activity.failure()
    assert isinstance(error, CancelledError)
    assert error.details[0] == "cleaned up"
    assert "cancellation was requested" in error.details[1]


def test_exception_fails_the_activity_with_its_details_with_the_option(
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
    start_child(lines).hand_over(activity.next_attempt())
    retry = activity.next_attempt()
    assert (retry.number, retry.details) == (2, [41])


def test_exception_fails_nothing_by_default(start: StartActivity, start_child: StartChild) -> None:
    activity = start("workflow")
    lines = """
        token = thb.token_from_env()
        try:
            with thb.Activity(token) as act:
                act.heartbeat(41)
                raise RuntimeError("a fault")
        except RuntimeError as fault:
            report(str(fault))
        with thb.Activity(token) as act:
            act.complete(act.details()[0])
    """
    child = start_child(lines)
    child.hand_over(activity.next_attempt())
    assert child.receive() == ["a fault"]
    assert child.wait() == 0
    assert activity.result() == 41


def test_busy_event_loop_keeps_its_lease_and_sees_the_cancellation_later(
    start: StartActivity, start_child: StartChild
) -> None:
    """Neither a blocked loop nor a held GIL delays the heartbeats."""
    lines = """
        async def main():
            async with aio.Activity.from_env() as act:
                act.heartbeat(41)
                waiting = asyncio.create_task(act.wait(thb.Signals.CANCEL_REQUESTED))
                await asyncio.sleep(0)
                report("hanging")
                until = time.monotonic() + 5
                while time.monotonic() < until:
                    pow(3, 200_000)
                report(act.signals & thb.Signals.LEASE_LOST, await waiting)
                await act.report_cancelled()
        asyncio.run(main())
    """
    child = start_child(lines)
    activity = start("workflow", **TIMEOUT)
    child.hand_over(activity.next_attempt(), **HANDED_OVER)
    assert child.receive() == ["hanging"]
    activity.request_cancel()
    assert child.receive() == [0, Signals.CANCEL_REQUESTED]
    assert child.wait() == 0
    assert isinstance(activity.failure(), CancelledError)


def test_require_encoded_sends_no_readable_details(
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
                report(refused, [[payload.data.decode() for payload in stored.payloads], act.info["state"]])
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
                    report(refused, [[payload.data.decode() for payload in stored.payloads], act.info["state"]])
                    await act.complete(None)
            asyncio.run(main())
        """,
    }
    child = start_child(lines[flavour])
    activity = start(kind)
    attempt = activity.next_attempt()
    child.hand_over(attempt, REQUIRE_ENCODED="true")
    assert child.receive() == [3, [["sealed"], "open"]]
    assert child.wait() == 0
    assert activity.result() is None


RESET = {
    "threads": """
        with thb.Activity.from_env(fail_on_exception=True) as act:
            first = act.details(default=0)
            act.heartbeat(first + 1)
            act.flush()
            report(first)
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
                report(first)
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


def test_reset_is_an_exception_and_the_next_attempt_resumes(
    flavour: str, kind: Kind, start: StartActivity, start_child: StartChild
) -> None:
    first, second = (start_child(RESET[flavour]) for _ in range(2))
    activity = start(kind, heartbeat_timeout_ms=4_000)
    first.hand_over(activity.next_attempt(), HEARTBEAT_TIMEOUT_MS="4000")
    assert first.receive() == [0]
    activity.reset()
    retry = activity.next_attempt()
    assert retry.details == [1]
    second.hand_over(retry, HEARTBEAT_TIMEOUT_MS="4000")
    assert second.receive() == [1]
    assert second.wait() == 0
    assert activity.result() == 1
