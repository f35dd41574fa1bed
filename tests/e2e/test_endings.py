"""Complete and fail: how the workflow sees the end of an activity."""

import time

import pytest
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from harness.activities import Kind
from harness.driver import Raw
from harness.fixtures import Connect, StartActivity

RESULTS = [("done",), ({"items": 100, "lost": []},), (b"\x00\xff",), (None,), ()]


@pytest.mark.parametrize("result", RESULTS, ids=["text", "object", "bytes", "null", "none"])
def test_workflow_gets_the_result(
    language: str, kind: Kind, result: tuple[object, ...], start: StartActivity, connect: Connect
) -> None:
    activity = start(kind)
    connect(language).complete(activity.next_attempt().token, *result)
    assert activity.result() == (result[0] if result else None)


FAILURE = {
    "message": "no space left at item 41",
    "type": "DiskFull",
    "details": [{"item": 41}, "of 100", None],
    "category": "benign",
    "stack_trace": "at solver.c:17",
    "source": "solver",
    "cause": {"message": "write failed", "type": "OSError", "details": [28], "cause": {"message": "ENOSPC"}},
}


def test_final_failure_reaches_the_workflow_with_all_fields(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind)
    connect(language).fail(activity.next_attempt().token, FAILURE | {"non_retryable": True})

    error = activity.failure()
    assert isinstance(error, ApplicationError)
    assert (error.message, error.type, error.non_retryable) == ("no space left at item 41", "DiskFull", True)
    assert list(error.details) == [{"item": 41}, "of 100", None]
    assert error.category == ApplicationErrorCategory.BENIGN
    assert error.failure is not None
    assert error.failure.stack_trace == "at solver.c:17"
    assert error.failure.source == "solver"

    cause = error.cause
    assert isinstance(cause, ApplicationError)
    assert (cause.message, cause.type, list(cause.details)) == ("write failed", "OSError", [28])
    assert isinstance(cause.cause, ApplicationError)
    assert cause.cause.message == "ENOSPC"


def test_retryable_failure_starts_the_next_attempt(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind)
    driver = connect(language)
    first = activity.next_attempt()
    driver.heartbeat(first.token, 41)
    driver.fail(first.token, FAILURE)

    second = activity.next_attempt()
    assert second.number == 2
    assert second.details == [41]
    assert driver.get_details(second.token).values == [41]


def test_progress_sent_with_a_failure_reaches_the_next_attempt(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind)
    driver = connect(language)
    first = activity.next_attempt()
    driver.heartbeat(first.token, 40)
    driver.fail(first.token, {"message": "again", "heartbeat_details": [41, {"left": 59}]})
    second = activity.next_attempt()
    assert second.details == [41, {"left": 59}]
    assert driver.get_details(second.token).values == [41, {"left": 59}]


def test_failure_sets_the_delay_of_the_next_attempt(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind, retry_interval_ms=60_000)
    driver = connect(language)
    began = time.monotonic()
    driver.fail(activity.next_attempt().token, {"message": "busy", "next_retry_delay_ms": 100})
    assert activity.next_attempt().number == 2
    assert time.monotonic() - began < 30


def test_failure_may_be_empty(kind: Kind, start: StartActivity, connect: Connect) -> None:
    activity = start(kind, maximum_attempts=1)
    connect("c").fail(activity.next_attempt().token, Raw("-"))
    assert isinstance(activity.failure(), ApplicationError)
