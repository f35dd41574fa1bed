"""The server may apply an ending call although the answer is lost. The retry's NOT_FOUND becomes THB_IN_DOUBT."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from harness.activities import ExternalActivity, Kind
from harness.driver import Driver, refused
from harness.fixtures import Connect, StartActivity
from harness.proxy import Proxy
from harness.signals import Signals


@dataclass(frozen=True)
class Ending:
    """One way to end an activity. `start` sends the request without waiting for the answer."""

    start: Callable[[Driver, bytes, int], None]
    # Waits until the server has applied the request, and returns the result or the failure.
    applied: Callable[[ExternalActivity], object]
    needs_cancel: bool = False


ENDINGS = {
    "complete": Ending(
        lambda driver, token, timeout: driver.start_complete(token, "done", timeout=timeout),
        ExternalActivity.result,
    ),
    "fail": Ending(
        lambda driver, token, timeout: driver.start_fail(
            token, {"message": "boom", "non_retryable": True}, timeout=timeout
        ),
        ExternalActivity.failure,
    ),
    "report_cancelled": Ending(
        lambda driver, token, timeout: driver.start_report_cancelled(token, timeout=timeout),
        ExternalActivity.failure,
        needs_cancel=True,
    ),
}


@pytest.fixture(params=ENDINGS)
def ending(request: pytest.FixtureRequest) -> Ending:
    return ENDINGS[request.param]


def running(activity: ExternalActivity, driver: Driver, ending: Ending) -> bytes:
    """Returns the token of an attempt that has sent a heartbeat and that this ending may end."""
    token = activity.next_attempt().token
    if ending.needs_cancel:
        activity.request_cancel()
    driver.heartbeat(token, 41)
    return token


def test_lost_answer_leaves_the_ending_in_doubt(
    language: str, kind: Kind, ending: Ending, start: StartActivity, connect: Connect, proxy: Proxy
) -> None:
    activity = start(kind)
    driver = connect(language, proxy.address)
    token = running(activity, driver, ending)

    proxy.lose_answers()
    ending.start(driver, token, 10_000)
    ending.applied(activity)
    proxy.cut()
    with refused("THB_IN_DOUBT"):
        driver.finish()


def test_lost_request_is_retried_and_never_in_doubt(
    language: str, kind: Kind, ending: Ending, start: StartActivity, connect: Connect, proxy: Proxy
) -> None:
    activity = start(kind)
    driver = connect(language, proxy.address)
    token = running(activity, driver, ending)

    proxy.lose_next_request()
    ending.start(driver, token, 10_000)
    driver.finish()
    proxy.wait_until_lost()
    assert ending.applied(activity)


def test_ending_stays_in_doubt_after_a_timeout(
    language: str, kind: Kind, start: StartActivity, connect: Connect, proxy: Proxy
) -> None:
    activity = start(kind)
    driver = connect(language, proxy.address)
    token = running(activity, driver, ENDINGS["complete"])

    proxy.lose_answers()
    with refused("THB_TIMEOUT"):
        driver.complete(token, "done", timeout=300)
    assert activity.result() == "done"
    proxy.cut()
    with refused("THB_IN_DOUBT"):
        driver.complete(token, "done")


def test_lost_answer_for_another_token_causes_no_doubt(
    language: str, start: StartActivity, connect: Connect, proxy: Proxy
) -> None:
    lost, ended = start("workflow"), start("workflow")
    driver = connect(language, proxy.address)
    lost_token = running(lost, driver, ENDINGS["complete"])
    ended_token = running(ended, driver, ENDINGS["complete"])
    driver.complete(ended_token, "done")

    proxy.lose_answers()
    with refused("THB_TIMEOUT"):
        driver.complete(lost_token, "done", timeout=300)
    proxy.cut()
    with refused("THB_NOT_FOUND"):
        driver.complete(ended_token, "done")


def test_heartbeat_is_retried_and_never_in_doubt(
    language: str, kind: Kind, start: StartActivity, connect: Connect, proxy: Proxy
) -> None:
    activity = start(kind)
    driver = connect(language, proxy.address)
    token = running(activity, driver, ENDINGS["complete"])

    proxy.lose_answers()
    driver.start_heartbeat(token, 42)
    wait_for(lambda: activity.heartbeat_details() == [42])
    proxy.cut()
    assert Signals(int(driver.finish()[0])) == Signals.NONE


def test_silent_server_is_a_timeout_in_time(
    language: str, start: StartActivity, connect: Connect, proxy: Proxy
) -> None:
    driver = connect(language, proxy.address)
    token = running(start("workflow"), driver, ENDINGS["complete"])
    proxy.lose_answers()
    began = time.monotonic()
    with refused("THB_TIMEOUT"):
        driver.heartbeat(token, 42, timeout=500)
    assert 0.4 < time.monotonic() - began < 5
    proxy.cut()
    assert driver.heartbeat(token, 43) == Signals.NONE


def wait_for(condition: Callable[[], bool], timeout: float = 10.0) -> None:
    """Polls until the condition holds. The server reports such changes only when asked."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.02)
