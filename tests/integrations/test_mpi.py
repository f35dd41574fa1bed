"""MPI: the programs of examples/integrations/mpi in four ranks of Open MPI, in C++ and with mpi4py.

Two of the ranks run on a second node. It is this machine too, but has an Open MPI daemon and an environment of its own.
"""

import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio.exceptions import CancelledError

from harness.build import STRICT, run
from harness.languages import linked
from harness.paths import BUILD, INCLUDE, TESTS
from harness.polling import wait_until
from harness.process import Process
from harness.program import is_alive, parent_of
from harness.requires import requires
from harness.server import Server
from harness.worker import SdkWorker
from integrations.activities import EXAMPLES, EngineActivity, ExampleWorker, environment
from integrations.journal import LIMIT_S, Journal
from integrations.kills import KILLS, Kills
from integrations.reader import read
from python_worker.world import World

RANKS = 4
STEPS = 100
ITEMS = range(STEPS * RANKS)
STALL_SECONDS = 10

# Not the queue of the page: while its reader runs a worker, the worker of the other tests still runs too.
QUEUE = "mpi-tests"

# As many ranks as the test needs, also on a machine with fewer processors, and also as root in a container.
VARIABLES = {
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "STALL_SECONDS": str(STALL_SECONDS),
}


def compiled(example: str = "solver") -> list[str]:
    compiler = requires(shutil.which("mpicxx"), "mpicxx (Debian: libopenmpi-dev)")
    target = BUILD / f"mpi_{example}"
    BUILD.mkdir(parents=True, exist_ok=True)
    strict = [*STRICT, "-Wshadow", "-Wconversion", "-DOMPI_SKIP_MPICXX"]  # without MPI's old C++ functions
    run([compiler, "-std=c++17", *strict, str(EXAMPLES / f"mpi/{example}.cpp"), "-o", str(target), *linked()])
    return [str(target)]


def interpreted() -> list[str]:
    return [sys.executable, str(EXAMPLES / "mpi/solver.py")]


# The nodes exchange messages by TCP, because two nodes on one machine can't share Open MPI's files for shared memory.
NODES = [
    *("--mca", "plm_rsh_agent", str(TESTS / "integrations" / "second_node.sh"), "--mca", "btl", "tcp,self"),
    *("--mca", "btl_tcp_if_include", "lo", "--mca", "oob_tcp_if_include", "lo"),
    *("-H", "localhost:2,second:2", "-n", str(RANKS), "-x", "PYTHONPATH"),
]
PROGRAMS = {"C++": compiled, "mpi4py": interpreted}


