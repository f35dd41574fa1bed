"""The reasons of a cancellation and a pause, as far as the server shows them."""

import pytest

from harness.activities import Kind
from harness.fixtures import Connect, ConnectCpp, StartActivity
from harness.languages import ACTIVITY_LANGUAGES
from harness.polling import wait_until
from harness.signals import Signals
from harness.worker import SdkWorker

# Without long polls, the next beat is due 48 s after the last one.
TIMEOUT_MS = 60_000
AT_ONCE_MS = 20_000


@pytest.mark.parametrize("language", ACTIVITY_LANGUAGES, indirect=True)
def test_reason_of_a_cancellation_is_known_with_the_signal(
    language: str, kind: Kind, start: StartActivity, connect: Connect, sdk_worker: SdkWorker
) -> None:
    activity = start(kind, heartbeat_timeout_ms=TIMEOUT_MS)
    token = activity.next_attempt().token
    held = connect(language).open(token, heartbeat_timeout_ms=TIMEOUT_MS, follow_server=True)
    held.record(41)
    held.flush()
    assert (held.reason(), held.info()["cancel_reason"]) == ("", None)
    activity.request_cancel("too expensive: 4 €")
    assert held.wait(Signals.CANCEL_REQUESTED, timeout=AT_ONCE_MS) == Signals.CANCEL_REQUESTED
    info = held.info()
    assert (held.reason(), info["cancel_reason"]) == ("too expensive: 4 €", "too expensive: 4 €")
    # The server doesn't show it for a standalone activity.
    assert info["cancel_identity"] == (sdk_worker.client.identity if kind == "workflow" else None)
    held.report_cancelled()


def test_reason_of_a_pause_of_a_workflows_activity_follows_the_signal(
    start: StartActivity, connect_cpp: ConnectCpp, sdk_worker: SdkWorker
) -> None:
    activity = start("workflow", heartbeat_timeout_ms=2_000)
    held = connect_cpp().open(activity.next_attempt().token, heartbeat_timeout_ms=2_000, follow_server=True)
    held.record(41)
    activity.pause("maintenance")
    assert held.wait(Signals.PAUSED, timeout=AT_ONCE_MS) == Signals.PAUSED
    wait_until(lambda: held.reason() == "maintenance", "the reason is known")
    assert held.info()["pause_identity"] == sdk_worker.client.identity
    activity.unpause()
    assert held.wait(Signals.PAUSED, known=Signals.PAUSED, timeout=AT_ONCE_MS) == Signals.NONE
    assert held.reason() == ""
    held.complete("done")


def test_cancellation_without_a_reason_has_none(kind: Kind, start: StartActivity, connect_cpp: ConnectCpp) -> None:
    activity = start(kind, heartbeat_timeout_ms=TIMEOUT_MS)
    token = activity.next_attempt().token
    held = connect_cpp().open(token, heartbeat_timeout_ms=TIMEOUT_MS, follow_server=True)
    held.record(41)
    activity.request_cancel()
    assert held.wait(Signals.CANCEL_REQUESTED, timeout=AT_ONCE_MS) == Signals.CANCEL_REQUESTED
    assert (held.reason(), held.info()["cancel_reason"]) == ("", None)
    held.report_cancelled()
