"""The parents that docs/hand-off.md prints, unchanged, on workers of their SDKs."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporal_heartbeat import handoff
from temporalio import activity, workflow
from temporalio.client import WorkflowHandle
from temporalio.common import RetryPolicy

from harness.languages import library_environment
from harness.paths import ROOT
from harness.polling import wait_until
from harness.process import Process
from harness.requires import requires
from harness.server import Server
from harness.worker import SdkWorker
from interop import programs
from interop.programs import Command

PAGE = ROOT / "docs" / "hand-off.md"
CHILD = ROOT / "bindings" / "python" / "examples" / "activity_aio.py"

# The child waits briefly at each item. Unless it is killed, it needs ten heartbeat intervals for all items.
ITEMS = 800
# Long enough for the start of a Python child on a possibly busy machine.
HEARTBEAT_TIMEOUT = timedelta(seconds=6)
WHOLE_TEST_S = 120.0

SLOW = pytest.mark.skipif(os.environ.get("THB_SLOW") != "1", reason="make check-slow")


@dataclass(frozen=True)
class Printed:
    """A parent that is printed for the reader to copy."""

    language: str
    # The name of its activity.
    activity: str
    # Builds the worker, and returns the command that starts it.
    build: Callable[[str], Command]

    def code(self) -> str:
        heading = rf"^### {self.language}\n.*?^```\w+\n(.*?)^```"
        [code] = re.findall(heading, PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
        return str(code)


TYPESCRIPT = Printed("TypeScript", "solve", programs.typescript_parent)

GO = Printed("Go", "Solve", programs.go_parent)

PARENTS = [
    pytest.param(GO, id="go"),
    pytest.param(TYPESCRIPT, id="typescript", marks=SLOW),
    pytest.param(Printed("Java", "Solve", programs.java_parent), id="java", marks=SLOW),
]


@workflow.defn(name="HandsOver")
class HandsOver:
    """A workflow that runs the activity of a parent. The parent's worker polls a separate queue."""

    @workflow.run
    async def run(self, name: str, queue: str) -> Any:
        interval = timedelta(milliseconds=100)
        return await workflow.execute_activity(
            name,
            task_queue=queue,
            start_to_close_timeout=timedelta(minutes=2),
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=RetryPolicy(initial_interval=interval, maximum_interval=interval),
        )


SOLVER = f"echo $$ >> pids\nexec '{sys.executable}' '{CHILD}' {ITEMS} done"


@contextmanager
def started(command: Command, folder: Path, server: Server, queue: str, solver: str = SOLVER) -> Iterator[Process]:
    """The parent's worker, in a folder with its ./solver. It exits at the end of its input."""
    write_solver(folder, solver)
    variables = {"PYTHONPATH": str(ROOT / "bindings" / "python"), "TEMPORAL_ADDRESS": server.address}
    process = Process(
        [*command, server.address, queue], library_environment() | variables, cwd=folder, merge_stderr=True
    )
    with process:
        process.expect("^ready$")
        yield process
        process.close()


def write_solver(folder: Path, script: str) -> None:
    solver = folder / "solver"
    solver.write_text(f"#!/bin/sh\n{script}\n")
    solver.chmod(0o755)


# A child that can't do its work, and prints the reason.
FAULTY = "echo 'the native library could not be loaded' >&2\nexit 3"


@pytest.mark.parametrize("parent", PARENTS)
def test_printed_parent_shows_the_output_and_the_end_of_the_child(
    parent: Printed, server: Server, sdk_worker: SdkWorker, tmp_path: Path
) -> None:
    command = parent.build(parent.code())
    queue = f"parent-{uuid.uuid4()}"
    with (
        started(command, tmp_path, server, queue, FAULTY) as process,
        sdk_worker.worker_on(f"{queue}-workflows", HandsOver),
    ):
        sdk_worker.run(
            sdk_worker.client.start_workflow(
                HandsOver.run, args=[parent.activity, queue], id=queue, task_queue=f"{queue}-workflows"
            )
        )
        process.expect("the native library could not be loaded")
        process.expect(r"\./solver.* 3$")


@pytest.mark.parametrize("parent", PARENTS)
def test_printed_parent_warns_once_about_a_missing_heartbeat_timeout(
    parent: Printed, server: Server, sdk_worker: SdkWorker, tmp_path: Path
) -> None:
    command = parent.build(parent.code())
    queue = f"parent-{uuid.uuid4()}"
    warning, end = "no heartbeat timeout", r"\./solver.* 3$"
    with started(command, tmp_path, server, queue, FAULTY) as process:
        for number in range(2):
            sdk_worker.run(
                sdk_worker.client.start_activity(
                    parent.activity,
                    id=f"{queue}-{number}",
                    task_queue=queue,
                    start_to_close_timeout=timedelta(minutes=2),
                )
            )
            first = process.expect(f"{warning}|{end}")[0]
            assert (first == warning) == (number == 0)
            if first == warning:
                process.expect(end)


COMPLETES = """
import temporal_heartbeat as thb
thb.connect()
with thb.Activity.from_env() as act:
    act.complete("ten items")
print("that was the work", flush=True)
"""

# Where a parent in Python is printed, and the text from which it is copied.
PYTHON_PARENTS = {
    "README.md": (ROOT / "README.md").read_text(),
    "hand-off.md": PAGE.read_text(),
    "try.md": (ROOT / "docs" / "guide" / "try.md").read_text(),
    "README.md of the binding": (ROOT / "bindings" / "python" / "README.md").read_text(),
    "docstring of handoff": textwrap.dedent(handoff.__doc__ or ""),
}


