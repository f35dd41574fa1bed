"""Exceptions of Temporal's Python SDK, raised in a process without a worker: the workflow gets them unchanged.

The scenarios are those of the SDK's own tests of activities that are completed from outside.
"""

from datetime import timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, CancelledError

from harness.activities import Kind
from harness.fixtures import StartActivity
from harness.python_child import PythonChild, StartChild
from harness.worker import Attempt

IMPORTS = """
    from datetime import timedelta
    from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, CancelledError

    def wait_for_cancellation(act):
        while not act.signals & thb.Signals.CANCEL_REQUESTED:
            time.sleep(0.01)
"""

# The ways in which an exception ends the activity, for `work(act)`.
WAYS = {
    "raised": """
    with thb.Activity.from_env() as act:
        work(act)
    """,
    "given to fail": """
    with thb.Activity.from_env() as act:
        try:
            work(act)
        except Exception as error:
            act.fail(error)
    """,
    "given to the function": """
    token = thb.token_from_env()
    try:
        with thb.Activity(token, fail_on_exception=False) as act:
            work(act)
    except Exception as error:
        thb.fail(token, error)
    """,
    "raised in a task": """
    async def main():
        async with aio.Activity.from_env() as act:
            work(act)
    asyncio.run(main())
    """,
    "given to fail in a task": """
    async def main():
        async with aio.Activity.from_env() as act:
            try:
                work(act)
            except Exception as error:
                await act.fail(error)
    asyncio.run(main())
    """,
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """Runs the test with each way in which an exception ends an activity."""
    return WAYS[request.param]


class Children:
    """Starts one process for each attempt, which raises an exception in the given way."""

    def __init__(self, start_child: StartChild, way: str) -> None:
        self._start_child = start_child
        self._way = way

    def fails(self, attempt: Attempt, work: str) -> PythonChild:
        child = self._start_child(f"{IMPORTS}\n    def work(act):\n        {work}\n{self._way}")
        child.hand_over(attempt)
        return child


SIMULATED = (
    'raise ApplicationError("simulated failure", "some details", type="test", non_retryable=True,'
    " next_retry_delay=timedelta(seconds=3), category=ApplicationErrorCategory.BENIGN)"
)


def test_application_error_reaches_the_workflow_unchanged(
    way: str, start: StartActivity, start_child: StartChild
) -> None:
    activity = start("workflow")
    Children(start_child, way).fails(activity.next_attempt(), SIMULATED)
    error = activity.failure()
    assert isinstance(error, ApplicationError)
    assert (error.message, error.type, list(error.details)) == ("simulated failure", "test", ["some details"])
    assert error.non_retryable
    assert error.next_retry_delay == timedelta(seconds=3)
    assert error.category == ApplicationErrorCategory.BENIGN
    assert error.failure
    assert "in work" in error.failure.stack_trace


def test_heartbeat_and_fail_twice(kind: Kind, start: StartActivity, start_child: StartChild) -> None:
    children = Children(start_child, WAYS["raised"])
    activity = start(kind, maximum_attempts=2)
    first = 'act.heartbeat("heartbeat details"); raise ApplicationError("err message", "err details")'
    children.fails(activity.next_attempt(), first)
    second = activity.next_attempt()
    assert (second.number, second.details) == (2, ["heartbeat details"])
    children.fails(second, 'raise ApplicationError("err message 2", "err details 2")')
    error = activity.failure()
    assert isinstance(error, ApplicationError)
    assert (error.message, error.type, list(error.details)) == ("err message 2", None, ["err details 2"])


def test_activity_by_its_ids_fails_with_the_error_too(start: StartActivity, start_child: StartChild) -> None:
    activity = start("workflow")
    ids = ", ".join(f"{name}={value!r}" for name, value in activity.ids().items())
    way = f"""
    with thb.Activity({ids}) as act:
        work(act)
    """
    Children(start_child, way).fails(activity.next_attempt(), SIMULATED)
    error = activity.failure()
    assert isinstance(error, ApplicationError)
    assert (error.message, error.type, list(error.details)) == ("simulated failure", "test", ["some details"])


def test_next_retry_delay_replaces_that_of_the_retry_policy(start: StartActivity, start_child: StartChild) -> None:
    """The retry policy's delay is longer than the test waits."""
    activity = start("workflow", retry_interval_ms=600_000)
    work = 'raise ApplicationError("busy", next_retry_delay=timedelta(milliseconds=100))'
    Children(start_child, WAYS["raised"]).fails(activity.next_attempt(), work)
    assert activity.next_attempt().number == 2


def test_cause_keeps_its_details_and_type(start: StartActivity, start_child: StartChild) -> None:
    activity = start("workflow")
    work = 'raise ApplicationError("outer", non_retryable=True) from ApplicationError("inner", 41, type="Inner")'
    Children(start_child, WAYS["raised"]).fails(activity.next_attempt(), work)
    cause: Any = activity.failure().__cause__
    assert isinstance(cause, ApplicationError)
    assert (cause.message, cause.type, list(cause.details)) == ("inner", "Inner", [41])


def test_cancelled_error_reports_a_requested_cancellation(
    flavour: str, start: StartActivity, start_child: StartChild
) -> None:
    activity = start("workflow", heartbeat_timeout_ms=4_000)
    way = WAYS["raised" if flavour == "threads" else "raised in a task"]
    work = 'report("ready"); wait_for_cancellation(act); raise CancelledError("stopped", "cancel details")'
    child = Children(start_child, way).fails(activity.next_attempt(), work)
    assert child.receive() == ["ready"]
    activity.request_cancel()
    error = activity.failure()
    assert isinstance(error, CancelledError)
    assert list(error.details) == ["cancel details"]
