"""The token of a finished attempt: THB_NOT_FOUND, which means that the work must stop."""

import pytest

from harness.activities import Kind
from harness.driver import refused
from harness.fixtures import Connect, StartActivity
from harness.requests import FENCED, Call


def test_superseded_attempt_can_neither_beat_nor_end_its_successor(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind)
    driver = connect(language)
    zombie = activity.next_attempt().token
    driver.heartbeat(zombie, 41)
    driver.fail(zombie, {"message": "once more"})

    current = activity.next_attempt().token
    for call in FENCED.values():
        with refused("THB_NOT_FOUND"):
            call(driver, zombie)
    details = driver.get_details(zombie)
    assert (details.values, details.attempt) == ([41], 2), "details belong to the activity, not to the attempt"
    driver.complete(current, "by the second")
    assert activity.result() == "by the second"


@pytest.mark.parametrize("call", FENCED.values(), ids=FENCED.keys())
def test_calls_for_a_completed_activity_are_refused(
    language: str,
    kind: Kind,
    call: Call,
    start: StartActivity,
    connect: Connect,
) -> None:
    activity = start(kind)
    token = activity.next_attempt().token
    driver = connect(language)
    driver.complete(token, "done")
    with refused("THB_NOT_FOUND"):
        call(driver, token)
    assert activity.result() == "done"


def test_timed_out_attempt_can_neither_beat_nor_end_its_successor(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    driver = connect(language)
    activity = start(kind, heartbeat_timeout_ms=1_000)
    sleeper = activity.next_attempt().token
    driver.heartbeat(sleeper, 41)
    current = activity.next_attempt().token
    for call in FENCED.values():
        with refused("THB_NOT_FOUND"):
            call(driver, sleeper)
    driver.complete(current, "by the second")
    assert activity.result() == "by the second"


@pytest.mark.parametrize("call", FENCED.values(), ids=FENCED.keys())
def test_calls_for_a_terminated_activity_are_refused(
    language: str, kind: Kind, call: Call, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind)
    token = activity.next_attempt().token
    driver = connect(language)
    driver.heartbeat(token, 41)
    activity.terminate()
    with refused("THB_NOT_FOUND"):
        call(driver, token)


@pytest.mark.parametrize("call", FENCED.values(), ids=FENCED.keys())
def test_calls_for_an_activity_ended_elsewhere_are_refused(
    language: str, kind: Kind, call: Call, start: StartActivity, connect: Connect
) -> None:
    """Either its workflow has returned without a result of the activity, or another process has completed it."""
    activity = start(kind)
    token = activity.next_attempt().token
    driver = connect(language)
    driver.heartbeat(token, 41)
    activity.end_elsewhere()
    with refused("THB_NOT_FOUND"):
        call(driver, token)


def test_details_of_an_ended_activity_are_kept_only_if_it_is_standalone(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind)
    token = activity.next_attempt().token
    driver = connect(language)
    driver.heartbeat(token, 41)
    driver.complete(token, "done")
    assert activity.result() == "done"
    if kind == "workflow":
        with refused("THB_NOT_FOUND"):
            driver.get_details(token)
    else:
        assert driver.get_details(token).values == [41]


def test_activity_of_a_closed_workflow_is_over(language: str, start: StartActivity, connect: Connect) -> None:
    """The server still describes the activity, as pending."""
    activity = start("workflow")
    token = activity.next_attempt().token
    driver = connect(language)
    driver.heartbeat(token, 41)
    activity.terminate()
    with refused("THB_NOT_FOUND", "closed"):
        driver.get_details(token)