@pytest.mark.parametrize("place", PYTHON_PARENTS)
def test_printed_python_parent_gives_the_result_and_shows_the_end_of_the_child(
    place: str,
    server: Server,
    sdk_worker: SdkWorker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    # Other activities have further decorators.
    parent = r"^ *@activity.defn\n *(async )?def .*?raise_complete_async\(\)"
    found = re.search(parent, PYTHON_PARENTS[place], re.DOTALL | re.MULTILINE)
    assert found
    names: dict[str, Any] = {
        "activity": activity, "handoff": handoff, "subprocess": subprocess, "sys": sys, "threading": threading
    }  # fmt: skip
    exec(textwrap.dedent(found[0]), names)
    write_solver(tmp_path, f"'{sys.executable}' -c '{COMPLETES}'\nexit 3")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["parent.py", "./solver"])
    for name, value in library_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TEMPORAL_ADDRESS", server.address)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "bindings" / "python"))
    queue = f"parent-{uuid.uuid4()}"
    with sdk_worker.worker_on(queue, HandsOver, [names["solve"]]):
        # The client, like a workflow, reads the result as the type that the function returns.
        handle = sdk_worker.run(
            sdk_worker.client.start_activity(
                names["solve"],
                id=queue,
                task_queue=queue,
                start_to_close_timeout=timedelta(minutes=2),
                heartbeat_timeout=HEARTBEAT_TIMEOUT,
            )
        )
        assert sdk_worker.run(handle.result()) == "ten items"
        said: list[str] = []

        def shown() -> bool:
            said.append(capfd.readouterr().out)
            return bool(re.search(r"that was the work\n.*\./solver.* 3\n", "".join(said)))

        wait_until(shown, "the child's output and its end are printed")


def done(folder: Path) -> list[tuple[int, int]]:
    """Returns the items that are done, each with its attempt."""
    file = folder / "done"
    lines = file.read_text().splitlines() if file.exists() else []
    return [(int(attempt), int(item)) for attempt, _, item in (line.split() for line in lines)]


@pytest.mark.parametrize("parent", PARENTS)
def test_printed_parent_hands_over_each_attempt(
    parent: Printed, server: Server, sdk_worker: SdkWorker, tmp_path: Path
) -> None:
    command = parent.build(parent.code())  # before any attempt starts
    queue = f"parent-{uuid.uuid4()}"
    with started(command, tmp_path, server, queue), sdk_worker.worker_on(f"{queue}-workflows", HandsOver):
        handle = sdk_worker.run(
            sdk_worker.client.start_workflow(
                HandsOver.run, args=[parent.activity, queue], id=queue, task_queue=f"{queue}-workflows"
            )
        )
        wait_until(lambda: recorded(sdk_worker, handle), "a heartbeat arrived")
        kill_the_child(tmp_path)
        assert sdk_worker.run(handle.result(), timeout=WHOLE_TEST_S) == ITEMS
    items: dict[int, list[int]] = {}
    for attempt, item in done(tmp_path):
        items.setdefault(attempt, []).append(item)
    assert len(items) > 1
    # Every item was done, in order.
    assert all(seen == list(range(seen[0], seen[-1] + 1)) for seen in items.values())
    assert {item for seen in items.values() for item in seen} == set(range(ITEMS))
    # The second child resumed from the first child's record.
    first, second = (items[attempt] for attempt in sorted(items)[:2])
    assert 0 < second[0] <= first[-1] + 1


@pytest.mark.parametrize("scheduled_s_ago", [0, 7, 3_600, -3_600], ids=["at once", "queued", "ahead", "behind"])
def test_printed_typescript_parent_ignores_times_of_another_clock(scheduled_s_ago: int) -> None:
    """By the parent's clock, the server scheduled the attempt that long ago."""
    functions = re.sub(r"^import .*$|^export ", "", TYPESCRIPT.code(), flags=re.MULTILINE)
    info = {
        "base64TaskToken": "dA==",
        "attempt": 1,
        "heartbeatTimeoutMs": 2_000,
        "startToCloseTimeoutMs": 6_000,
        "currentAttemptScheduledTimestampMs": time.time() * 1000 - scheduled_s_ago * 1000,
    }
    told = f"console.log(JSON.stringify(handoffEnvironment({json.dumps(info)})))"
    node = requires(shutil.which("node"), "node")
    command = [node, "--input-type=module", "-e", functions + told]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    variables = json.loads(said.stdout)
    assert "TEMPORAL_ACTIVITY_AGE_MS" not in variables
    assert variables["TEMPORAL_ACTIVITY_HEARTBEAT_TIMEOUT_MS"] == "2000"
    assert variables["TEMPORAL_ACTIVITY_DEADLINE_MS"] == "6000"
    assert said.stderr == ""


def test_printed_typescript_parent_warns_once_per_process() -> None:
    functions = re.sub(r"^import .*$|^export ", "", TYPESCRIPT.code(), flags=re.MULTILINE)
    call = 'handoffEnvironment({ base64TaskToken: "dA==", attempt: 1 });\n'
    node = requires(shutil.which("node"), "node")
    command = [node, "--input-type=module", "-e", functions + 2 * call]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    assert said.stderr.count("no heartbeat timeout") == 1


def recorded(sdk_worker: SdkWorker, handle: WorkflowHandle[Any, Any]) -> bool:
    """Returns whether a heartbeat has arrived."""
    pending = sdk_worker.run(handle.describe()).raw_description.pending_activities
    return any(activity.heartbeat_details.payloads for activity in pending)


def kill_the_child(folder: Path) -> None:
    [pid, *_] = (folder / "pids").read_text().split()
    os.kill(int(pid), signal.SIGKILL)
