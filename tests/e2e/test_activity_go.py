"""An open activity in Go: what ends its Context, and the program in the binding's README."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.activities import ExternalActivity, Kind
from harness.build import run
from harness.driver import Driver, OpenActivity
from harness.fixtures import Connect, StartActivity
from harness.handoff_program import handoff_environment
from harness.paths import ROOT
from harness.requires import requires
from harness.server import Server
from harness.signals import Signals

TIMEOUT_MS = 2_000


@pytest.fixture
def driver(connect: Connect) -> Driver:
    return connect("go")


def cause(handle: OpenActivity, timeout_ms: int = 30_000) -> str:
    """Waits for the end of the Context, and returns its cause."""
    [word] = handle.call("cause", str(timeout_ms))
    return word


ENDS: dict[str, Callable[[ExternalActivity], None]] = {
    "cancel_requested": lambda activity: activity.request_cancel(),
    "gone": lambda activity: activity.terminate(),
    "reset": lambda activity: activity.reset(),
}


@pytest.mark.parametrize("expected", ENDS)
def test_context_ends_with_its_cause_during_a_wait(
    expected: str, kind: Kind, start: StartActivity, driver: Driver
) -> None:
    activity = start(kind, heartbeat_timeout_ms=TIMEOUT_MS)
    handle = driver.open(activity.next_attempt().token, heartbeat_timeout_ms=TIMEOUT_MS)
    handle.record(1)
    handle.flush()
    ENDS[expected](activity)
    assert cause(handle) == expected


def test_context_of_hung_work_ends(kind: Kind, start: StartActivity, driver: Driver) -> None:
    activity = start(kind, heartbeat_timeout_ms=TIMEOUT_MS)
    handle = driver.open(activity.next_attempt().token, heartbeat_timeout_ms=TIMEOUT_MS, stall_timeout_ms=TIMEOUT_MS)
    handle.record(1)
    assert cause(handle) in ("lease_lost", "gone")


def test_context_of_a_frozen_holder_has_ended_when_its_first_record_returns(
    kind: Kind, start: StartActivity, driver: Driver
) -> None:
    activity = start(kind, heartbeat_timeout_ms=1_000)
    # Without a pulse nothing is sent after waking up, so no answer can arrive before the record.
    handle = driver.open(activity.next_attempt().token, heartbeat_timeout_ms=1_000, pulse=False)
    handle.record(1)
    handle.flush()
    driver.freeze()
    try:
        activity.next_attempt()
        handle.start_record(2)
    finally:
        driver.thaw()
    [_, known] = driver.finish()
    assert known == "lease_lost"


def test_pause_and_deadline_do_not_end_the_context(start: StartActivity, driver: Driver) -> None:
    activity = start("workflow", heartbeat_timeout_ms=TIMEOUT_MS, start_to_close_ms=2_000)
    token = activity.next_attempt().token
    activity.pause()
    handle = driver.open(token, heartbeat_timeout_ms=TIMEOUT_MS, attempt_remaining_ms=1_000)
    for signal in (Signals.PAUSED, Signals.DEADLINE):
        assert signal in handle.wait(signal, timeout=30_000)
    assert cause(handle, timeout_ms=200) == "none"


def test_program_of_the_readme_resumes_and_completes(
    server: Server, start: StartActivity, driver: Driver, tmp_path: Path
) -> None:
    binding = ROOT / "bindings" / "go"
    [program] = re.findall(r"```go\n(package main\n.*?)```", (binding / "README.md").read_text(), flags=re.DOTALL)
    (tmp_path / "main.go").write_text(program)
    go = [requires(shutil.which("go"), "go"), "-C", str(tmp_path)]
    run([*go, "mod", "init", "solver"])
    run([*go, "mod", "edit", f"-replace=temporal-heartbeat.dev/go={binding}"])
    run([*go, "mod", "tidy"])
    run([*go, "build", "-o", "solver", "."])

    activity = start("workflow")
    attempt = activity.next_attempt()
    driver.heartbeat(attempt.token, 41)
    done = subprocess.run(
        [tmp_path / "solver"], env=handoff_environment(server, attempt), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.findall(r" item (\d+)", done.stderr) == [str(item) for item in range(42, 100)]
    assert activity.result() == "done"
