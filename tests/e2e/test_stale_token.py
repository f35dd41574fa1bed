"""A token whose attempt is over: THB_NOT_FOUND, which means to stop the work."""

import pytest

from harness.activities import Kind
from harness.driver import refused
from harness.fixtures import Connect, StartActivity
from harness.requests import FENCED, Call


def test_a_superseded_attempt_can_neither_beat_nor_end_its_successor(
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
    assert (details.values, details.attempt) == ([41], 2), "details are the activity's, not the attempt's"
    driver.complete(current, "by the second")
    assert activity.result() == "by the second"


@pytest.mark.parametrize("call", FENCED.values(), ids=FENCED.keys())
def test_nothing_reaches_a_completed_activity(
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


def test_a_sleeper_that_timed_out_can_neither_beat_nor_end_its_successor(
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
def test_nothing_reaches_a_terminated_activity(
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
def test_nothing_reaches_an_activity_that_was_ended_from_elsewhere(
    language: str, kind: Kind, call: Call, start: StartActivity, connect: Connect
) -> None:
    """Its workflow has returned without it; or somebody else has completed it."""
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


def test_an_activity_that_its_closed_workflow_left_behind_is_over(
    language: str, start: StartActivity, connect: Connect
) -> None:
    """The server still tells of it, as one that waits."""
    activity = start("workflow")
    token = activity.next_attempt().token
    driver = connect(language)
    driver.heartbeat(token, 41)
    activity.terminate()
    with refused("THB_NOT_FOUND", "closed"):
        driver.get_details(token)
