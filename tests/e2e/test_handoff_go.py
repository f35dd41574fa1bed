"""A worker with the official Go SDK hands its activity over to a child in Go, and so does the next attempt."""

import os
import re
import shutil
import signal
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.common import RetryPolicy

from harness.build import run
from harness.languages import library_environment
from harness.needs import needs
from harness.paths import BUILD, ROOT
from harness.server import Server
from harness.worker import Backstage

BINDING = ROOT / "bindings" / "go"

# A parent that says nothing for so long is stopped.
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def programs() -> tuple[Path, Path]:
    """Parent and child, built before any attempt starts, whose time is short."""
    go = needs(shutil.which("go"), "go")
    parent, child = BUILD / "parent_go", BUILD / "child_go"
    run([go, "-C", str(BINDING / "internal" / "sdktest"), "build", "-o", str(parent), "./parent"])
    run([go, "-C", str(BINDING), "build", "-o", str(child), "./examples/activity"])
    return parent, child


@contextmanager
def started(*command: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(command, env=library_environment(), stdout=subprocess.PIPE, text=True) as process:
        watchdog = threading.Timer(PATIENCE_S, process.kill)
        watchdog.start()
        try:
            yield process
        finally:
            process.terminate()
            watchdog.cancel()


def wait_for(process: "subprocess.Popen[str]", pattern: str) -> "re.Match[str]":
    assert process.stdout
    said = []
    for line in process.stdout:
        said.append(line)
        if found := re.search(pattern, line):
            return found
    raise AssertionError(f"the parent ended, and nobody said {pattern!r}: {said}")


@pytest.mark.parametrize("way", ["environment", "file", "pipe"])
def test_worker_hands_over_each_attempt(
    way: str, programs: tuple[Path, Path], server: Server, backstage: Backstage, tmp_path: Path
) -> None:
    parent, child = programs
    queue = f"go-{uuid.uuid4()}"
    handle = backstage.run(
        backstage.client.start_activity(
            "solve",
            id=queue,
            task_queue=queue,
            start_to_close_timeout=timedelta(minutes=2),
            heartbeat_timeout=timedelta(seconds=2),
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=100)),
        )
    )
    with started(str(parent), server.address, queue, way, str(tmp_path), str(child), "-items", "40") as process:
        first = wait_for(process, r"^child (\d+) of attempt 1")
        wait_for(process, r"^starting at item 0$")
        wait_for(process, r"^item 19 done")
        os.kill(int(first[1]), signal.SIGKILL)
        resumed = int(wait_for(process, r"^starting at item (\d+)")[1])
        assert 0 < resumed <= 21  # what was recorded in the last throttle interval may be done twice
        wait_for(process, r"^item 39 done")
        assert backstage.run(handle.result()) == 40
