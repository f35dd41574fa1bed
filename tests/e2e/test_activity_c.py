"""Activities held open, in C and C++: what a server, and the next attempt, see of them."""

import os
import signal
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.activities import Kind
from harness.driver import refused
from harness.held import HeldDriver, Hold, example
from harness.languages import library_environment
from harness.payloads import LIMIT
from harness.proxy import Proxy
from harness.server import OTHER_NAMESPACE, Server
from harness.signals import Signals
from harness.stage import StartActivity
from harness.worker import PATIENCE, Attempt

# What a busy machine may add to a time that the library keeps.
MARGIN_S = 5.0


@pytest.mark.parametrize(("killed", "resuming"), [("c", "cpp"), ("cpp", "c")])
def test_killed_program_resumes_in_the_other_language(
    killed: str, resuming: str, server: Server, kind: Kind, start: StartActivity, tmp_path: Path
) -> None:
    example(killed)  # built, before an attempt starts, whose time is short
    example(resuming)
    activity = start(kind, heartbeat_timeout_ms=4_000)
    done = tmp_path / "done"
    first = run_example(killed, server, activity.next_attempt(), done)
    wait_until(lambda: done.exists() and done.read_text().count("\n") >= 30)
    first.kill()
    first.wait()

    second = run_example(resuming, server, activity.next_attempt(), done)
    assert second.wait(PATIENCE) == 0
    assert activity.result() == 40
    name = {"c": " c ", "cpp": " c++ "}
    lines = done.read_text().splitlines()
    before = [line for line in lines if name[killed] in line]
    after = [int(line.split()[2]) for line in lines if name[resuming] in line]
    # It went on where the server knew the first one to be: two seconds behind at most, for then a beat is due.
    assert after == list(range(after[0], 41))
    assert 2 <= after[0] <= len(before) + 1


def test_cancellation_is_seen_within_the_throttle_interval(kind: Kind, start: StartActivity, hold: Hold) -> None:
    activity = start(kind)
    held = hold().open(activity.next_attempt().token, heartbeat_timeout_ms=4_000)
    held.record(1)
    held.flush()
    activity.request_cancel()
    asked = time.monotonic()
    assert held.wait(Signals.CANCEL_REQUESTED, timeout=30_000) == Signals.CANCEL_REQUESTED
    assert time.monotonic() - asked < 2 + MARGIN_S
    held.report_cancelled()


def test_cancellation_is_seen_sooner_by_who_pays_for_it(start: StartActivity, hold: Hold) -> None:
    activity = start("workflow", heartbeat_timeout_ms=120_000)
    held = hold().open(activity.next_attempt().token, heartbeat_timeout_ms=120_000, cancel_poll_ms=500)
    held.record(1)
    held.flush()
    activity.request_cancel()
    asked = time.monotonic()
    assert held.wait(Signals.CANCEL_REQUESTED, timeout=59_000) == Signals.CANCEL_REQUESTED
    assert time.monotonic() - asked < 0.5 + MARGIN_S


def test_pulse_keeps_the_activity_alive_and_the_details_of_the_attempt_before(
    kind: Kind, start: StartActivity, hold: Hold
) -> None:
    activity = start(kind, heartbeat_timeout_ms=4_000)
    driver = hold()
    first = driver.open(activity.next_attempt().token, heartbeat_timeout_ms=4_000)
    first.record({"item": 41})
    first.flush()
    driver.kill()

    second = hold().open(activity.next_attempt().token, heartbeat_timeout_ms=4_000)
    assert second.wait(timeout=12_000) == Signals.NONE  # three timeouts, and nothing recorded
    assert second.info()["beats"] >= 3
    assert activity.heartbeat_details() == [{"item": 41}]
    assert second.details().values == [{"item": 41}]
    second.complete("done")
    assert activity.result() == "done"


