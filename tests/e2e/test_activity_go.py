"""An activity held open, in Go: what its Context tells, what its beats keep, and what a retry finds."""

import base64
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.activities import ExternalActivity, Kind
from harness.build import run
from harness.driver import Driver, refused
from harness.languages import LANGUAGES, library_environment
from harness.needs import needs
from harness.paths import BUILD, ROOT
from harness.proxy import Proxy
from harness.server import Server
from harness.stage import Connect, StartActivity, StartDriver
from harness.worker import Backstage

PAUSED = 2
DEADLINE = 128

# What a busy machine adds to any time.
SLACK_S = 5.0


class Held:
    """An activity that a driver holds open."""

    def __init__(self, driver: Driver, token: bytes, **options: Any) -> None:
        self.driver = driver
        self._call("open", token.hex() or "-", json.dumps(options).encode().hex())

    def record(self, item: int) -> str:
        """Gives why the work was to stop when the record returned."""
        self.start_record(item)
        return self.finish_record()

    def start_record(self, item: int) -> None:
        self.driver.start("activity_record", f"json:{json.dumps(item).encode().hex()}")

    def finish_record(self) -> str:
        [_, cause] = self.driver.finish()
        return cause

    def touch(self) -> None:
        self._call("touch")

    def stopped(self, timeout_ms: int = 30_000) -> str:
        """Waits for the end of the Context; its cause."""
        [cause] = self._call("stopped", str(timeout_ms))
        return cause

    def wait(self, mask: int) -> int:
        [signals] = self._call("wait", str(mask), "30000")
        return int(signals)

    def wait_cleared(self, mask: int) -> int:
        [signals] = self._call("wait_cleared", str(mask), "30000")
        return int(signals)

    def previous(self) -> list[Any]:
        values = [value.split(":") for value in self._call("details")]
        assert all(encoding == "json/plain" for encoding, _ in values)
        return [json.loads(bytes.fromhex(data)) for _, data in values]

    def info(self) -> dict[str, Any]:
        [text] = self._call("info")
        info: dict[str, Any] = json.loads(bytes.fromhex(text))
        return info

    def flush(self) -> None:
        self._call("flush", "10000")

    def complete(self, result: Any) -> None:
        self._call("complete", "10000", f"json:{json.dumps(result).encode().hex()}")

    def start_complete(self, result: Any, timeout_ms: int) -> None:
        """Without waiting for the answer, which is the driver's to finish."""
        self.driver.start("activity_complete", str(timeout_ms), f"json:{json.dumps(result).encode().hex()}")

    def fail(self, failure: Mapping[str, Any]) -> None:
        self._call("fail", "10000", json.dumps(failure).encode().hex())

    def report_cancelled(self) -> None:
        self._call("report_cancelled", "10000")

    def close(self) -> None:
        self._call("close", "10000")

    def _call(self, verb: str, *words: str) -> list[str]:
        return self.driver.call(f"activity_{verb}", *words)


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    """Before an attempt starts, whose time is short."""
    LANGUAGES["go"].command()
    example()


def hold_next(activity: ExternalActivity, connect: Connect, **options: Any) -> Held:
    return Held(connect("go"), activity.next_attempt().token, **options)


def test_killed_holder_resumes_after_what_was_flushed(kind: Kind, start: StartActivity, connect: Connect) -> None:
    activity = start(kind, heartbeat_timeout_ms=2_000)
    first = hold_next(activity, connect, heartbeat_timeout_ms=2_000)
    assert first.previous() == []
    for item in range(100):
        assert first.record(item) == "none"
    first.flush()
    first.driver.kill()

    second = hold_next(activity, connect, heartbeat_timeout_ms=2_000)
    assert second.previous() == [99]
    second.record(100)
    assert second.previous() == [99]
    second.complete("done")
    assert activity.result() == "done"


def test_cancellation_stops_the_work_within_the_throttle_interval(
    kind: Kind, start: StartActivity, connect: Connect
) -> None:
    timeout_s = 6
    activity = start(kind, heartbeat_timeout_ms=timeout_s * 1_000)
    held = hold_next(activity, connect, heartbeat_timeout_ms=timeout_s * 1_000)
    held.record(1)
    held.flush()
    activity.request_cancel()
    asked = time.monotonic()
    assert held.stopped() == "cancel_requested"  # with no call but this, which only waits
    assert time.monotonic() - asked < timeout_s / 2 + SLACK_S
    held.report_cancelled()
    assert type(activity.failure()).__name__ == "CancelledError"


