"""With `verify`, the library checks an ending in doubt: the server's records show which call ended the activity."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from harness.activities import ExternalActivity, Kind
from harness.driver import Driver, OpenActivity, refused
from harness.fixtures import Connect, ConnectCpp, StartActivity
from harness.languages import ACTIVITY_LANGUAGES
from harness.proxy import Proxy
from harness.worker import SdkWorker

PATIENCE_MS = 30_000
# With this timeout no beat is in flight when the ending starts. The ending would wait for its answer, which is lost.
NOTHING_TO_ASK = {"heartbeat_timeout_ms": 30_000}


@dataclass(frozen=True)
class Ending:
    """Starts the ending call without waiting for the answer."""

    start: Callable[[OpenActivity], None]
    applied: Callable[[ExternalActivity], object]
    needs_cancel: bool = False


ENDINGS = {
    "complete": Ending(lambda handle: handle.start_complete("done", timeout=PATIENCE_MS), ExternalActivity.result),
    "fail for good": Ending(
        lambda handle: handle.start_fail(timeout=PATIENCE_MS, message="boom", non_retryable=True),
        ExternalActivity.failure,
    ),
    "fail": Ending(
        lambda handle: handle.start_fail(timeout=PATIENCE_MS, message="boom"), lambda activity: activity.next_attempt()
    ),
    "report_cancelled": Ending(
        lambda handle: handle.start_report_cancelled(timeout=PATIENCE_MS), ExternalActivity.failure, needs_cancel=True
    ),
}


@pytest.fixture
def driver(proxy: Proxy, connect_cpp: ConnectCpp) -> Driver:
    return connect_cpp(proxy.address)


def running(activity: ExternalActivity, driver: Driver, ending: Ending) -> OpenActivity:
    handle = driver.open(activity.next_attempt().token, verify=True, **NOTHING_TO_ASK)
    if ending.needs_cancel:
        activity.request_cancel()
    handle.record(41)
    handle.flush()
    return handle


@pytest.mark.parametrize(
    ("language", "name"),
    [*(("cpp", name) for name in ENDINGS), *((language, "complete") for language in ACTIVITY_LANGUAGES[1:])],
    indirect=["language"],
)
def test_ending_with_a_lost_answer_is_verified_and_succeeds(
    language: str, name: str, kind: Kind, start: StartActivity, connect: Connect, proxy: Proxy
) -> None:
    ending = ENDINGS[name]
    driver = connect(language, proxy.address)
    activity = start(kind)
    handle = running(activity, driver, ending)
    proxy.lose_answers()
    ending.start(handle)
    ending.applied(activity)
    proxy.cut()
    driver.finish()
    assert handle.info()["state"] == "ended"


def lost_before_it_arrived(name: str, token: bytes, driver: Driver, proxy: Proxy) -> None:
    handle = driver.open(token, verify=True, **NOTHING_TO_ASK)
    handle.record(41)
    handle.flush()
    proxy.become_a_black_hole()
    ENDINGS[name].start(handle)


def test_completion_after_another_process_completed_the_activity_is_not_found(
    kind: Kind, start: StartActivity, driver: Driver, proxy: Proxy, sdk_worker: SdkWorker
) -> None:
    activity = start(kind)
    token = activity.next_attempt().token
    lost_before_it_arrived("complete", token, driver, proxy)
    sdk_worker.complete(token, "theirs")
    assert activity.result() == "theirs"
    proxy.cut()
    proxy.heal()
    with refused("THB_NOT_FOUND"):
        driver.finish()


def test_failure_after_another_process_failed_the_attempt_stays_in_doubt(
    kind: Kind, start: StartActivity, driver: Driver, proxy: Proxy, sdk_worker: SdkWorker
) -> None:
    """The server shows the failure before the running attempt. After a reset, it may be that of a later attempt."""
    activity = start(kind)
    token = activity.next_attempt().token
    lost_before_it_arrived("fail", token, driver, proxy)
    sdk_worker.fail(token)
    activity.next_attempt()
    proxy.cut()
    proxy.heal()
    with refused("THB_IN_DOUBT"):
        driver.finish()


def test_ending_stays_in_doubt_without_the_option(start: StartActivity, driver: Driver, proxy: Proxy) -> None:
    activity = start("workflow")
    handle = driver.open(activity.next_attempt().token, **NOTHING_TO_ASK)
    handle.record(41)
    handle.flush()
    proxy.lose_answers()
    handle.start_complete("done", timeout=PATIENCE_MS)
    assert activity.result() == "done"
    proxy.cut()
    with refused("THB_IN_DOUBT"):
        driver.finish()
