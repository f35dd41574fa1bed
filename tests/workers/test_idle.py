"""A worker without tasks uses little, and stops soon."""

import os
import signal
import statistics
import time
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

from harness.polling import wait_until
from harness.process import Process
from harness.server import NAMESPACE, Server
from harness.worker import SdkWorker
from python_worker.world import World
from workers.conftest import SLOW
from workers.ways import command_of, running

IDLE_S = 60 if SLOW else 3
# After a task, or its start, a worker counts as busy for 2 s.
NOT_BUSY_S = 3
STOPS = 5 if SLOW else 1
MAX_MEMORY_MB = 6.0
MAX_CPU = 0.002
# Of a server that completes the polls of a worker that stops, and of another one.
MAX_STOP_S = 1.0
LONGEST_POLL_S = 20.0
# For a busy machine.
LATE_S = 5.0


def wait_for_poll(world: World) -> None:
    """Waits until the server knows a poller of the task queue."""
    request = DescribeTaskQueueRequest(
        namespace=NAMESPACE,
        task_queue=TaskQueue(name=world.queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
    )
    service = world.sdk_worker.client.workflow_service
    wait_until(lambda: bool(world.sdk_worker.run(service.describe_task_queue(request)).pollers), "the worker polls")


def memory_mb(process: Process) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


def cpu_s(process: Process) -> float:
    """Returns the processor time of all threads."""
    threads = Path(f"/proc/{process.pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def stop_s(process: Process) -> float:
    """Stops the worker by SIGTERM, and returns how long that takes."""
    began = time.monotonic()
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait() == 0
    return time.monotonic() - began


def test_idle_worker_uses_little_and_stops_at_once(world: World) -> None:
    stops = []
    for stop in range(STOPS):
        with running(command_of("c", world), world) as process:
            wait_for_poll(world)
            if stop == 0:
                before = cpu_s(process)
                time.sleep(IDLE_S)
                memory, cpu = memory_mb(process), (cpu_s(process) - before) / IDLE_S
            else:
                time.sleep(NOT_BUSY_S)
            stops.append(stop_s(process))
    print(f"idle: {memory:.1f} MB, {cpu * 1e6:.0f} us of processor time a second, stopped in {stops} s")
    assert memory <= MAX_MEMORY_MB
    assert cpu <= MAX_CPU
    assert statistics.median(stops) <= MAX_STOP_S + (0 if SLOW else LATE_S)


@pytest.mark.skipif(not SLOW, reason="make check-slow: it takes up to 20 s")
def test_idle_worker_stops_when_its_poll_ends(server: Server, sdk_worker: SdkWorker, tmp_path: Path) -> None:
    world = World(sdk_worker, server.address, tmp_path)
    with running(command_of("c", world), world) as process:
        wait_for_poll(world)
        took = stop_s(process)
    print(f"stopped in {took:.1f} s")
    assert took <= LONGEST_POLL_S + LATE_S
