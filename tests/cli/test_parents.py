"""The parents of examples/parents hand over each attempt of an activity to `exec`."""

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.common import RetryPolicy

from harness.activities import Kind
from harness.build import run
from harness.dependencies import npm
from harness.fixtures import StartActivity
from harness.paths import BUILD, ROOT
from harness.polling import wait_until
from harness.process import SILENCE_LIMIT_S, Process
from harness.program import encoded, environment, program
from harness.requires import requires
from harness.server import Server
from harness.worker import SdkWorker

PARENTS = ROOT / "examples" / "parents"

# Counts to 8, starting where the previous attempt stopped.
COUNT = "for ((item = ${TEMPORAL_ACTIVITY_DETAILS_JSON:-0}; item < 8; )); do sleep 0.2; echo $((++item)); done"
COMMAND = ["bash", "-c", COUNT]
# The first attempt stops at six and waits until the test kills it.
WAITS = COUNT.replace("; done", "; ((item == 6 && TEMPORAL_ACTIVITY_ATTEMPT == 1)) && sleep 1000; done; exit 0")
COUNTED = "\n".join(map(str, range(1, 9)))


def python() -> list[str]:
    return [sys.executable, str(PARENTS / "python" / "parent.py")]


def go() -> list[str]:
    compiler = requires(shutil.which("go"), "go")
    run([compiler, "-C", str(PARENTS / "go"), "build", "-o", str(BUILD / "parent_of_exec"), "."])
    return [str(BUILD / "parent_of_exec")]


def typescript() -> list[str]:
    node = requires(shutil.which("node"), "node")
    folder = BUILD / "parents" / "typescript"
    npm(PARENTS / "typescript", folder)
    run([node, str(folder / "node_modules" / "typescript" / "bin" / "tsc"), "-p", str(folder)])
    return [node, str(folder / "parent.js")]


SLOW = pytest.mark.skipif(os.environ.get("THB_SLOW") != "1", reason="make check-slow")


@pytest.fixture(params=[python, go, pytest.param(typescript, marks=SLOW)], ids=lambda built: built.__name__)
def parent(request: pytest.FixtureRequest) -> list[str]:
    """Builds the parent before any attempt starts, because attempts have short timeouts."""
    build: Callable[[], list[str]] = request.param
    return build()


@pytest.fixture
def variables(server: Server, tmp_path: Path) -> Mapping[str, str]:
    """Puts the program on the PATH."""
    (tmp_path / "temporal-heartbeat").symlink_to(program())
    return environment(server.address) | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}


def test_parent_hands_over_each_attempt(
    parent: list[str], server: Server, sdk_worker: SdkWorker, variables: Mapping[str, str]
) -> None:
    queue = f"parent-{uuid.uuid4()}"
    with Process([*parent, server.address, queue, "bash", "-c", WAITS], variables, merge_stderr=True) as process:
        interval = timedelta(milliseconds=100)
        handle = sdk_worker.run(
            sdk_worker.client.start_activity(
                "run",
                id=queue,
                task_queue=queue,
                start_to_close_timeout=timedelta(minutes=2),
                heartbeat_timeout=timedelta(seconds=2),
                retry_policy=RetryPolicy(initial_interval=interval, maximum_interval=interval),
            )
        )
        first = int(process.expect(r"^exec (\d+)")[1])

        def details() -> list[int]:
            description = sdk_worker.run(handle.describe(include_heartbeat_details=True))
            values = sdk_worker.run(description.heartbeat_details())
            return list(values or [])

        wait_until(lambda: details() == [6], "the progress is recorded")
        os.kill(first, signal.SIGKILL)
        process.expect(f"^exec {first} exited with ")
        assert sdk_worker.run(handle.result(), timeout=SILENCE_LIMIT_S) == "7\n8"


def test_script_passes_the_hand_off_on(kind: Kind, start: StartActivity, variables: Mapping[str, str]) -> None:
    activity = start(kind)
    token = {"TEMPORAL_ACTIVITY_TASK_TOKEN": encoded(activity.next_attempt().token)}
    command = [requires(shutil.which("bash"), "bash"), str(PARENTS / "bash" / "parent.sh"), *COMMAND]
    with Process(command, {**variables, **token}, merge_stderr=True) as process:
        process.expect(r"^exec \d+")
        process.expect(r"^8$")
        assert process.wait() == 0
    assert activity.result() == COUNTED


def test_script_forwards_a_signal_and_waits_for_the_command(start: StartActivity, variables: Mapping[str, str]) -> None:
    token = {"TEMPORAL_ACTIVITY_TASK_TOKEN": encoded(start("workflow").next_attempt().token)}
    work = "trap 'sleep 0.2; exit 7' TERM; echo '{\"item\": 1}'; echo ready >&2; while true; do sleep 0.05; done"
    script = [requires(shutil.which("bash"), "bash"), str(PARENTS / "bash" / "parent.sh")]
    with Process([*script, "sh", "-c", work], {**variables, **token}, merge_stderr=True) as process:
        process.expect("ready")
        os.kill(process.pid, signal.SIGTERM)
        process.expect("the command ended with code 7")
        assert process.wait() == 7


def test_script_explains_exit_codes(start: StartActivity, variables: Mapping[str, str]) -> None:
    activity = start("workflow")
    stale = activity.next_attempt()
    activity.terminate()
    token = {"TEMPORAL_ACTIVITY_TASK_TOKEN": encoded(stale.token)}
    command = [requires(shutil.which("bash"), "bash"), str(PARENTS / "bash" / "parent.sh"), *COMMAND]
    done = subprocess.run(command, env={**variables, **token}, capture_output=True, text=True, check=False)
    assert done.returncode == 76
    assert "the activity is over" in done.stderr
