"""Reset, reported in the answers to heartbeats, with details that are kept or removed."""

from typing import Any

from harness.activities import ExternalActivity, Kind
from harness.driver import Driver, refused
from harness.fixtures import Connect, StartActivity
from harness.signals import Signals

# A reset invalidates the token of a workflow's later attempt. No call can end it then, so it ends by its timeout.
UNTIL_SILENCE_IS_NOTICED_MS = 2_000


def test_reset_of_the_first_attempt_is_a_signal_and_its_progress_is_kept(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    assert details_after_reset_of_first_attempt(start(kind), connect(language), kind, reset_heartbeat=False) == [42]


def test_reset_of_the_first_attempt_may_remove_the_progress(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    assert details_after_reset_of_first_attempt(start(kind), connect(language), kind, reset_heartbeat=True) == []


def test_reset_of_a_later_attempt_keeps_its_progress(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    driver = connect(language)
    activity = start(kind, heartbeat_timeout_ms=UNTIL_SILENCE_IS_NOTICED_MS)
    assert details_after_reset_of_second_attempt(activity, driver, kind, reset_heartbeat=False) == [41]


def test_reset_of_a_later_attempt_may_remove_the_progress(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    driver = connect(language)
    activity = start(kind, heartbeat_timeout_ms=UNTIL_SILENCE_IS_NOTICED_MS)
    assert details_after_reset_of_second_attempt(activity, driver, kind, reset_heartbeat=True) == []


def details_after_reset_of_first_attempt(
    activity: ExternalActivity, driver: Driver, kind: Kind, *, reset_heartbeat: bool
) -> list[Any]:
    token = activity.next_attempt().token
    assert driver.heartbeat(token, 41) == Signals.NONE
    activity.reset(reset_heartbeat=reset_heartbeat)
    assert driver.heartbeat(token, 42) == Signals.RESET
    assert driver.get_details(token).values == [42], "this attempt still sends heartbeats"
    driver.fail(token, {"message": "restart"})

    again = activity.next_attempt()
    assert again.number == (2 if kind == "workflow" else 1)  # this is the server's actual count
    assert driver.get_details(again.token).values == again.details
    assert driver.heartbeat(again.token, 0) == Signals.NONE
    driver.complete(again.token, "done")
    assert activity.result() == "done"
    return again.details


def details_after_reset_of_second_attempt(
    activity: ExternalActivity, driver: Driver, kind: Kind, *, reset_heartbeat: bool
) -> list[Any]:
    driver.fail(activity.next_attempt().token, {"message": "retry"})
    second = activity.next_attempt()
    assert second.number == 2
    assert driver.heartbeat(second.token, 41) == Signals.NONE
    activity.reset(reset_heartbeat=reset_heartbeat)
    if kind == "workflow":
        with refused("THB_NOT_FOUND"):
            driver.heartbeat(second.token, 42)
        with refused("THB_NOT_FOUND"):
            driver.fail(second.token, {"message": "restart"})
    else:
        assert driver.heartbeat(second.token, 41) == Signals.RESET
        driver.fail(second.token, {"message": "restart"})

    again = activity.next_attempt()
    # The workflow's attempt was reset to number 1, and has timed out.
    assert again.number == (2 if kind == "workflow" else 1)
    assert driver.get_details(again.token).values == again.details
    driver.complete(again.token, "done")
    assert activity.result() == "done"
    return again.details
