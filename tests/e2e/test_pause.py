"""Pause and unpause, reported in the answers to heartbeats."""

from harness.activities import Kind, WorkflowActivity
from harness.fixtures import Connect, StartActivity
from harness.requires import unsupported
from harness.signals import Signals


def test_pause_is_a_signal_until_the_unpause_and_progress_is_kept(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind)
    token = activity.next_attempt().token
    driver = connect(language)
    assert driver.heartbeat(token, 40) == Signals.NONE
    activity.pause()
    assert driver.heartbeat(token, 41) == Signals.PAUSED
    assert driver.heartbeat(token, 42) == Signals.PAUSED
    assert driver.get_details(token).values == [42]
    activity.unpause()
    assert driver.heartbeat(token, 43) == Signals.NONE
    assert driver.get_details(token).values == [43]


def test_pause_of_a_later_attempt_is_a_signal(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind)
    driver = connect(language)
    driver.fail(activity.next_attempt().token, {"message": "once more"})
    token = activity.next_attempt().token
    activity.pause()
    assert driver.heartbeat(token, 41) == Signals.PAUSED
    activity.unpause()
    driver.complete(token, "done")
    assert activity.result() == "done"


def test_pause_and_cancellation_are_signalled_together_or_cancellation_alone(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    """A standalone activity has one state, so the state of a cancellation replaces that of a pause."""
    activity = start(kind)
    token = activity.next_attempt().token
    activity.pause()
    activity.request_cancel()
    both = Signals.CANCEL_REQUESTED | (Signals.PAUSED if kind == "workflow" else Signals.NONE)
    driver = connect(language)
    assert driver.heartbeat(token, 41) == both
    driver.report_cancelled(token)


def test_unpause_may_remove_the_progress(language: str, kind: Kind, start: StartActivity, connect: Connect) -> None:
    activity = start(kind)
    if not isinstance(activity, WorkflowActivity):
        unsupported("the unpause of a standalone activity leaves its details alone")
    token = activity.next_attempt().token
    driver = connect(language)
    driver.heartbeat(token, 41)
    activity.pause()
    activity.unpause(reset_heartbeat=True)
    assert driver.get_details(token).values == []
    assert driver.heartbeat(token, 42) == Signals.NONE
    assert driver.get_details(token).values == [42]
