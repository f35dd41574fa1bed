"""A worker with the official Go SDK hands over each attempt of its activity to a child in Go."""

import os
import shutil
import signal
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.common import RetryPolicy

from harness.build import run
from harness.languages import library_environment
from harness.paths import BUILD, ROOT
from harness.process import Process
from harness.requires import requires
from harness.server import Server
from harness.worker import SdkWorker

BINDING = ROOT / "bindings" / "go"


@pytest.fixture(scope="module")
def programs() -> tuple[Path, Path]:
    """Builds parent and child before any attempt starts, because attempts have short timeouts."""
    go = requires(shutil.which("go"), "go")
    parent, child = BUILD / "parent_go", BUILD / "child_go"
    run([go, "-C", str(BINDING / "internal" / "sdktest"), "build", "-o", str(parent), "./parent"])
    run([go, "-C", str(BINDING), "build", "-o", str(child), "./examples/activity"])
    return parent, child


@pytest.mark.parametrize("way", ["environment", "file", "pipe"])
def test_worker_hands_over_each_attempt(
    way: str, programs: tuple[Path, Path], server: Server, sdk_worker: SdkWorker, tmp_path: Path
) -> None:
    parent, child = programs
    queue = f"go-{uuid.uuid4()}"
    handle = sdk_worker.run(
        sdk_worker.client.start_activity(
            "solve",
            id=queue,
            task_queue=queue,
            start_to_close_timeout=timedelta(minutes=2),
            heartbeat_timeout=timedelta(seconds=2),
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=100)),
        )
    )
    command = [str(parent), server.address, queue, way, str(tmp_path), str(child), "-items", "40"]
    with Process(command, library_environment(), merge_stderr=True) as process:
        first = process.expect(r"^child (\d+) of attempt 1")
        process.expect(r"^starting at item 0$")
        process.expect(r"^item 19 done")
        os.kill(int(first[1]), signal.SIGKILL)
        resumed = int(process.expect(r"^starting at item (\d+)")[1])
        assert 0 < resumed <= 21  # records of the last throttle interval are lost, and their items are repeated
        process.expect(r"^item 39 done")
        assert sdk_worker.run(handle.result()) == 40
