"""Activity workers in C and C++, without an SDK: the example programs, and many tasks."""

import functools
import os
import signal
import subprocess
import time
import uuid

from harness.build import compile_c, compile_cpp
from harness.languages import linked
from harness.paths import BUILD, ROOT
from harness.server import find_program
from python_worker.world import World
from workers.conftest import SLOW
from workers.ways import running, worker_in_c

MANY = 10_000 if SLOW else 100


@functools.cache
def example(language: str) -> str:
    compile_example = {"c": compile_c, "cpp": compile_cpp}[language]
    source = ROOT / "bindings" / language / "examples" / ("worker.c" if language == "c" else "worker.cpp")
    return str(compile_example(source, BUILD / f"worker_{language}", *linked(), "-pthread"))


def temporal(world: World, *arguments: str) -> str:
    command = [str(find_program()), "activity", *arguments, "--address", world.address]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_worker_in_c_runs_activities_of_the_command_line_tool(world: World) -> None:
    names = [f"user-{uuid.uuid4()}" for _ in range(5)]
    with running([example("c"), world.queue], world) as process:
        for name in names:
            given = ["--activity-id", name, "--type", "count", "--task-queue", world.queue]
            temporal(world, "start", *given, "--start-to-close-timeout", "1h", "--heartbeat-timeout", "30s")
        for name in names:
            assert "100 steps" in temporal(world, "result", "--activity-id", name)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait() == 0


def test_worker_in_cpp_returns_results_and_fails_with_exceptions(world: World) -> None:
    with running([example("cpp"), world.queue], world) as process:
        root = world.start("solve", 2.0).result()
        assert abs(root - 2**0.5) < 1e-9
        unknown = world.start("unknown", maximum_attempts=1).failure()
        assert "no activity of type unknown is run by this worker; it runs solve" in str(unknown)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait() == 0


def test_each_of_many_tasks_is_done_once(world: World) -> None:
    # The worker ends after this number of tasks. So if it did one twice, another one would have no result.
    command = [worker_in_c(), world.queue, str(world.folder), f', "max_tasks": {MANY}', "32"]
    with running(command, world) as process:
        began = time.monotonic()
        results = world.execute_many("no_op", MANY)
        assert results == [None] * MANY
        print(f"{MANY} tasks, {MANY / (time.monotonic() - began):.0f} a second")
        process.expect(f"^done {MANY}$")
        assert process.wait() == 0