def test_hung_child_is_retried_and_a_slow_one_that_touches_is_not(start: StartActivity, hold: Hold) -> None:
    options = {"heartbeat_timeout_ms": 6_000, "stall_timeout_ms": 3_000}
    hanging, working = hold(), hold()
    hung, slow = (start("workflow", heartbeat_timeout_ms=6_000) for _ in range(2))
    hangs = hanging.open(hung.next_attempt().token, **options)
    works = working.open(slow.next_attempt().token, **options)
    hangs.record(41)
    # The pulse stops; the lease runs out.
    while hangs.wait(Signals.LEASE_LOST, timeout=200) != Signals.STALLED | Signals.LEASE_LOST:
        assert works.touch() == Signals.NONE
    retry = hung.next_attempt()
    assert (retry.number, retry.details) == (2, [41])
    works.complete("slow but sure")
    assert slow.result() == "slow but sure"
    # A sign of life is too late now.
    hangs.touch()
    assert Signals.GONE in hangs.wait(Signals.GONE, timeout=30_000)


def test_frozen_child_learns_of_its_lost_lease_before_it_does_more(
    server: Server, start: StartActivity, hold: Hold
) -> None:
    with Proxy(server.port) as proxy:
        driver = hold(proxy.address)
        activity = start("workflow", heartbeat_timeout_ms=2_000)
        held = driver.open(activity.next_attempt().token, heartbeat_timeout_ms=2_000)
        held.record(1)
        held.flush()
        os.kill(driver.pid, signal.SIGSTOP)
        retry = activity.next_attempt()
        # The server's own word, that the activity is gone, must not come first.
        proxy.lose_answers()
        held.start_record(2)
        os.kill(driver.pid, signal.SIGCONT)
        assert held.finish_record() == Signals.LEASE_LOST
        proxy.cut()
        assert Signals.GONE in held.wait(Signals.GONE, timeout=30_000)
    with refused("THB_NOT_FOUND"):
        held.record(3)
    assert (retry.number, retry.details) == (2, [1])


def test_pause_and_unpause_are_seen(kind: Kind, start: StartActivity, hold: Hold) -> None:
    activity = start(kind, heartbeat_timeout_ms=3_000)
    held = hold().open(activity.next_attempt().token, heartbeat_timeout_ms=3_000)
    held.record(1)
    activity.pause()
    assert held.wait(timeout=30_000) == Signals.PAUSED
    assert held.wait(known=Signals.PAUSED, timeout=9_000) == Signals.PAUSED  # paused for three timeouts
    activity.unpause()
    assert held.wait(known=Signals.PAUSED, timeout=30_000) == Signals.NONE
    held.complete("done")
    assert activity.result() == "done"


def test_reset_is_seen_and_its_details_are_kept(kind: Kind, start: StartActivity, hold: Hold) -> None:
    activity = start(kind, heartbeat_timeout_ms=4_000)
    held = hold().open(activity.next_attempt().token, heartbeat_timeout_ms=4_000)
    held.record(41)
    activity.reset()
    assert held.wait(timeout=30_000) == Signals.RESET
    held.fail(message="starting anew")
    assert activity.next_attempt().details == [41]


def test_reset_of_a_later_attempt_ends_it_in_a_workflow_and_is_told_elsewhere(
    kind: Kind, start: StartActivity, hold: Hold
) -> None:
    activity = start(kind, heartbeat_timeout_ms=2_000)
    driver = hold()
    driver.open_as("first", activity.next_attempt().token, heartbeat_timeout_ms=2_000).fail(message="once more")
    second = driver.open_as("second", activity.next_attempt().token, heartbeat_timeout_ms=2_000)
    second.record(2)
    second.flush()
    activity.reset()  # in a workflow the next attempt comes when the timeout of this one is over
    if kind == "standalone":
        assert second.wait(timeout=30_000) == Signals.RESET
        second.fail(message="starting anew")
    third = driver.open_as("third", activity.next_attempt().token, heartbeat_timeout_ms=2_000)
    third.record(3)
    third.flush()
    if kind == "workflow":
        assert second.wait(Signals.GONE, timeout=30_000) == Signals.GONE
        with refused("THB_NOT_FOUND"):
            second.record(4)
    assert activity.heartbeat_details() == [3]
    third.complete("done")
    assert activity.result() == "done"


def test_many_records_are_few_requests(start: StartActivity, hold: Hold) -> None:
    activity = start("workflow", heartbeat_timeout_ms=4_000)
    held = hold().open(activity.next_attempt().token, heartbeat_timeout_ms=4_000)
    began = time.monotonic()
    for item in range(10_000):
        held.record(item)
    held.flush()
    elapsed = time.monotonic() - began
    info = held.info()
    assert info["records"] == 10_000
    # One at once, one for the flush, and one each two seconds; jitter makes these a tenth shorter.
    assert info["beats"] + info["failed_tries"] <= 2 + elapsed / 1.8
    assert activity.heartbeat_details() == [9_999]