def version() -> str:
    said = subprocess.run(["mpirun", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"[\d.]+\d", said)
    assert found
    return found[0]


@pytest.fixture(scope="module", params=PROGRAMS)
def program(request: pytest.FixtureRequest, server: Server) -> Iterator[str]:
    """Runs a worker whose activities are jobs of a program."""
    name: str = request.param
    with ExampleWorker(server, "mpi/worker.py", [*NODES, *PROGRAMS[name]()], VARIABLES | {"TASK_QUEUE": QUEUE}):
        yield name


class Job:
    """An activity, its folder, and its journal."""

    def __init__(self, sdk_worker: SdkWorker, folder: Path, steps: int = STEPS) -> None:
        self.journal = Journal(folder / "journal")
        self.activity = EngineActivity(sdk_worker, "simulate", QUEUE, [steps, str(folder)])

    def pid_of(self, rank: int, attempt: int = 1) -> int:
        return next(line.pid for line in self.journal.of(attempt) if line.item % RANKS == rank)

    def pids(self, victim: str) -> list[int]:
        if victim == "mpirun":
            return [parent_of(self.pid_of(0))]
        if victim == "a node with two ranks":
            return [parent_of(self.pid_of(2)), self.pid_of(2), self.pid_of(3)]  # the node's daemon, and its ranks
        return [self.pid_of(int(victim.removeprefix("rank ")))]

    def steps(self) -> set[int]:
        """Returns the numbers of steps that the ranks have done in attempt 1."""
        items = [line.item for line in self.journal.of(1, "end")]
        return {sum(item % RANKS == rank for item in items) for rank in range(RANKS)}

    def recorded_items(self) -> range:
        """Returns the items of all steps before the checkpoint that the server has."""
        details = self.activity.details()
        return range(int(details[0].removeprefix("step-")) * RANKS if details else 0)


VICTIMS = ("rank 2", "rank 0", "a node with two ranks", "mpirun")


@pytest.mark.parametrize("number", range(KILLS))
def test_killed_job_resumes_from_its_checkpoint(
    number: int, program: str, sdk_worker: SdkWorker, tmp_path: Path, kills: Kills
) -> None:
    victim = VICTIMS[number % len(VICTIMS)]
    with kills.one(f"Open MPI, {program}", version(), victim) as kill:
        job = Job(sdk_worker, tmp_path)
        job.journal.wait_for(1, events=10 + 67 * number % 300)
        recorded = job.recorded_items()
        pids = job.pids(victim)
        kill.now()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        kill.resumed(job.journal.wait_for(2, events=1))
        assert not [line.pid for line in job.journal.of(1) if is_alive(line.pid)], "ranks work beside the next attempt"
        assert job.activity.result() == sum(ITEMS)
        job.journal.check(ITEMS, recorded=recorded)


def test_hung_rank_is_killed_and_named(program: str, sdk_worker: SdkWorker, tmp_path: Path, kills: Kills) -> None:
    with kills.one(f"Open MPI, {program}", version(), "rank 3 hangs (stall timeout 10 s)") as kill:
        job = Job(sdk_worker, tmp_path)
        job.journal.wait_for(1, events=150)
        recorded = job.recorded_items()
        kill.now()
        os.kill(job.pid_of(3), signal.SIGSTOP)
        kill.resumed(job.journal.wait_for(2, events=1))
        assert not is_alive(job.pid_of(3))
        failure = job.activity.last_failure()
        assert failure.message == "mpirun exited with 3"
        assert re.search("a rank hangs: .*the slowest rank is 3, after step", failure.stack_trace), failure
        assert job.activity.result() == sum(ITEMS)
        job.journal.check(ITEMS, recorded=recorded)


@pytest.mark.usefixtures("program")
def test_paused_job_waits_at_a_checkpoint(sdk_worker: SdkWorker, tmp_path: Path) -> None:
    job = Job(sdk_worker, tmp_path)
    job.journal.wait_for(1, events=50)
    job.activity.pause()
    # A heartbeat shows the pause to rank 0, and the next checkpoint stops all ranks.
    wait_until(lambda: is_idle(job) and len(job.steps()) == 1, "all ranks wait", timeout_s=LIMIT_S)
    [step] = job.steps()
    assert step % 10 == 0
    assert step < STEPS
    job.activity.unpause()
    assert job.activity.result() == sum(ITEMS)
    job.journal.check(ITEMS)


def is_idle(job: Job) -> bool:
    """Returns whether nothing is written for 20 times the duration of a step."""
    written = job.journal.lines()
    time.sleep(1)
    return job.journal.lines() == written


@pytest.mark.usefixtures("program")
def test_cancelled_job_stops_all_ranks(sdk_worker: SdkWorker, tmp_path: Path) -> None:
    job = Job(sdk_worker, tmp_path, steps=1_000_000)
    job.journal.wait_for(1, events=50)
    job.activity.cancel()
    assert isinstance(job.activity.failure(), CancelledError)
    job.journal.wait_for_the_end_of(1)
    [step] = job.steps()  # all ranks have stopped at the same checkpoint
    assert step % 10 == 0


def test_reader_of_the_page_sees_a_killed_rank_and_a_result(server: Server, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "pkg-config").write_text(f'#!/bin/sh\n[ "$1" = --cflags ] && echo "{flags()}" || echo {BUILD}\n')
    (programs / "pkg-config").chmod(0o755)
    variables = environment(server) | VARIABLES
    journal = Journal(tmp_path / "checkpoints" / "journal")
    said = read(
        "mpi.md",
        tmp_path,
        variables | {"PATH": f"{programs}:{variables['PATH']}"},
        [lambda: journal.wait_for(1, events=400), lambda: journal.wait_for(2, events=1)],
    )
    assert "from step 0" in said
    assert re.search(r"from step [1-9]\d*0$", said, re.MULTILINE), said
    assert re.search(rf"Result\s+{sum(range(1000 * RANKS))}", said), said


def test_rank_0_is_a_worker(server: Server, sdk_worker: SdkWorker, tmp_path: Path) -> None:
    world = World(sdk_worker, server.address, tmp_path)
    command = ["mpirun", *NODES, *compiled("worker"), world.queue, "2"]
    with Process(command, environment(server) | VARIABLES) as job:
        job.expect("^running$")
        results = [world.start("pi", 1_000_000, heartbeat_timeout_ms=10_000).result() for _ in range(2)]
        assert results == pytest.approx([math.pi] * 2)
        assert job.wait() == 0


def flags() -> str:
    """Returns what pkg-config prints for an installed library, for the built one."""
    return " ".join([f"-I{INCLUDE}", *linked()])
