"""Python processes that use the library and start other processes in each way that Python offers."""

import subprocess
import sys

import pytest

from harness.fixtures import StartActivity
from harness.languages import library_environment
from harness.paths import DRIVERS, ROOT
from harness.server import Server

PATIENCE = 120.0


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn", "thread"])
def test_python_child_processes_send_heartbeats_next_to_their_parent(
    start: StartActivity, server: Server, method: str
) -> None:
    activity = start("workflow", heartbeat_timeout_ms=60_000)
    variables = {
        "TOKEN": activity.next_attempt().token.hex(),
        "TEMPORAL_ADDRESS": server.address,
        "PYTHONPATH": str(ROOT / "bindings" / "python"),
        # Newer Pythons warn about every fork of a process with threads. The library's tests show that such forks work.
        "PYTHONWARNINGS": "ignore::DeprecationWarning",
    }
    done = subprocess.run(
        [sys.executable, str(DRIVERS / "pool.py"), method],
        env=library_environment() | variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    expected = [0, 0, 0] if method == "thread" else list(range(12))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == str(expected)
    assert activity.heartbeat_details() == [99]
