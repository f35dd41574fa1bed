"""What the server asks of an activity, told by the answer to the next heartbeat."""

from temporalio.exceptions import CancelledError

from harness.activities import Kind
from harness.driver import refused
from harness.signals import Signals
from harness.stage import Connect, StartActivity


def test_cancellation_is_told_by_each_beat_until_it_is_reported(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind)
    token = activity.next_attempt().token
    driver = connect(language)
    assert driver.heartbeat(token, 40) == Signals.NONE

    activity.request_cancel()
    assert driver.heartbeat(token, 41) == Signals.CANCEL_REQUESTED
    assert driver.heartbeat(token, 42) == Signals.CANCEL_REQUESTED
    driver.report_cancelled(token, "cleaned up", 42)

    error = activity.failure()
    assert isinstance(error, CancelledError)
    assert list(error.details) == ["cleaned up", 42]


def test_cancellation_may_be_reported_without_details(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind)
    token = activity.next_attempt().token
    activity.request_cancel()
    connect(language).report_cancelled(token)
    error = activity.failure()
    assert isinstance(error, CancelledError)
    assert list(error.details) == []


def test_completion_wins_over_a_cancellation(language: str, kind: Kind, start: StartActivity, connect: Connect) -> None:
    activity = start(kind)
    token = activity.next_attempt().token
    activity.request_cancel()
    driver = connect(language)
    assert driver.heartbeat(token, 41) == Signals.CANCEL_REQUESTED
    driver.complete(token, "done all the same")
    assert activity.result() == "done all the same"


def test_cancellation_nobody_asked_for_is_refused_and_the_work_goes_on(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind)
    token = activity.next_attempt().token
    driver = connect(language)
    with refused("THB_INVALID_ARGUMENT", "cancel"):
        driver.report_cancelled(token, "why not")
    assert driver.heartbeat(token, 41) == Signals.NONE
    driver.complete(token, "done")
    assert activity.result() == "done"


def test_pause_is_told_until_the_unpause_and_progress_is_kept(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind)
    token = activity.next_attempt().token
    driver = connect(language)
    assert driver.heartbeat(token, 40) == Signals.NONE
    activity.pause()
    assert driver.heartbeat(token, 41) == Signals.PAUSED
    assert driver.heartbeat(token, 42) == Signals.PAUSED
    activity.unpause()
    assert driver.heartbeat(token, 43) == Signals.NONE
    assert driver.get_details(token).values == [43]


def test_reset_is_told_to_the_first_attempt_and_its_details_are_kept(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind)
    token = activity.next_attempt().token
    driver = connect(language)
    activity.reset()
    assert driver.heartbeat(token, 41) == Signals.RESET
    driver.fail(token, {"message": "starting anew"})

    again = activity.next_attempt()
    assert again.number == (2 if kind == "workflow" else 1)  # what the server counts, not what one would expect
    assert driver.get_details(again.token).values == [41]


def test_reset_of_a_later_attempt_ends_it_in_a_workflow_and_is_told_elsewhere(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind)
    driver = connect(language)
    driver.fail(activity.next_attempt().token, {"message": "once more"})
    second = activity.next_attempt()
    assert second.number == 2
    activity.reset()
    if kind == "workflow":
        with refused("THB_NOT_FOUND"):
            driver.heartbeat(second.token, 41)
    else:
        assert driver.heartbeat(second.token, 41) == Signals.RESET
