"""Activity workers in C and C++, without an SDK: the example programs."""

import functools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.build import compile_c, compile_cpp
from harness.languages import library_environment, linked
from harness.paths import BUILD, ROOT
from harness.process import Process
from harness.server import OLDEST, Server, dev_server
from harness.worker import SdkWorker
from python_worker.world import World

NO_OPS = 100


@functools.cache
def example(language: str) -> str:
    compile_example = {"c": compile_c, "cpp": compile_cpp}[language]
    source = ROOT / "bindings" / language / "examples" / ("worker.c" if language == "c" else "worker.cpp")
    return str(compile_example(source, BUILD / f"worker_{language}", *linked(), "-pthread"))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that completes the polls of a worker that shuts down. Others complete them within 20 s."""
    with dev_server("--dynamic-config-value", "frontend.enableCancelWorkerPollsOnShutdown=true") as running:
        yield running


@pytest.fixture(scope="module")
def sdk_worker(server: Server) -> Iterator[SdkWorker]:
    with SdkWorker(server.address) as opened:
        yield opened


@pytest.fixture
def world(server: Server, sdk_worker: SdkWorker, tmp_path: Path) -> World:
    if server.version < OLDEST:
        pytest.skip("the server has no standalone activities")
    return World(sdk_worker, server.address, tmp_path)


def worker(language: str, world: World, server: Server) -> Process:
    environment = library_environment() | {"TEMPORAL_ADDRESS": server.address}
    return Process([example(language), world.queue], environment)


def test_worker_in_c_completes_each_of_many_tasks_and_ends_by_a_signal(world: World, server: Server) -> None:
    with worker("c", world, server) as process:
        process.expect("^running$")
        started = [world.start("count", heartbeat_timeout_ms=10_000) for _ in range(NO_OPS)]
        assert {running.result() for running in started} == {"100 steps"}
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait() == 0


def test_worker_in_cpp_returns_results_and_fails_with_exceptions(world: World, server: Server) -> None:
    with worker("cpp", world, server) as process:
        process.expect("^running$")
        assert world.start("solve", 2.0).result() == pytest.approx(2**0.5)
        unknown = world.start("unknown", maximum_attempts=1).failure()
        assert "no activity of type unknown is run by this worker; it runs solve" in str(unknown)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait() == 0


def test_tasks_of_killed_workers_continue_in_the_next(world: World, server: Server) -> None:
    running = world.start("solve", 9.0, heartbeat_timeout_ms=2_000)
    with worker("cpp", world, server) as first:
        first.expect("^running$")
        first.kill()
    with worker("cpp", world, server):
        assert running.result() == pytest.approx(3.0)
