"""Shutdown of a Python worker without an SDK: no task is lost."""

import os
import signal
from pathlib import Path

import pytest

from harness.polling import wait_until
from harness.server import Server
from harness.worker import SdkWorker
from python_worker.world import World


@pytest.fixture
def world(releasing_server: tuple[Server, SdkWorker], tmp_path: Path) -> World:
    server, sdk_worker = releasing_server
    return World(sdk_worker, server.address, tmp_path)


def test_signal_lets_the_bodies_finish(world: World) -> None:
    with world.worker() as worker:
        running = world.start("loop", 3, 1, maximum_attempts=1)
        world.expect("attempt-1")
        os.kill(worker.pid, signal.SIGTERM)
        world.go()
        assert running.result() == [0, 1, 2]
        worker.expect("^ended$")
        assert worker.wait() == 0


def test_bodies_that_outlast_the_grace_are_retried_at_once(world: World) -> None:
    started = [world.start(*call) for call in (("loop", 3, 1), ("waiting",), ("hanging",), ("unstoppable",))]
    with world.worker(run={"shutdown_grace": 0.1}) as worker:
        wait_until(lambda: all(running.heartbeat_details() for running in started), "the activities record")
        os.kill(worker.pid, signal.SIGTERM)
        worker.expect("^ended$")
        assert worker.wait() == 0
    assert (world.folder / "cleaned up").exists()
    assert [running.heartbeat_details() for running in started] == [[0], *[["recorded"]] * 3]
    world.go()
    # The heartbeat timeout is longer than this test, so the failures of the shutdown have caused the retries.
    with world.worker():
        assert started[0].result() == [1, 2]
        assert started[2].result() is None
        assert started[3].result() is None
        wait_until(lambda: started[1].attempt() >= 2, "another attempt")


def test_many_tasks_survive_a_shutdown_in_the_middle(world: World) -> None:
    started = world.start_many("nothing", 60)
    with world.worker(run={"max_workers": 2}) as first:
        assert world.results(started[:1]) == [None]
        os.kill(first.pid, signal.SIGTERM)
        first.expect("^ended$")
        assert first.wait() == 0
    with world.worker():
        assert world.results(started) == [None] * 60


def test_ctrl_c_ends_the_worker_without_losing_a_task(world: World) -> None:
    running = world.start("loop", 3, 1)
    with world.worker() as worker:
        world.expect("attempt-1")
        os.kill(worker.pid, signal.SIGINT)
        worker_status = worker.wait()
    assert worker_status in (1, -signal.SIGINT, 130)
    world.go()
    with world.worker():
        assert running.result() == [1, 2]