def test_what_was_recorded_right_before_a_failure_is_the_next_attempts(
    kind: Kind, start: StartActivity, hold: Hold
) -> None:
    activity = start(kind)
    held = hold().open(activity.next_attempt().token, heartbeat_timeout_ms=30_000)
    held.record(1)
    held.flush()
    held.record(2)
    held.record(3)
    held.fail(message="boom")
    assert activity.next_attempt().details == [3]
    with refused("THB_ENDED"):
        held.record(4)


@pytest.mark.parametrize("end", ["close", "disconnect", "exit"])
def test_what_was_recorded_last_is_sent_before_the_end(end: str, start: StartActivity, hold: Hold) -> None:
    activity = start("workflow")
    driver = hold()
    held = driver.open(activity.next_attempt().token, heartbeat_timeout_ms=30_000)
    held.record(1)
    held.flush()
    held.record(2)
    match end:
        case "close":
            held.close()
        case "disconnect":
            driver.disconnect()
        case _:
            driver.close()
    assert activity.heartbeat_details() == [2]


def test_activity_survives_a_server_that_is_away_for_half_a_lease(
    server: Server, start: StartActivity, hold: Hold
) -> None:
    activity = start("workflow", heartbeat_timeout_ms=8_000)
    token = activity.next_attempt().token
    with Proxy(server.port) as up:
        held = hold(up.address).open(token, heartbeat_timeout_ms=8_000)
        held.record(1)
        held.flush()
    held.record(2)
    assert held.wait(timeout=4_000) == Signals.NONE
    with Proxy(server.port, up.port):
        held.flush(timeout=30_000)
        assert held.signals() == Signals.NONE
        assert activity.heartbeat_details() == [2]
        held.complete("survived")
        assert activity.result() == "survived"


def test_activity_survives_a_black_hole_for_most_of_a_lease(proxy: Proxy, start: StartActivity, hold: Hold) -> None:
    activity = start("workflow", heartbeat_timeout_ms=10_000)
    held = hold(proxy.address).open(activity.next_attempt().token, heartbeat_timeout_ms=10_000)
    held.record(1)
    held.flush()
    proxy.become_a_black_hole()
    held.record(2)
    assert held.wait(timeout=6_000) == Signals.NONE
    proxy.heal()
    held.flush(timeout=30_000)
    assert held.signals() == Signals.NONE
    held.complete("survived")
    assert activity.result() == "survived"


def test_activity_is_lost_to_a_server_that_is_away_for_two_leases(
    server: Server, start: StartActivity, hold: Hold
) -> None:
    activity = start("workflow", heartbeat_timeout_ms=1_000)
    token = activity.next_attempt().token
    with Proxy(server.port) as up:
        held = hold(up.address).open(token, heartbeat_timeout_ms=1_000)
        began = time.monotonic()
        held.record(1)
        held.flush()
        last = time.monotonic()
    assert held.wait(Signals.LEASE_LOST, timeout=30_000) == Signals.LEASE_LOST
    assert began + 1 < time.monotonic() < last + 2 + MARGIN_S
    assert held.record(2) == Signals.LEASE_LOST
    retry = activity.next_attempt()
    with Proxy(server.port, up.port):
        assert Signals.GONE in held.wait(Signals.GONE, timeout=30_000)
        with refused("THB_NOT_FOUND"):
            held.record(3)
        with refused("THB_NOT_FOUND"):
            held.complete("too late")
    assert (retry.number, retry.details) == (2, [1])


def test_no_pulse_goes_out_until_it_is_known_what_it_would_erase(
    server: Server, start: StartActivity, hold: Hold
) -> None:
    activity = start("workflow", heartbeat_timeout_ms=8_000)
    driver = hold()
    driver.heartbeat(activity.next_attempt().token, 41)
    token = activity.next_attempt().token
    with Proxy(server.port) as up:
        retry = hold(up.address)
    held = retry.open(token, heartbeat_timeout_ms=8_000)
    assert held.wait(timeout=30_000) == Signals.UNSEEDED
    with refused("THB_UNAVAILABLE", "connection refused"):
        held.details(timeout=500)
    with Proxy(server.port, up.port):
        assert held.details(timeout=30_000).values == [41]
        assert held.wait(known=Signals.UNSEEDED, timeout=30_000) == Signals.NONE
        held.complete("done")
    assert activity.result() == "done"


