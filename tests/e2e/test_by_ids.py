"""Activities opened by their ids, which don't name the attempt: the library never reaches another attempt."""

import os
import signal

import pytest

from harness.activities import ExternalActivity, Kind
from harness.driver import Driver, OpenActivity, Refused, refused
from harness.fixtures import Connect, ConnectCpp, StartActivity
from harness.languages import ACTIVITY_LANGUAGES, LANGUAGES
from harness.requires import unsupported
from harness.server import Server
from harness.signals import Signals
from harness.worker import SdkWorker

# This server answers NOT_FOUND to requests by ids from the second attempt of a standalone activity on.
WITHOUT_LATER_ATTEMPTS_BY_IDS = (1, 31)


def open_by_ids(driver: Driver, activity: ExternalActivity, **options: object) -> OpenActivity:
    return driver.open(b"", **activity.ids(), **options)


def record_too_late(handle: OpenActivity) -> None:
    """Records for an attempt that is over. The handle refuses that if an automatic heartbeat was refused before."""
    try:
        handle.record(99)
    except Refused as error:
        if error.status != "THB_NOT_FOUND":
            raise


def test_activity_is_opened_by_its_ids(kind: Kind, start: StartActivity, connect_cpp: ConnectCpp) -> None:
    driver = connect_cpp()
    activity = start(kind, heartbeat_timeout_ms=4_000)
    driver.heartbeat(activity.next_attempt().token, 41)
    handle = open_by_ids(driver, activity, heartbeat_timeout_ms=4_000)
    assert handle.details().values == [41]
    handle.record(42)
    handle.flush()
    assert activity.heartbeat_details() == [42]
    assert handle.wait(timeout=8_000) == Signals.NONE  # longer than one timeout: 2 x 4 s
    assert handle.info()["attempt"] == 1
    handle.complete("done")
    assert activity.result() == "done"