def test_end_of_the_activity_stops_the_work(kind: Kind, start: StartActivity, connect: Connect) -> None:
    activity = start(kind, heartbeat_timeout_ms=2_000)
    held = hold_next(activity, connect, heartbeat_timeout_ms=2_000)
    held.record(1)
    activity.terminate()
    assert held.stopped() == "gone"
    with refused("THB_NOT_FOUND"):
        held.complete("too late")
    assert held.info()["state"] == "gone"
    held.close()


def test_frozen_holder_learns_of_the_lost_lease_before_its_first_record_returns(
    kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind, heartbeat_timeout_ms=1_000)
    # Without a pulse nothing is sent on waking that could bring worse news first.
    held = hold_next(activity, connect, heartbeat_timeout_ms=1_000, pulse=False)
    assert held.record(1) == "none"
    held.flush()
    os.kill(held.driver.pid, signal.SIGSTOP)
    try:
        successor = activity.next_attempt()
        held.start_record(2)
    finally:
        os.kill(held.driver.pid, signal.SIGCONT)
    assert held.finish_record() == "lease_lost"

    second = Held(connect("go"), successor.token, heartbeat_timeout_ms=1_000)
    assert second.previous() == [1]
    second.complete("done")
    assert activity.result() == "done"


def test_pulse_keeps_a_silent_attempt_alive_and_the_details_as_they_were(
    kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind, heartbeat_timeout_ms=2_000)
    first = hold_next(activity, connect, heartbeat_timeout_ms=2_000)
    first.record(41)
    first.flush()
    first.driver.kill()

    second = hold_next(activity, connect, heartbeat_timeout_ms=2_000)
    assert second.stopped(timeout_ms=6_500) == "none"
    assert second.info()["beats"] >= 3
    assert activity.heartbeat_details() == [41]
    assert second.previous() == [41]
    second.complete("done")
    assert activity.result() == "done"


def test_failure_right_after_a_record_carries_it(kind: Kind, start: StartActivity, connect: Connect) -> None:
    activity = start(kind)
    held = hold_next(activity, connect, heartbeat_timeout_ms=30_000)
    held.record(6)
    held.flush()
    held.record(7)  # throttled
    held.fail({"message": "once more"})
    assert activity.next_attempt().details == [7]


def test_pause_is_waited_for_both_ways(kind: Kind, start: StartActivity, connect: Connect) -> None:
    activity = start(kind, heartbeat_timeout_ms=2_000)
    held = hold_next(activity, connect, heartbeat_timeout_ms=2_000)
    held.record(1)
    activity.pause()
    assert held.wait(PAUSED) & PAUSED
    activity.unpause()
    assert not held.wait_cleared(PAUSED) & PAUSED
    assert held.stopped(timeout_ms=0) == "none"
    held.complete("done")


def test_reset_stops_the_work(kind: Kind, start: StartActivity, connect: Connect) -> None:
    activity = start(kind, heartbeat_timeout_ms=2_000)
    held = hold_next(activity, connect, heartbeat_timeout_ms=2_000)
    held.record(1)
    activity.reset()
    assert held.stopped() == "reset"
    held.fail({"message": "stopped for the reset"})
    activity.next_attempt()


def test_hung_work_is_retried_and_slow_work_that_touches_is_not(
    kind: Kind, start: StartActivity, connect: Connect
) -> None:
    options = {"heartbeat_timeout_ms": 2_000, "stall_timeout_ms": 2_000}
    activity = start(kind, heartbeat_timeout_ms=2_000)
    hung = hold_next(activity, connect, **options)
    hung.record(1)
    slow = hold_next(activity, connect, **options)  # the server's own next attempt, while the first one lives
    assert hung.stopped() in ("lease_lost", "gone")
    while slow.info()["beats"] < 6:  # three timeouts' length
        slow.touch()
        assert slow.stopped(timeout_ms=200) == "none"
    assert slow.previous() == [1]
    slow.complete("done")
    assert activity.result() == "done"


def test_environment_spares_the_questions(
    kind: Kind, start: StartActivity, server: Server, start_driver: StartDriver
) -> None:
    activity = start(kind, heartbeat_timeout_ms=5_000)
    environment = {
        "TEMPORAL_ADDRESS": server.address,
        "TEMPORAL_ACTIVITY_TASK_TOKEN": base64.b64encode(activity.next_attempt().token).decode(),
        "TEMPORAL_ACTIVITY_HEARTBEAT_TIMEOUT_MS": "5000",
        "TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS": "",
        "TEMPORAL_ACTIVITY_DEADLINE_MS": "1000",
    }
    driver = start_driver("go", environment)
    driver.connect({})
    held = Held(driver, b"")
    assert held.previous() == []
    assert held.info()["heartbeat_timeout_ms"] == 5_000
    assert held.wait(DEADLINE) == DEADLINE
    assert held.stopped(timeout_ms=200) == "none"  # the server decides
    held.complete("done all the same")
    assert activity.result() == "done all the same"


