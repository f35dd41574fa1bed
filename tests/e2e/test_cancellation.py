"""Cancellation: requested by the answers to heartbeats, and confirmed by a report."""

from temporalio.exceptions import ApplicationError, CancelledError

from harness.activities import Kind
from harness.driver import refused
from harness.fixtures import Connect, StartActivity
from harness.server import OLDEST, Server
from harness.signals import Signals


def test_cancellation_before_the_first_beat_is_seen_by_it(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind)
    token = activity.next_attempt().token
    activity.request_cancel()
    driver = connect(language)
    assert driver.heartbeat(token, 0) == Signals.CANCEL_REQUESTED
    driver.report_cancelled(token)
    assert isinstance(activity.failure(), CancelledError)


def test_cancellation_between_beats_is_a_signal_until_it_is_reported(
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


def test_cancellation_after_the_last_beat_is_never_seen(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind)
    token = activity.next_attempt().token
    driver = connect(language)
    assert driver.heartbeat(token, 41) == Signals.NONE
    activity.request_cancel()
    driver.complete(token, "done, knowing nothing")
    assert activity.result() == "done, knowing nothing"


def test_cancellation_may_be_reported_without_a_beat_and_without_details(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind)
    token = activity.next_attempt().token
    activity.request_cancel()
    connect(language).report_cancelled(token)
    error = activity.failure()
    assert isinstance(error, CancelledError)
    assert list(error.details) == []


def test_cancellation_without_a_request_is_refused_and_the_activity_continues(
    language: str, kind: Kind, start: StartActivity, connect: Connect, server: Server
) -> None:
    activity = start(kind)
    token = activity.next_attempt().token
    driver = connect(language)
    if kind == "standalone" and server.version < OLDEST:
        refusal = refused("THB_FAILED_PRECONDITION", "invalid transition")
    else:
        refusal = refused("THB_INVALID_ARGUMENT", "cancel")
    with refusal:
        driver.report_cancelled(token, "why not")
    assert driver.heartbeat(token, 41) == Signals.NONE
    driver.complete(token, "done")
    assert activity.result() == "done"


def test_completion_wins_over_a_cancellation(language: str, kind: Kind, start: StartActivity, connect: Connect) -> None:
    activity = start(kind)
    token = activity.next_attempt().token
    activity.request_cancel()
    driver = connect(language)
    assert driver.heartbeat(token, 41) == Signals.CANCEL_REQUESTED
    driver.complete(token, "done all the same")
    assert activity.result() == "done all the same"


def test_failure_after_a_cancellation_is_not_retried(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind)
    token = activity.next_attempt().token
    activity.request_cancel()
    driver = connect(language)
    assert driver.heartbeat(token, 41) == Signals.CANCEL_REQUESTED
    driver.fail(token, {"message": "could not clean up"})
    error = activity.failure()
    assert isinstance(error, ApplicationError)
    assert error.message == "could not clean up"


def test_cancellation_is_no_signal_after_the_end(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind)
    token = activity.next_attempt().token
    driver = connect(language)
    assert driver.heartbeat(token, 40) == Signals.NONE
    activity.request_cancel()
    activity.end_elsewhere()
    with refused("THB_NOT_FOUND"):
        driver.heartbeat(token, 41)
    with refused("THB_NOT_FOUND"):
        driver.report_cancelled(token)
