"""Following the server: long polls show a cancellation, a pause and changed timeouts at once."""

import os
import statistics
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from harness.activities import ExternalActivity, Kind
from harness.driver import Driver, OpenActivity
from harness.fixtures import Connect, ConnectCpp, StartActivity
from harness.languages import ACTIVITY_LANGUAGES
from harness.signals import Signals

# Without long polls, the next beat is due 48 s after the last one.
TIMEOUT_MS = 60_000
# Far less than that, and enough for a busy machine.
AT_ONCE_MS = 20_000
SLOW = os.environ.get("THB_SLOW") == "1"
CANCELLATIONS = 200 if SLOW else 5
CHANGES = 50 if SLOW else 2
# The longest delay until a workflow's activity is described again, and some time for a busy machine.
DESCRIBED_WITHIN_S = 60.0 + 20.0

all_languages = pytest.mark.parametrize("language", ACTIVITY_LANGUAGES, indirect=True)


def follow(driver: Driver, activity: ExternalActivity, timeout_ms: int = TIMEOUT_MS) -> OpenActivity:
    """Opens the next attempt, and returns once the server has its first record and a long poll follows it."""
    token = activity.next_attempt().token
    held = driver.open_as(activity.id, token, heartbeat_timeout_ms=timeout_ms, follow_server=True)
    held.record(41)
    held.flush()
    until(lambda: held.info()["following"] and held.info()["timeouts_from"] == "server", "it isn't followed")
    return held


def until(condition: Callable[[], bool], otherwise: str, limit_s: float = AT_ONCE_MS / 1000) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, otherwise
        time.sleep(0.01)


def until_known(held: OpenActivity, limit_s: float = AT_ONCE_MS / 1000, **timeouts: int) -> None:
    until(lambda: timeouts.items() <= held.info().items(), "the timeout isn't known", limit_s)


def until_further_beats(held: OpenActivity, count: int) -> None:
    before = held.info()["beats"]
    until(lambda: held.info()["beats"] >= before + count, "it doesn't beat for the new timeout")


@all_languages
def test_cancellations_are_signals_long_before_the_next_beat(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    driver = connect(language)
    delays = []
    for _ in range(CANCELLATIONS):
        activity = start(kind, heartbeat_timeout_ms=TIMEOUT_MS)
        held = follow(driver, activity)
        requested = time.monotonic()
        activity.request_cancel()
        assert held.wait(Signals.CANCEL_REQUESTED, timeout=AT_ONCE_MS) == Signals.CANCEL_REQUESTED
        delays.append((time.monotonic() - requested) * 1000)
        held.report_cancelled()
        held.close()
    # Of the whole way: the request of the harness, in a workflow its workflow task, and the signal.
    median, high = statistics.median(delays), sorted(delays)[-1 - len(delays) // 100]
    print(f"{language} {kind}: {len(delays)} cancellations, median {median:.0f} ms, 99th percentile {high:.0f} ms")
    if SLOW:
        assert median < 100
        assert high < 500


def test_standalone_activity_shows_pause_unpause_and_reset_at_once(
    start: StartActivity, connect_cpp: ConnectCpp
) -> None:
    activity = start("standalone", heartbeat_timeout_ms=TIMEOUT_MS)
    held = follow(connect_cpp(), activity)
    activity.pause()
    assert held.wait(Signals.PAUSED, timeout=AT_ONCE_MS) == Signals.PAUSED
    activity.unpause()
    assert held.wait(Signals.PAUSED, Signals.PAUSED, timeout=AT_ONCE_MS) == Signals.NONE
    activity.reset()
    assert held.wait(Signals.RESET, timeout=AT_ONCE_MS) == Signals.RESET
    held.fail(message="restart")


def test_end_elsewhere_is_gone_at_once(kind: Kind, start: StartActivity, connect_cpp: ConnectCpp) -> None:
    activity = start(kind, heartbeat_timeout_ms=TIMEOUT_MS)
    held = follow(connect_cpp(), activity)
    activity.end_elsewhere()
    assert Signals.GONE in held.wait(Signals.GONE, timeout=AT_ONCE_MS)


def test_shortened_heartbeat_timeout_of_a_standalone_activity_starts_no_second_attempt(
    start: StartActivity, connect_cpp: ConnectCpp
) -> None:
    """The attempt survives, or its holder sees that it is over before the next attempt begins."""
    driver = connect_cpp()
    for _ in range(CHANGES):
        activity = start("standalone", heartbeat_timeout_ms=30_000, retry_interval_ms=1_000)
        held = follow(driver, activity, 30_000)
        activity.change_timeouts(heartbeat_timeout=timedelta(seconds=3))
        until_known(held, heartbeat_timeout_ms=3_000)
        until_further_beats(held, 3)
        assert held.signals() == Signals.NONE
        held.complete("done")
        assert activity.result() == "done"


def test_extended_heartbeat_timeout_stops_nothing(kind: Kind, start: StartActivity, connect_cpp: ConnectCpp) -> None:
    driver = connect_cpp()
    for _ in range(CHANGES if kind == "standalone" else 1):
        activity = start(kind, heartbeat_timeout_ms=6_000)
        held = follow(driver, activity, 6_000)
        activity.change_timeouts(heartbeat_timeout=timedelta(seconds=60))
        if kind == "standalone":
            until_known(held, heartbeat_timeout_ms=60_000)
        assert held.signals() == Signals.NONE
        held.complete("done")
        assert activity.result() == "done"


def test_extended_deadline_of_a_standalone_activity_is_not_signalled(
    start: StartActivity, connect_cpp: ConnectCpp
) -> None:
    activity = start("standalone", heartbeat_timeout_ms=TIMEOUT_MS, start_to_close_ms=4_000)
    held = follow(connect_cpp(), activity)
    activity.change_timeouts(start_to_close_timeout=timedelta(seconds=120))
    until_known(held, start_to_close_timeout_ms=120_000)
    assert held.wait(Signals.DEADLINE, timeout=6_000) == Signals.NONE
    held.complete("done")


@pytest.mark.skipif(not SLOW, reason="make check-slow")
def test_changed_timeout_of_a_workflows_activity_is_known_within_a_minute(
    start: StartActivity, connect_cpp: ConnectCpp
) -> None:
    driver = connect_cpp()
    activities = [start("workflow", heartbeat_timeout_ms=30_000) for _ in range(CHANGES)]
    held = [follow(driver, activity, 30_000) for activity in activities]
    for activity in activities:
        activity.change_timeouts(heartbeat_timeout=timedelta(seconds=40), start_to_close_timeout=timedelta(seconds=300))
    for one in held:
        until_known(one, DESCRIBED_WITHIN_S, heartbeat_timeout_ms=40_000)
        assert one.info()["start_to_close_timeout_ms"] == 300_000
        assert one.signals() == Signals.NONE
        one.complete("done")