@functools.cache
def example() -> str:
    program = BUILD / "activity_go"
    go = needs(shutil.which("go"), "go")
    run([go, "-C", str(ROOT / "bindings" / "go"), "build", "-o", str(program), "./examples/activity"])
    return str(program)


def handed_over(server: Server, token: bytes, **further: str) -> dict[str, str]:
    ours = {
        "TEMPORAL_ADDRESS": server.address,
        "TEMPORAL_ACTIVITY_TASK_TOKEN": base64.b64encode(token).decode(),
    }
    return library_environment() | ours | further


def run_example(server: Server, token: bytes, *arguments: str) -> "subprocess.Popen[str]":
    environment = handed_over(server, token, TEMPORAL_ACTIVITY_HEARTBEAT_TIMEOUT_MS="2000")
    return subprocess.Popen([example(), *arguments], env=environment, stdout=subprocess.PIPE, text=True)


def test_example_is_killed_and_resumes(kind: Kind, server: Server, start: StartActivity) -> None:
    activity = start(kind, heartbeat_timeout_ms=2_000)
    with run_example(server, activity.next_attempt().token, "-items", "1000") as first:
        assert first.stdout
        assert first.stdout.readline() == "starting at item 0\n"
        for line in first.stdout:
            if line == "item 19 done\n":
                break
        first.kill()
    with run_example(server, activity.next_attempt().token, "-items", "40") as second:
        assert second.stdout
        said = second.stdout.read().split("\n")
        assert second.wait() == 0
    resumed = int(said[0].removeprefix("starting at item "))
    assert 0 < resumed <= 20  # what was recorded in the last throttle interval may be done twice
    assert said[-2] == "item 39 done"
    assert activity.result() == 40


def test_printed_program_of_the_binding_goes_on_and_completes(
    server: Server, start: StartActivity, connect: Connect, tmp_path: Path
) -> None:
    binding = ROOT / "bindings" / "go"
    [program] = re.findall(r"```go\n(package main\n.*?)```", (binding / "README.md").read_text(), flags=re.DOTALL)
    (tmp_path / "main.go").write_text(program)
    go = [needs(shutil.which("go"), "go"), "-C", str(tmp_path)]
    run([*go, "mod", "init", "solver"])
    run([*go, "mod", "edit", f"-replace=temporal-heartbeat.dev/go={binding}"])
    run([*go, "mod", "tidy"])
    run([*go, "build", "-o", "solver", "."])

    activity = start("workflow")
    token = activity.next_attempt().token
    connect("go").heartbeat(token, 41)
    done = subprocess.run(
        [tmp_path / "solver"], env=handed_over(server, token), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.findall(r" item (\d+)", done.stderr) == [str(item) for item in range(42, 100)]
    assert activity.result() == "done"


def test_end_whose_answer_was_lost_is_looked_up(
    kind: Kind, start: StartActivity, proxy: Proxy, connect: Connect
) -> None:
    driver = connect("go", proxy.address)
    activity = start(kind)
    # An end waits for an answer that is under way, and here it would be lost: there is nothing to ask.
    held = Held(driver, activity.next_attempt().token, heartbeat_timeout_ms=30_000, verify=True)
    held.record(41)
    held.flush()
    proxy.lose_answers()
    held.start_complete("done", timeout_ms=30_000)
    assert activity.result() == "done"
    proxy.cut()
    driver.finish()
    assert held.info()["state"] == "ended"


def test_superseded_holder_by_ids_is_stopped_and_feeds_nobody(
    kind: Kind, start: StartActivity, connect: Connect, backstage: Backstage
) -> None:
    driver = connect("go")
    activity = start(kind, heartbeat_timeout_ms=3_000)
    token = activity.next_attempt().token
    held = Held(driver, b"", heartbeat_timeout_ms=3_000, attempt=1, **activity.ids())
    assert held.record(41) == "none"
    held.flush()
    backstage.fail(token)
    second = activity.next_attempt()
    assert (second.number, second.details) == (2, [41])
    assert held.stopped() == "gone"
    assert activity.heartbeat_details() == [41]


def test_activity_is_completed_by_its_ids(kind: Kind, start: StartActivity, connect: Connect) -> None:
    driver = connect("go")
    activity = start(kind)
    activity.next_attempt()
    held = Held(driver, b"", **activity.ids())
    assert held.previous() == []
    held.record(41)
    held.flush()
    assert held.info()["addressed_by"] == {"workflow": "derived_token", "standalone": "ids"}[kind]
    held.complete("by ids")
    assert activity.result() == "by ids"
