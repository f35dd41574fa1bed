"""Following the server: long polls show a cancellation, a pause and changed timeouts at once."""

import pytest

from harness.activities import Kind
from harness.fixtures import Connect, StartActivity
from harness.languages import ACTIVITY_LANGUAGES
from harness.signals import Signals

pytestmark = pytest.mark.parametrize("language", ACTIVITY_LANGUAGES, indirect=True)

# Without long polls, the next beat is due 48 s after the last one.
TIMEOUT_MS = 60_000


def test_cancellation_is_a_signal_long_before_the_next_beat(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind, heartbeat_timeout_ms=TIMEOUT_MS)
    token = activity.next_attempt().token
    driver = connect(language)
    held = driver.open(token, heartbeat_timeout_ms=TIMEOUT_MS, follow_server=True)
    held.record(41)
    held.flush()
    activity.request_cancel()
    assert held.wait(Signals.CANCEL_REQUESTED, timeout=20_000) == Signals.CANCEL_REQUESTED
    held.report_cancelled()
