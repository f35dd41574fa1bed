"""Open activities in each language: what the server and the next attempt receive."""

import base64
import time

import pytest
from temporalio.exceptions import ApplicationError, CancelledError

from harness.activities import Kind
from harness.driver import FROM_ENV, refused
from harness.fixtures import Connect, StartActivity, StartDriver
from harness.languages import ACTIVITY_LANGUAGES
from harness.payloads import LIMIT
from harness.polling import wait_until
from harness.proxy import Proxy
from harness.requires import unsupported
from harness.server import Server
from harness.signals import Signals

pytestmark = pytest.mark.parametrize("language", ACTIVITY_LANGUAGES, indirect=True)

# The heartbeat timeout of tests that wait for the throttle interval, which is half of it.
TIMEOUT_MS = 2_000
LONG_TIMEOUT_MS = 30_000
WAIT_MS = 30_000
# The tolerance of time limits on a busy machine.
MARGIN_S = 5.0


def test_killed_holder_resumes_after_the_last_flushed_item(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    driver, successor = connect(language), connect(language)
    activity = start(kind, heartbeat_timeout_ms=TIMEOUT_MS)
    first = driver.open(activity.next_attempt().token, heartbeat_timeout_ms=TIMEOUT_MS)
    assert first.details().values == []
    for item in range(100):
        assert first.record(item) == Signals.NONE
    first.flush()
    driver.kill()

    retry = activity.next_attempt()
    assert (retry.number, retry.details) == (2, [99])
    second = successor.open(retry.token, heartbeat_timeout_ms=TIMEOUT_MS)
    assert second.details().values == [99]
    second.record(100)
    assert second.details().values == [99]
    second.complete("done")
    assert activity.result() == "done"


def test_cancellation_is_seen_within_the_throttle_interval(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    driver = connect(language)
    activity = start(kind, heartbeat_timeout_ms=4_000)
    handle = driver.open(activity.next_attempt().token, heartbeat_timeout_ms=4_000)
    handle.record(1)
    handle.flush()
    activity.request_cancel()
    requested = time.monotonic()
    assert handle.wait(Signals.CANCEL_REQUESTED, timeout=WAIT_MS) == Signals.CANCEL_REQUESTED
    assert time.monotonic() - requested < 2 + MARGIN_S
    handle.report_cancelled("cleaned up")
    error = activity.failure()
    assert isinstance(error, CancelledError)
    assert list(error.details) == ["cleaned up"]


def test_cancel_poll_shows_a_cancellation_sooner(language: str, start: StartActivity, connect: Connect) -> None:
    driver = connect(language)
    activity = start("workflow", heartbeat_timeout_ms=120_000)
    handle = driver.open(activity.next_attempt().token, heartbeat_timeout_ms=120_000, cancel_poll_ms=500)
    handle.record(1)
    handle.flush()
    activity.request_cancel()
    requested = time.monotonic()
    assert handle.wait(Signals.CANCEL_REQUESTED, timeout=59_000) == Signals.CANCEL_REQUESTED
    assert time.monotonic() - requested < 0.5 + MARGIN_S


def test_pulse_keeps_the_activity_alive_and_the_previous_attempts_details(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    driver, successor = connect(language), connect(language)
    activity = start(kind, heartbeat_timeout_ms=TIMEOUT_MS)
    first = driver.open(activity.next_attempt().token, heartbeat_timeout_ms=TIMEOUT_MS)
    first.record({"item": 41})
    first.flush()
    driver.kill()

    second = successor.open(activity.next_attempt().token, heartbeat_timeout_ms=TIMEOUT_MS)
    # Only GONE counts: on a busy machine the library may briefly set UNSEEDED before it has read the details.
    assert not second.wait(Signals.GONE, timeout=3 * TIMEOUT_MS) & Signals.GONE
    info = second.info()
    assert (info["state"], info["records"]) == ("open", 0)
    assert info["beats"] >= 3
    assert activity.heartbeat_details() == [{"item": 41}]
    assert second.details().values == [{"item": 41}]
    second.complete("done")
    assert activity.result() == "done"


def test_hung_child_is_retried_and_a_touching_slow_child_is_not(
    language: str, start: StartActivity, connect: Connect
) -> None:
    options = {"heartbeat_timeout_ms": 4_000, "stall_timeout_ms": 2_000}
    hung_driver, slow_driver = connect(language), connect(language)
    hung_activity, slow_activity = (start("workflow", heartbeat_timeout_ms=4_000) for _ in range(2))
    hung = hung_driver.open(hung_activity.next_attempt().token, **options)
    slow = slow_driver.open(slow_activity.next_attempt().token, **options)
    hung.record(41)
    # The pulse stops, and then the lease expires.
    while hung.wait(Signals.LEASE_LOST, timeout=200) != Signals.STALLED | Signals.LEASE_LOST:
        assert slow.touch() == Signals.NONE
    retry = hung_activity.next_attempt()
    assert (retry.number, retry.details) == (2, [41])
    slow.complete("slow")
    assert slow_activity.result() == "slow"
    # A touch is too late now.
    hung.touch()
    assert Signals.GONE in hung.wait(Signals.GONE, timeout=WAIT_MS)


def test_stalled_child_fails_with_its_status(language: str, start: StartActivity, connect: Connect) -> None:
    driver = connect(language)
    activity = start("workflow", maximum_attempts=1)
    handle = driver.open(activity.next_attempt().token, stall_timeout_ms=300, stall_action="fail")
    handle.set_status("läuft")
    assert handle.info()["status"] == "läuft"
    error = activity.failure()
    assert isinstance(error, ApplicationError)
    assert (error.type, error.non_retryable) == ("Stalled", False)
    assert error.message.endswith("(stall_timeout_ms is 300); status: läuft")
    assert Signals.GONE in handle.wait(Signals.GONE, timeout=WAIT_MS)
    with refused("THB_ENDED", "stall_action"):
        handle.record(42)


def test_frozen_child_sees_its_lost_lease_in_its_first_record(
    language: str, server: Server, start: StartActivity, connect: Connect
) -> None:
    with Proxy(server.port) as proxy:
        driver = connect(language, proxy.address)
        activity = start("workflow", heartbeat_timeout_ms=TIMEOUT_MS)
        handle = driver.open(activity.next_attempt().token, heartbeat_timeout_ms=TIMEOUT_MS)
        handle.record(1)
        handle.flush()
        driver.freeze()
        retry = activity.next_attempt()
        # The server's NOT_FOUND must not arrive before the record.
        proxy.lose_answers()
        handle.start_record(2)
        driver.thaw()
        assert handle.finish_record() == Signals.LEASE_LOST
        proxy.cut()
        assert Signals.GONE in handle.wait(Signals.GONE, timeout=WAIT_MS)
    with refused("THB_NOT_FOUND"):
        handle.record(3)
    assert (retry.number, retry.details) == (2, [1])


def test_start_and_end_of_a_pause_are_seen(language: str, kind: Kind, start: StartActivity, connect: Connect) -> None:
    driver = connect(language)
    activity = start(kind, heartbeat_timeout_ms=TIMEOUT_MS)
    handle = driver.open(activity.next_attempt().token, heartbeat_timeout_ms=TIMEOUT_MS)
    handle.record(1)
    activity.pause()
    assert handle.wait(Signals.PAUSED, timeout=WAIT_MS) == Signals.PAUSED
    activity.unpause()
    assert handle.wait(Signals.PAUSED, known=Signals.PAUSED, timeout=WAIT_MS) == Signals.NONE
    handle.complete("done")
    assert activity.result() == "done"


def test_end_of_a_pause_is_waited_for_and_the_end_of_the_work_too(
    language: str, start: StartActivity, connect: Connect
) -> None:
    driver = connect(language)
    activity = start("workflow", heartbeat_timeout_ms=TIMEOUT_MS)
    handle = driver.open(activity.next_attempt().token, heartbeat_timeout_ms=TIMEOUT_MS)
    assert handle.wait_while_paused(timeout="forever") == Signals.NONE
    activity.pause()
    assert Signals.PAUSED in handle.wait(Signals.PAUSED, timeout=WAIT_MS)
    assert handle.wait_while_paused(timeout=1) == Signals.PAUSED
    handle.start_wait_while_paused("forever")
    activity.unpause()
    assert handle.finish_record() == Signals.NONE
    activity.pause()
    assert Signals.PAUSED in handle.wait(Signals.PAUSED, timeout=WAIT_MS)
    handle.start_wait_while_paused("forever")
    activity.request_cancel()
    assert Signals.CANCEL_REQUESTED in handle.finish_record()


def test_reset_is_seen_and_its_details_are_kept(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    driver = connect(language)
    activity = start(kind, heartbeat_timeout_ms=4_000)
    handle = driver.open(activity.next_attempt().token, heartbeat_timeout_ms=4_000)
    handle.record(41)
    activity.reset()
    assert handle.wait(timeout=WAIT_MS) == Signals.RESET
    handle.fail(message="restart")
    assert activity.next_attempt().details == [41]


def test_reset_of_a_later_attempt_ends_it_in_a_workflow_and_is_a_signal_otherwise(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    driver = connect(language)
    activity = start(kind, heartbeat_timeout_ms=TIMEOUT_MS)
    options = {"heartbeat_timeout_ms": TIMEOUT_MS}
    driver.open_as("first", activity.next_attempt().token, **options).fail(message="retry")
    second = driver.open_as("second", activity.next_attempt().token, **options)
    second.record(2)
    second.flush()
    activity.reset()  # in a workflow the next attempt starts when this attempt's heartbeat timeout expires
    if kind == "standalone":
        assert second.wait(timeout=WAIT_MS) == Signals.RESET
        second.fail(message="restart")
    third = driver.open_as("third", activity.next_attempt().token, **options)
    third.record(3)
    third.flush()
    if kind == "workflow":
        assert second.wait(Signals.GONE, timeout=WAIT_MS) == Signals.GONE
        with refused("THB_NOT_FOUND"):
            second.record(4)
    assert activity.heartbeat_details() == [3]
    third.complete("done")
    assert activity.result() == "done"


def test_terminated_activity_has_the_signal_gone(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    driver = connect(language)
    activity = start(kind, heartbeat_timeout_ms=TIMEOUT_MS)
    handle = driver.open(activity.next_attempt().token, heartbeat_timeout_ms=TIMEOUT_MS)
    handle.record(1)
    handle.flush()
    activity.terminate()
    assert Signals.GONE in handle.wait(Signals.GONE, timeout=WAIT_MS)
    with refused("THB_NOT_FOUND"):
        handle.complete("too late")
    assert handle.info()["state"] == "gone"
    handle.close()


def test_many_records_cause_few_requests(language: str, start: StartActivity, connect: Connect) -> None:
    driver = connect(language)
    activity = start("workflow", heartbeat_timeout_ms=4_000)
    handle = driver.open(activity.next_attempt().token, heartbeat_timeout_ms=4_000)
    began = time.monotonic()
    for item in range(2_000):
        handle.record(item)
    handle.flush()
    elapsed = time.monotonic() - began
    info = handle.info()
    assert info["records"] == 2_000
    # One at once, one for the flush, and one every two seconds. Jitter shortens these by up to a tenth.
    assert info["beats"] + info["failed_tries"] <= 2 + elapsed / 1.8
    assert activity.heartbeat_details() == [1_999]


def test_next_attempt_gets_the_last_record_before_a_failure(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    driver = connect(language)
    activity = start(kind)
    handle = driver.open(activity.next_attempt().token, heartbeat_timeout_ms=LONG_TIMEOUT_MS)
    handle.record(1)
    handle.flush()
    handle.record(2)
    handle.record(3)  # throttled
    handle.fail(message="boom")
    retry = activity.next_attempt()
    assert (retry.number, retry.details) == (2, [3])
    with refused("THB_ENDED"):
        handle.record(4)


@pytest.mark.parametrize("end", ["close", "disconnect", "exit"])
def test_last_record_is_sent_at_the_end(
    language: str, end: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    if (language, end) == ("go", "exit"):
        unsupported("exit functions of C, which a Go program doesn't run")
    driver = connect(language)
    activity = start(kind)
    handle = driver.open(activity.next_attempt().token, heartbeat_timeout_ms=LONG_TIMEOUT_MS)
    handle.record(1)
    handle.flush()
    handle.record(2)
    assert handle.info()["beats"] == 1
    match end:
        case "close":
            handle.close()
        case "disconnect":
            driver.disconnect()
        case _:
            assert driver.close() == 0
    assert activity.heartbeat_details() == [2]


def test_deadline_of_the_attempt_is_a_signal_that_does_not_end_a_pause(
    language: str, start: StartActivity, connect: Connect
) -> None:
    """While it is paused, the server doesn't end the attempt at its deadline."""
    driver = connect(language)
    activity = start("workflow", heartbeat_timeout_ms=TIMEOUT_MS, start_to_close_ms=2_000)
    token = activity.next_attempt().token
    activity.pause()
    handle = driver.open(token, heartbeat_timeout_ms=TIMEOUT_MS, attempt_remaining_ms=1_000)
    assert Signals.DEADLINE in handle.wait(Signals.DEADLINE, timeout=WAIT_MS)
    assert handle.wait_while_paused(timeout=1) == Signals.PAUSED | Signals.DEADLINE
    assert handle.record(2) == Signals.PAUSED | Signals.DEADLINE


def test_token_of_an_open_activity_is_refused_by_other_calls(
    language: str, start: StartActivity, connect: Connect
) -> None:
    token = start("workflow").next_attempt().token
    driver = connect(language)
    handle = driver.open(token)
    with refused("THB_ALREADY_OPEN"):
        driver.open_as("second", token)
    with refused("THB_ALREADY_OPEN"):
        driver.heartbeat(token, 41)
    handle.record(42)
    handle.flush()
    assert driver.get_details(token).values == [42]
    handle.close()
    assert driver.heartbeat(token, 43) == Signals.NONE
    assert driver.open_as("third", token).details().values == [43]


def test_too_large_details_are_refused_and_previous_ones_are_kept(
    language: str, start: StartActivity, connect: Connect
) -> None:
    activity = start("workflow")
    handle = connect(language).open(activity.next_attempt().token)
    handle.record(41)
    with refused("THB_TOO_LARGE"):
        handle.record(bytes(LIMIT))
    handle.flush()
    assert activity.heartbeat_details() == [41]
    with refused("THB_TOO_LARGE"):
        handle.complete(bytes(LIMIT))
    handle.complete("small")
    assert activity.result() == "small"


def test_closed_activity_is_refused_and_may_be_closed_again(
    language: str, start: StartActivity, connect: Connect
) -> None:
    handle = connect(language).open(start("workflow").next_attempt().token)
    handle.close()
    handle.close()
    with refused("THB_INVALID_HANDLE", "closed"):
        handle.record(41)
    with refused("THB_INVALID_HANDLE", "closed"):
        handle.complete("done")


def test_info_describes_the_activity(language: str, start: StartActivity, connect: Connect) -> None:
    handle = connect(language).open(start("workflow").next_attempt().token, heartbeat_timeout_ms=LONG_TIMEOUT_MS)
    handle.record(41)
    handle.flush()
    handle.record(42)
    info = handle.info()
    assert (info["state"], info["attempt"], info["pending"], info["records"]) == ("open", 1, True, 2)
    assert 0 < info["lease_left_ms"] <= LONG_TIMEOUT_MS


def test_activity_is_opened_with_the_variables_of_the_hand_off(
    language: str, kind: Kind, start: StartActivity, server: Server, start_driver: StartDriver
) -> None:
    activity = start(kind, heartbeat_timeout_ms=5_000)
    variables = {
        "TEMPORAL_ADDRESS": server.address,
        "TEMPORAL_ACTIVITY_TASK_TOKEN": base64.b64encode(activity.next_attempt().token).decode(),
        "TEMPORAL_ACTIVITY_HEARTBEAT_TIMEOUT_MS": "5000",
        "TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS": "",
        "TEMPORAL_ACTIVITY_DEADLINE_MS": "1000",
    }
    driver = start_driver(language, variables)
    driver.connect({})
    handle = driver.open(FROM_ENV)
    assert handle.details().values == []
    assert handle.info()["heartbeat_timeout_ms"] == 5_000
    # When the deadline has passed, the library asks the server, which has a later one.
    wait_until(lambda: handle.info()["timeouts_from"] == "server", "the server is asked about the deadline")
    assert handle.info()["start_to_close_timeout_ms"] == 120_000
    assert handle.signals() == Signals.NONE
    handle.complete("done all the same")
    assert activity.result() == "done all the same"


@pytest.mark.parametrize(("age_ms", "signals"), [(1_000, Signals.NONE), (90_000, Signals.LEASE_LOST)])
def test_age_of_the_hand_off_shortens_the_lease_until_the_first_answer(
    language: str, age_ms: int, signals: Signals, start: StartActivity, server: Server, start_driver: StartDriver
) -> None:
    activity = start("workflow", heartbeat_timeout_ms=60_000)
    variables = {
        "TEMPORAL_ADDRESS": server.address,
        "TEMPORAL_ACTIVITY_TASK_TOKEN": base64.b64encode(activity.next_attempt().token).decode(),
        "TEMPORAL_ACTIVITY_HEARTBEAT_TIMEOUT_MS": "60000",
        "TEMPORAL_ACTIVITY_AGE_MS": str(age_ms),
    }
    driver = start_driver(language, variables)
    driver.connect({})
    # Without a pulse nothing is sent, so the lease isn't regained.
    handle = driver.open(FROM_ENV, pulse=False)
    assert handle.signals() == signals
    assert handle.info()["lease_left_ms"] <= 59_000
    handle.record(41)
    handle.flush()
    assert handle.signals() == Signals.NONE
    info = handle.info()
    assert info["leases_regained"] == int(signals == Signals.LEASE_LOST)
    assert 0 < info["lease_left_ms"] <= 60_000
    handle.complete("done")
    assert activity.result() == "done"