@pytest.mark.parametrize("language", ACTIVITY_LANGUAGES, indirect=True)
def test_workflow_activity_gets_a_derived_token_and_standalone_activity_uses_ids(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    driver = connect(language)
    activity = start(kind)
    activity.next_attempt()
    handle = open_by_ids(driver, activity)
    handle.record(1)
    handle.flush()
    # If the server had rejected the derived token, the library would have stopped using it by now.
    assert handle.info()["addressed_by"] == {"workflow": "derived_token", "standalone": "ids"}[kind]
    handle.complete("done")
    assert activity.result() == "done"


@pytest.mark.parametrize("language", LANGUAGES, indirect=True)
def test_token_from_ids_belongs_to_the_running_attempt(language: str, start: StartActivity, connect: Connect) -> None:
    driver = connect(language)
    activity = start("workflow", heartbeat_timeout_ms=1_000)
    activity.next_attempt()
    token = driver.token_from_ids(**activity.ids())
    assert driver.heartbeat(token, 41) == Signals.NONE
    assert activity.next_attempt().details == [41]
    with refused("THB_NOT_FOUND"):
        driver.heartbeat(token, 42)
    with refused("THB_NOT_FOUND"):
        driver.token_from_ids(**activity.ids(), attempt=1)
    driver.complete(driver.token_from_ids(**activity.ids(), attempt=2), "done")
    assert activity.result() == "done"
    with refused("THB_NOT_FOUND"):
        driver.token_from_ids(**activity.ids())


def test_token_from_ids_that_cannot_be_made_says_what_to_do(start: StartActivity, connect_cpp: ConnectCpp) -> None:
    driver = connect_cpp()
    activity = start("standalone")
    activity.next_attempt()
    with refused("THB_UNIMPLEMENTED", "open the activity by its ids"):
        driver.token_from_ids(**activity.ids())
    with refused("THB_CONFIG", "options.activity_id must be given"):
        driver.token_from_ids(workflow_id="w")
    with refused("THB_CONFIG", "options.activity_id is missing"):
        driver.token_from_ids()
    with refused("THB_CONFIG"):
        driver.token_from_ids(activity_id="a", colour="red")


def test_ids_without_a_run_id_stay_with_the_first_run(
    kind: Kind, start: StartActivity, connect_cpp: ConnectCpp
) -> None:
    driver = connect_cpp()
    activity = start(kind)
    activity.next_attempt()
    handle = driver.open(b"", **{**activity.ids(), "run_id": None})
    handle.record(1)
    handle.fail(message="boom")
    assert activity.next_attempt().details == [1]


@pytest.mark.parametrize(
    ("language", "options"),
    [("cpp", {}), *((language, {"attempt": 1}) for language in ACTIVITY_LANGUAGES[1:])],
    indirect=["language"],
)
def test_superseded_holder_is_gone_and_its_records_are_dropped(
    language: str,
    options: dict[str, int],
    kind: Kind,
    start: StartActivity,
    connect: Connect,
    sdk_worker: SdkWorker,
) -> None:
    driver = connect(language)
    activity = start(kind, heartbeat_timeout_ms=3_000)
    first = activity.next_attempt()
    handle = open_by_ids(driver, activity, heartbeat_timeout_ms=3_000, **options)
    handle.record(1)
    handle.flush()
    sdk_worker.fail(first.token)
    second = activity.next_attempt()
    record_too_late(handle)
    assert Signals.GONE in handle.wait(Signals.GONE, timeout=30_000)
    with refused("THB_NOT_FOUND"):
        handle.complete("too late")
    assert activity.heartbeat_details() == [1]
    # No process beats for the second attempt, so a third one starts.
    assert (second.number, activity.next_attempt().number) == (2, 3)


@pytest.mark.parametrize("kind", ["standalone"], indirect=True)
def test_reset_starts_another_attempt_with_the_same_number(
    kind: Kind, start: StartActivity, connect_cpp: ConnectCpp, sdk_worker: SdkWorker
) -> None:
    driver = connect_cpp()
    activity = start(kind, heartbeat_timeout_ms=3_000)
    first = activity.next_attempt()
    handle = open_by_ids(driver, activity, heartbeat_timeout_ms=3_000)
    handle.record(1)
    handle.flush()
    activity.reset()
    sdk_worker.fail(first.token)
    assert activity.next_attempt().number == 1
    record_too_late(handle)
    assert Signals.GONE in handle.wait(Signals.GONE, timeout=30_000)
    assert activity.heartbeat_details() == [1]


def test_later_attempt_is_opened_by_its_ids(
    kind: Kind, start: StartActivity, connect_cpp: ConnectCpp, sdk_worker: SdkWorker, server: Server
) -> None:
    if kind == "standalone" and server.version == WITHOUT_LATER_ATTEMPTS_BY_IDS:
        unsupported("requests by ids for a later attempt of a standalone activity")
    driver = connect_cpp()
    activity = start(kind)
    sdk_worker.fail(activity.next_attempt().token)
    activity.next_attempt()
    handle = open_by_ids(driver, activity)
    handle.record(42)
    handle.flush()
    assert activity.heartbeat_details() == [42]
    handle.complete("by the second")
    assert activity.result() == "by the second"


@pytest.mark.parametrize("kind", ["standalone"], indirect=True)
def test_server_that_refuses_a_later_attempt_by_ids_does_not_end_it(
    kind: Kind, start: StartActivity, connect_cpp: ConnectCpp, sdk_worker: SdkWorker, server: Server
) -> None:
    if server.version != WITHOUT_LATER_ATTEMPTS_BY_IDS:
        unsupported("a server that answers NOT_FOUND by ids while the attempt runs (Server 1.31)")
    driver = connect_cpp()
    activity = start(kind, heartbeat_timeout_ms=5_000)
    sdk_worker.fail(activity.next_attempt().token)
    second = activity.next_attempt()
    handle = open_by_ids(driver, activity, heartbeat_timeout_ms=5_000)
    handle.record(42)
    with refused("THB_UNAVAILABLE", "attempt 2 of a standalone activity", "hand over the task token"):
        handle.flush(timeout=1_000)
    for end in (handle.complete, handle.fail, handle.report_cancelled):
        with refused("THB_UNAVAILABLE", "hand over the task token"):
            end(timeout=500)
    assert handle.info()["state"] == "open"
    # The attempt still runs, and its token works.
    driver.heartbeat(second.token, 43)
    signals = handle.wait(Signals.LEASE_LOST, timeout=30_000)
    assert Signals.LEASE_LOST in signals
    assert Signals.GONE not in signals
    sdk_worker.complete(second.token, "by token")
    assert activity.result() == "by token"
    assert Signals.GONE in handle.wait(Signals.GONE, timeout=30_000)


def test_activity_in_backoff_is_not_started(
    kind: Kind, start: StartActivity, connect_cpp: ConnectCpp, sdk_worker: SdkWorker
) -> None:
    driver = connect_cpp()
    activity = start(kind)
    sdk_worker.fail(activity.next_attempt().token, next_retry_delay=60)
    handle = open_by_ids(driver, activity)
    with refused("THB_FAILED_PRECONDITION", "isn't started yet"):
        handle.details(timeout=1_500)
    with refused("THB_FAILED_PRECONDITION", "isn't started yet"):
        handle.complete("done", timeout=1_500)


def test_attempt_other_than_the_named_one_is_not_found(
    kind: Kind, start: StartActivity, connect_cpp: ConnectCpp, sdk_worker: SdkWorker
) -> None:
    driver = connect_cpp()
    activity = start(kind)
    sdk_worker.fail(activity.next_attempt().token)
    activity.next_attempt()
    with refused("THB_NOT_FOUND", "another attempt has taken over"):
        open_by_ids(driver, activity, attempt=1).details()


def test_frozen_holder_checks_its_attempt_before_it_sends(
    kind: Kind, start: StartActivity, connect_cpp: ConnectCpp
) -> None:
    driver, successor = connect_cpp(), connect_cpp()
    activity = start(kind, heartbeat_timeout_ms=2_000)
    activity.next_attempt()
    # Without a pulse nothing is sent after waking up, so no other answer can arrive first.
    handle = open_by_ids(driver, activity, heartbeat_timeout_ms=2_000, pulse=False)
    handle.record(1)
    handle.flush()
    os.kill(driver.pid, signal.SIGSTOP)
    second = successor.open(activity.next_attempt().token, heartbeat_timeout_ms=2_000)
    second.record(2)
    second.flush()
    handle.start_record(99)
    os.kill(driver.pid, signal.SIGCONT)
    assert Signals.LEASE_LOST in handle.finish_record()
    assert Signals.GONE in handle.wait(Signals.GONE, timeout=30_000)
    assert activity.heartbeat_details() == [2]
    second.complete("done")
    assert activity.result() == "done"


def test_second_holder_by_the_same_ids_is_refused(kind: Kind, start: StartActivity, connect_cpp: ConnectCpp) -> None:
    driver = connect_cpp()
    activity = start(kind)
    activity.next_attempt()
    open_by_ids(driver, activity)
    with refused("THB_ALREADY_OPEN"):
        driver.open_as("second", b"", **activity.ids())


def test_ids_of_another_activity_than_the_token_are_refused(start: StartActivity, connect_cpp: ConnectCpp) -> None:
    token = start("workflow").next_attempt().token
    with refused("THB_CONFIG", "another activity"):
        connect_cpp().open(token, workflow_id="w", activity_id="a")


def test_ids_with_an_unreadable_token_find_the_details(start: StartActivity, connect_cpp: ConnectCpp) -> None:
    driver, successor = connect_cpp(), connect_cpp()
    activity = start("workflow", heartbeat_timeout_ms=4_000)
    first = activity.next_attempt()
    driver.heartbeat(first.token, 41)
    # The server finds the activity by its scheduled event id. The library doesn't read that id.
    unreadable = without_the_activitys_id(first.token, activity)
    with refused("THB_TOKEN_UNREADABLE"):
        driver.open(unreadable)
    handle = driver.open(unreadable, heartbeat_timeout_ms=4_000, **activity.ids())
    assert handle.details().values == [41]
    assert handle.wait(timeout=8_000) == Signals.NONE  # longer than one timeout: 2 x 4 s
    assert activity.heartbeat_details() == [41]
    handle.record(42)
    handle.fail(message="once more")

    second = activity.next_attempt()
    assert second.details == [42]
    late = successor.open(without_the_activitys_id(second.token, activity), attempt=2, **activity.ids())
    late.record(43)
    late.flush()
    assert late.info()["addressed_by"] == "token"
    late.complete("done")
    assert activity.result() == "done"


def without_the_activitys_id(token: bytes, activity: ExternalActivity) -> bytes:
    """Returns the token without field 6, the activity id."""
    name = activity.id.encode()
    before, after = token.split(bytes([6 << 3 | 2, len(name)]) + name)
    return before + after


def test_nonexistent_activity_is_not_found(connect_cpp: ConnectCpp) -> None:
    handle = connect_cpp().open(b"", workflow_id="nowhere", activity_id="nobody")
    with refused("THB_NOT_FOUND"):
        handle.details()
    assert handle.signals() == Signals.GONE
