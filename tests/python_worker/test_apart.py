"""Bodies of a worker without an SDK in processes of their own."""

import dataclasses
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from temporalio.exceptions import ApplicationError, CancelledError

from apart.codec import CONVERTERS
from apart.world import wait_for_end
from harness.polling import wait_until
from harness.process import Process
from harness.server import Server
from harness.worker import SdkWorker
from python_worker.world import World

PROGRAM = "tests/python_worker/program_apart.py"


@dataclasses.dataclass
class Config:
    name: str
    at: datetime


@dataclasses.dataclass
class Report:
    config: Config
    worker: int
    process: int
    attempt: int


CONFIG = Config("name", datetime(2026, 1, 2, tzinfo=UTC))


@pytest.fixture
def worker(world: World) -> Iterator[Process]:
    with world.worker(PROGRAM) as process:
        yield process


def test_values_pass_through_the_process(world: World) -> None:
    converter = CONVERTERS["picklable"]
    with world.worker(PROGRAM, codec=True) as worker:
        started = [
            world.start(name, CONFIG, result_type=Report, converter=converter) for name in ("function", "coroutine")
        ]
        for running in started:
            report = running.result()
            assert report.config == CONFIG
            assert (report.worker, report.attempt) == (worker.pid, 1)
            assert report.process != worker.pid
            assert {one.metadata["encoding"] for one in running.stored_payloads()} == {b"binary/reversed"}


@pytest.mark.usefixtures("worker")
def test_exceptions_of_the_process_and_of_the_call_fail_the_attempt(world: World) -> None:
    raising, calling = (world.start(name, maximum_attempts=1) for name in ("raising", "calling"))
    failure = raising.failure()
    assert isinstance(failure, ApplicationError)
    assert (failure.message, failure.type) == ("the failure", "RuntimeError")
    assert failure.failure
    assert "in raising" in failure.failure.stack_trace
    failure = calling.failure()
    assert isinstance(failure, ApplicationError)
    assert "raising runs apart only as an activity of its own, not within calling" in failure.message


@pytest.mark.usefixtures("worker")
def test_killed_process_is_noticed_and_followed_by_one_that_resumes(world: World) -> None:
    running = world.start("loop", 6, 3)
    os.kill(int(world.expect("attempt-1")), signal.SIGKILL)
    world.go()
    # The heartbeat timeout is longer than this test.
    assert running.result() == [3, 4, 5]
    assert running.attempt() == 2


@pytest.mark.usefixtures("worker")
def test_cancellation_reaches_the_body(world: World) -> None:
    running = world.start("loop", 3, 1, heartbeat_timeout_ms=2_000)
    pid = int(world.expect("attempt-1"))
    running.request_cancel()
    assert isinstance(running.failure(), CancelledError)
    wait_for_end(pid)


def test_process_ends_with_a_killed_worker(world: World) -> None:
    running = world.start("loop", 3, 1, heartbeat_timeout_ms=2_000)
    with world.worker(PROGRAM) as worker:
        pid = int(world.expect("attempt-1"))
        os.kill(worker.pid, signal.SIGKILL)
        wait_for_end(pid)
    world.go()
    with world.worker(PROGRAM):
        assert running.result() == [1, 2]


def test_shutdown_ends_the_processes_that_outlast_the_grace(
    releasing_server: tuple[Server, SdkWorker], world: World
) -> None:
    server, sdk_worker = releasing_server
    world = World(sdk_worker, server.address, world.folder)
    with world.worker(PROGRAM, run={"shutdown_grace": 0.1}) as worker:
        running = world.start("loop", 3, 1)
        hanging = world.start("hanging")
        wait_until(lambda: all(one.heartbeat_details() for one in (running, hanging)), "both record")
        os.kill(worker.pid, signal.SIGTERM)
        worker.expect("^ended$")
        assert worker.wait() == 0
    world.go()
    with world.worker(PROGRAM):
        assert running.result() == [1, 2]
        assert hanging.result() == "recorded"
