"""An open activity in Python: `with` blocks, exceptions, payloads and event loops."""

import asyncio

import pytest
from temporalio.exceptions import ApplicationError, CancelledError

from harness.activities import Kind
from harness.fixtures import StartActivity
from harness.python_child import StartChild
from harness.requires import requires
from harness.signals import Signals

# Longer than the 1 s of other scenarios, because the child is a separate process on a possibly busy machine.
TIMEOUT = {"heartbeat_timeout_ms": 2_000}
HANDED_OVER = {"HEARTBEAT_TIMEOUT_MS": "2000"}


WAIT_TO_BE_CANCELLED = {
    "threads": """
        with thb.Activity.from_env(follow_server=True) as act:
            act.heartbeat(41)
            act.flush()
            report("ready")
            report(act.wait(thb.Signals.CANCEL_REQUESTED), act.reason)
            try:
                act.raise_if_cancelled()
            except thb.Cancelled as cancelled:
                act.report_cancelled("cleaned up", str(cancelled))
    """,
    "asyncio": """
        async def main():
            async with aio.Activity.from_env(follow_server=True) as act:
                act.heartbeat(41)
                await act.flush()
                report("ready")
                report(await act.wait(thb.Signals.CANCEL_REQUESTED), act.reason)
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
    activity = start(kind, heartbeat_timeout_ms=60_000)
    child.hand_over(activity.next_attempt(), HEARTBEAT_TIMEOUT_MS="60000")
    assert child.receive() == ["ready"]
    activity.request_cancel("too expensive")
    assert child.receive() == [Signals.CANCEL_REQUESTED, "too expensive"]
    assert child.wait() == 0
    error = activity.failure()
    assert isinstance(error, CancelledError)
    assert error.details[0] == "cleaned up"
    assert error.details[1] == "the activity's cancellation was requested (too expensive)"


RAISE = {
    "threads": """
        with thb.Activity.from_env() as act:
            act.heartbeat(40)
            act.flush()
            act.heartbeat(41)
            raise RuntimeError("a fault") from KeyError("a key")
    """,
    "asyncio": """
        async def main():
            async with aio.Activity.from_env() as act:
                act.heartbeat(40)
                await act.flush()
                act.heartbeat(41)
                raise RuntimeError("a fault") from KeyError("a key")
        asyncio.run(main())
    """,
}


def test_exception_fails_the_attempt_with_its_progress_and_cause(
    flavour: str, kind: Kind, start: StartActivity, start_child: StartChild
) -> None:
    activity = start(kind, maximum_attempts=2)
    for number, progress in ((1, []), (2, [41])):
        attempt = activity.next_attempt()
        assert (attempt.number, attempt.details) == (number, progress)
        start_child(RAISE[flavour]).hand_over(attempt)
    error = activity.failure()
    assert isinstance(error, ApplicationError)
    assert (error.message, error.type, error.non_retryable) == ("a fault", "RuntimeError", False)
    assert error.failure
    assert "in <module>" in error.failure.stack_trace or "in main" in error.failure.stack_trace
    assert isinstance(error.cause, ApplicationError)
    assert (error.cause.message, error.cause.type) == ("'a key'", "KeyError")


@pytest.mark.parametrize(
    ("options", "exception"),
    [("fail_on_exception=False", "RuntimeError"), ("", "KeyboardInterrupt"), ("", "SystemExit")],
)
def test_exception_that_does_not_fail_the_attempt(
    options: str, exception: str, start: StartActivity, start_child: StartChild
) -> None:
    activity = start("workflow")
    lines = f"""
        token = thb.token_from_env()
        try:
            with thb.Activity(token, {options}) as act:
                act.heartbeat(41)
                raise {exception}("leaving")
        except {exception} as left:
            report(str(left))
        with thb.Activity(token) as act:
            act.complete(act.details()[0])
    """
    child = start_child(lines)
    child.hand_over(activity.next_attempt())
    assert child.receive() == ["leaving"]
    assert child.wait() == 0
    assert activity.result() == 41


CANCELLED = {
    "threads": """
        with thb.Activity.from_env() as act:
            report("ready")
            act.wait(thb.Signals.CANCEL_REQUESTED)
            act.raise_if_cancelled()
    """,
    "asyncio": """
        async def main():
            async with aio.Activity.from_env() as act:
                report("ready")
                await act.wait(thb.Signals.CANCEL_REQUESTED)
                asyncio.current_task().cancel()
                await asyncio.sleep(0)
        asyncio.run(main())
    """,
    "group of tasks": """
        async def work(act):
            await act.wait(thb.Signals.CANCEL_REQUESTED)
            act.raise_if_cancelled()

        async def main():
            async with aio.Activity.from_env() as act, asyncio.TaskGroup() as tasks:
                tasks.create_task(work(act))
                tasks.create_task(work(act))
                report("ready")
        asyncio.run(main())
    """,
}


@pytest.mark.parametrize("way", CANCELLED)
def test_requested_cancellation_that_leaves_the_block_is_reported(
    way: str, kind: Kind, start: StartActivity, start_child: StartChild
) -> None:
    if "TaskGroup" in CANCELLED[way]:
        requires(hasattr(asyncio, "TaskGroup"), "Python 3.11")
    child = start_child(CANCELLED[way])
    activity = start(kind, heartbeat_timeout_ms=4_000)
    child.hand_over(activity.next_attempt(), HEARTBEAT_TIMEOUT_MS="4000")
    assert child.receive() == ["ready"]
    activity.request_cancel()
    assert isinstance(activity.failure(), CancelledError)


def test_task_that_is_cancelled_without_a_request_ends_nothing(start: StartActivity, start_child: StartChild) -> None:
    activity = start("workflow")
    lines = """
        async def main():
            async with aio.Activity.from_env() as act:
                act.heartbeat(41)
                asyncio.current_task().cancel()
                await asyncio.sleep(0)
        try:
            asyncio.run(main())
        except asyncio.CancelledError:
            with thb.Activity.from_env() as act:
                act.complete(act.details()[0])
    """
    start_child(lines).hand_over(activity.next_attempt())
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
        with thb.Activity.from_env() as act:
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
            async with aio.Activity.from_env() as act:
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