def test_end_of_the_attempts_time_is_told(start: StartActivity, hold: Hold) -> None:
    held = hold().open(start("workflow").next_attempt().token, attempt_remaining_ms=500)
    assert held.record(1) == Signals.NONE
    assert held.wait(timeout=30_000) == Signals.DEADLINE
    assert held.record(2) == Signals.DEADLINE


def test_beats_that_the_server_refuses_are_told_with_the_reason(server: Server, start: StartActivity) -> None:
    driver = HeldDriver()
    driver.connect({"address": server.address, "namespace": OTHER_NAMESPACE})
    began = time.monotonic()
    held = driver.open(start("workflow").next_attempt().token)
    with refused("THB_INVALID_ARGUMENT", "namespace"):
        held.details(timeout=30_000)
    held.record(1)
    assert held.wait(timeout=30_000) == Signals.REFUSED
    error = held.info()["last_error"]
    assert error["name"] == "THB_INVALID_ARGUMENT"
    assert "namespace" in error["message"]
    # The rest of the time is not spent on asking again.
    with refused("THB_INVALID_ARGUMENT", "namespace"):
        held.flush(timeout=30_000)
    with refused("THB_INVALID_ARGUMENT", "namespace"):
        held.close(timeout=30_000)
    assert driver.close() == 0
    assert time.monotonic() - began < PATIENCE


def test_token_that_is_held_is_the_handles_alone(start: StartActivity, hold: Hold) -> None:
    token = start("workflow").next_attempt().token
    driver = hold()
    held = driver.open(token)
    with refused("THB_ALREADY_OPEN"):
        driver.open_as("second", token)
    with refused("THB_ALREADY_OPEN"):
        driver.heartbeat(token, 41)
    held.record(42)
    held.flush()
    assert driver.get_details(token).values == [42]
    held.close()
    assert driver.heartbeat(token, 43) == Signals.NONE
    assert driver.open_as("third", token).details().values == [43]


def test_details_too_large_stay_here_and_the_ones_before_them_are_kept(start: StartActivity, hold: Hold) -> None:
    activity = start("workflow")
    held = hold().open(activity.next_attempt().token)
    held.record(41)
    with refused("THB_TOO_LARGE"):
        held.record(bytes(LIMIT))
    held.flush()
    assert activity.heartbeat_details() == [41]
    with refused("THB_TOO_LARGE"):
        held.complete(bytes(LIMIT))
    held.complete("small")
    assert activity.result() == "small"


def test_closed_activity_is_refused_and_may_be_closed_again(start: StartActivity, hold: Hold) -> None:
    held = hold().open(start("workflow").next_attempt().token)
    held.close()
    held.close()
    with refused("THB_INVALID_HANDLE", "closed"):
        held.record(41)
    with refused("THB_INVALID_HANDLE", "closed"):
        held.complete("done")


def test_info_tells_how_it_stands(start: StartActivity, hold: Hold) -> None:
    held = hold().open(start("workflow").next_attempt().token, heartbeat_timeout_ms=30_000)
    held.record(41)
    held.flush()
    held.record(42)
    info = held.info()
    assert (info["state"], info["attempt"], info["pending"], info["records"]) == ("open", 1, True, 2)
    assert 0 < info["lease_left_ms"] <= 30_000


def run_example(language: str, server: Server, attempt: Attempt, done: Path) -> subprocess.Popen[bytes]:
    handed_over = {
        "TEMPORAL_ADDRESS": server.address,
        "TEMPORAL_ACTIVITY_TASK_TOKEN": b64encode(attempt.token).decode(),
        "TEMPORAL_ACTIVITY_HEARTBEAT_TIMEOUT_MS": "4000",
    }
    return subprocess.Popen([example(language), "40", str(done)], env=library_environment() | handed_over)


def wait_until(condition: Callable[[], bool]) -> None:
    """For what a program writes to a file, which is no event that one could wait for."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
