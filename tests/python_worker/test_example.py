"""The example program of a worker, and the functions of a worker in a loop of the program's own."""

import os
import signal
import sys

import pytest
import temporal_heartbeat as thb

from apart.codec import CONVERTERS
from e2e.test_docstrings import example as example_of
from harness.languages import library_environment
from harness.paths import ROOT
from harness.process import Process
from harness.server import Server
from python_worker.world import World


def example(world: World, server: Server) -> Process:
    environment = library_environment() | {
        "PYTHONPATH": str(ROOT / "bindings" / "python"),
        "TEMPORAL_ADDRESS": server.address,
    }
    return Process([sys.executable, str(ROOT / "bindings/python/examples/worker.py"), world.queue], environment)


def test_example_resumes_after_a_kill_and_ends_by_a_signal(world: World, server: Server) -> None:
    with example(world, server) as first:
        first.expect("^running$")
        assert world.start("fetch", "https://a.example").result() == len("https://a.example")
        assert world.start("train", 3).result() == 0.125
        running = world.start("solve", {"name": "bridge", "steps": 100}, heartbeat_timeout_ms=2_000)
        first.expect("^bridge: step 20 done$")
        first.kill()
    assert running.heartbeat_details()
    with example(world, server) as second:
        assert running.result() == {"text": "bridge: 100 steps", "attempt": 2}
        os.kill(second.pid, signal.SIGTERM)


# Code before the examples of the docstrings, for the names that they assume.
ASSUMED = """
import dataclasses, signal, sys
import temporal_heartbeat as thb

@dataclasses.dataclass
class Model:
    name: str

@dataclasses.dataclass
class Report:
    name: str

def work_on(*arguments):
    print(*arguments, flush=True)
"""


@pytest.mark.parametrize("documented", [thb.Worker, thb.Worker.next])
def test_examples_of_the_docstrings_run(documented: object, world: World, server: Server) -> None:
    made = f'thb.connect()\nworker = thb.Worker("{world.queue}")\n' if documented is thb.Worker.next else ""
    program = ASSUMED + made + example_of(documented).replace('"reports"', repr(world.queue))
    variables = {"PYTHONPATH": str(ROOT / "bindings" / "python"), "TEMPORAL_ADDRESS": server.address}
    with Process([sys.executable, "-c", program], library_environment() | variables) as process:
        running = world.start("solve", {"name": "bridge"})
        process.expect("bridge")
        assert running.result() == ({"name": "bridge"} if documented is thb.Worker else None)


LOOP = """
import select, sys
import temporal_heartbeat as thb

thb.connect(sys.argv[1])
with thb.Worker(sys.argv[2], max_tasks=2) as worker:
    assert worker.next(timeout=0) is None
    descriptor = worker.open_fd()
    print("running", flush=True)
    while True:
        select.select([descriptor], [], [])
        try:
            task = worker.next(timeout=0)
        except thb.EndedError:
            break
        with task.activity as act:
            assert act.task is task.info
            assert bytes(task.token)
            print(task.activity_type, list(task.input), list(task.details), task.info.attempt, flush=True)
            if task.info.attempt == 1:
                act.heartbeat("recorded")
                act.fail("once more")
            else:
                act.complete(act.details(default=None))
print("ended", flush=True)
"""


def test_program_takes_the_tasks_in_a_loop_of_its_own(world: World, server: Server) -> None:
    environment = library_environment() | {"PYTHONPATH": str(ROOT / "bindings" / "python")}
    with Process([sys.executable, "-c", LOOP, server.address, world.queue], environment) as process:
        process.expect("^running$")
        running = world.start("any", 1, "two", retry_interval_ms=1)
        process.expect(r"^any \[1, 'two'\] \[\] 1$")
        process.expect(r"^any \[1, 'two'\] \['recorded'\] 2$")
        assert running.result() == "recorded"
        process.expect("^ended$")
        assert process.wait() == 0


REFUSED = """
import sys
import temporal_heartbeat as thb

worker = thb.Worker(sys.argv[2])

@worker.activity
def nothing():
    pass

thb.connect(sys.argv[1], namespace="nowhere", lazy=True)
try:
    worker.run()
except thb.NamespaceNotFoundError as error:
    print("refused:", error, flush=True)
"""


def test_error_of_polling_ends_run(world: World, server: Server) -> None:
    environment = library_environment() | {"PYTHONPATH": str(ROOT / "bindings" / "python")}
    with Process([sys.executable, "-c", REFUSED, server.address, world.queue], environment) as process:
        process.expect("^refused: .*nowhere")
        assert process.wait() == 0


CONVERTED = """
import dataclasses, sys
import temporal_heartbeat as thb
from apart.codec import CONVERTERS

@dataclasses.dataclass
class Model:
    name: str

worker = thb.Worker(sys.argv[2], data_converter=CONVERTERS["picklable"])

@worker.activity
async def solve(model: Model, other, raw: thb.Payload):
    assert isinstance(model, Model)
    assert isinstance(raw, thb.Payload)
    return [model.name, other, raw.data.decode()]

thb.connect(sys.argv[1])
print("running", flush=True)
worker.run()
"""


def test_data_converter_of_the_sdk_converts_the_arguments(world: World, server: Server) -> None:
    path = os.pathsep.join([str(ROOT / "tests"), str(ROOT / "bindings" / "python")])
    environment = library_environment() | {"PYTHONPATH": path}
    with Process([sys.executable, "-c", CONVERTED, server.address, world.queue], environment) as process:
        process.expect("^running$")
        converter = CONVERTERS["picklable"]
        running = world.start("solve", {"name": "bridge"}, {"plain": 1}, "text", converter=converter)
        assert running.result() == ["bridge", {"plain": 1}, '"text"']
