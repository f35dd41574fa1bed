"""An ending in doubt is looked up, for who asks for it: the server's records tell whether it was ours."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from harness.activities import ExternalActivity, Kind
from harness.driver import refused
from harness.held import Held, HeldDriver, Hold
from harness.proxy import Proxy
from harness.stage import StartActivity
from harness.worker import Backstage

PATIENCE_MS = 30_000
# An end waits for an answer that is under way, and here it would be lost.
NOTHING_TO_ASK = {"heartbeat_timeout_ms": 30_000}


@dataclass(frozen=True)
class Ending:
    """Asks for the end without waiting for the answer."""

    start: Callable[[Held], None]
    applied: Callable[[ExternalActivity], object]
    needs_cancel: bool = False


ENDINGS = {
    "complete": Ending(lambda held: held.start_complete("done", timeout=PATIENCE_MS), ExternalActivity.result),
    "fail for good": Ending(
        lambda held: held.start_fail(timeout=PATIENCE_MS, message="boom", non_retryable=True), ExternalActivity.failure
    ),
    "fail": Ending(
        lambda held: held.start_fail(timeout=PATIENCE_MS, message="boom"), lambda activity: activity.next_attempt()
    ),
    "report_cancelled": Ending(
        lambda held: held.start_report_cancelled(timeout=PATIENCE_MS), ExternalActivity.failure, needs_cancel=True
    ),
}


@pytest.fixture
def driver(proxy: Proxy, hold: Hold) -> HeldDriver:
    return hold(proxy.address)


def running(activity: ExternalActivity, driver: HeldDriver, ending: Ending) -> Held:
    held = driver.open(activity.next_attempt().token, verify=True, **NOTHING_TO_ASK)
    if ending.needs_cancel:
        activity.request_cancel()
    held.record(41)
    held.flush()
    return held


@pytest.mark.parametrize("name", ENDINGS)
def test_end_whose_answer_was_lost_turns_out_to_be_ours(
    name: str, kind: Kind, start: StartActivity, driver: HeldDriver, proxy: Proxy
) -> None:
    ending = ENDINGS[name]
    activity = start(kind)
    held = running(activity, driver, ending)
    proxy.lose_answers()
    ending.start(held)
    ending.applied(activity)
    proxy.cut()
    driver.finish()
    assert held.info()["state"] == "ended"


@pytest.mark.parametrize("name", ["complete", "fail"])
def test_end_that_somebody_else_came_before_is_not_ours(
    name: str, kind: Kind, start: StartActivity, driver: HeldDriver, proxy: Proxy, backstage: Backstage
) -> None:
    activity = start(kind)
    attempt = activity.next_attempt()
    held = driver.open(attempt.token, verify=True, **NOTHING_TO_ASK)
    held.record(41)
    held.flush()
    proxy.become_a_black_hole()
    ENDINGS[name].start(held)
    if name == "complete":
        backstage.complete(attempt.token, "theirs")
        assert activity.result() == "theirs"
    else:
        backstage.fail(attempt.token)
        activity.next_attempt()
    proxy.cut()
    proxy.heal()
    with refused("THB_NOT_FOUND"):
        driver.finish()


def test_who_does_not_ask_stays_in_doubt(start: StartActivity, driver: HeldDriver, proxy: Proxy) -> None:
    activity = start("workflow")
    held = driver.open(activity.next_attempt().token, **NOTHING_TO_ASK)
    held.record(41)
    held.flush()
    proxy.lose_answers()
    held.start_complete("done", timeout=PATIENCE_MS)
    assert activity.result() == "done"
    proxy.cut()
    with refused("THB_IN_DOUBT"):
        driver.finish()
