"""Dask: the worker of examples/integrations/dask, on a cluster whose nannies restart killed workers."""

import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
import distributed
import pytest
from distributed import Client, LocalCluster
from temporalio.exceptions import CancelledError

from harness.network import Network
from harness.polling import wait_until
from harness.proxy import Proxy
from harness.server import Server
from harness.worker import SdkWorker
from integrations.activities import EngineActivity, ExampleWorker, environment
from integrations.journal import Journal
from integrations.kills import KILLS, Kills
from integrations.reader import read

ITEMS = range(40)
LONG = 1_000_000

# Not the queue of the page: while its reader runs a worker, the worker of the other tests still runs too.
QUEUE = "dask-tests"

# The scheduler notices between once and twice this time that a worker is silent. Its own limit is five minutes.
WORKER_TTL = "10s"

# A free port: several clusters would share the default one.
DASHBOARD = "127.0.0.1:0"


@pytest.fixture(scope="module")
def cluster(server: Server) -> Iterator[LocalCluster]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(server).items():  # each worker has the package, and finds the server
            patch.setenv(name, value)
        with (
            LocalCluster(n_workers=3, threads_per_worker=2, dashboard_address=DASHBOARD) as running,
            example_worker(server, running, QUEUE),
        ):
            yield running


def example_worker(server: Server, cluster: LocalCluster, queue: str) -> ExampleWorker:
    variables = {"DASK_SCHEDULER_ADDRESS": cluster.scheduler_address, "TASK_QUEUE": queue}
    return ExampleWorker(server, "dask/worker.py", [], variables)


class Job:
    def __init__(self, sdk_worker: SdkWorker, folder: Path, items: int = len(ITEMS), queue: str = QUEUE) -> None:
        self.items = items
        self.journal = Journal(folder / "journal")
        self._bodies = folder / "bodies"
        self.activity = EngineActivity(sdk_worker, "process", queue, [items, str(folder)])

    def body(self, number: int = 1) -> int:
        """Returns the process of a body."""
        return int(self._bodies.read_text().splitlines()[number - 1].split()[1])

    def recorded_items(self) -> range:
        details = self.activity.details()
        return range(details[0] + 1 if details else 0)


@pytest.mark.parametrize("number", range(KILLS))
def test_activity_resumes_when_the_dask_worker_of_its_body_is_killed(
    number: int, cluster: LocalCluster, sdk_worker: SdkWorker, tmp_path: Path, kills: Kills
) -> None:
    with Client(cluster) as client:
        client.wait_for_workers(3)
    with kills.one("Dask", distributed.__version__, "the worker with the body") as kill:
        job = Job(sdk_worker, tmp_path)
        job.journal.wait_for(1, events=4 + 13 * number % 60)
        recorded = job.recorded_items()
        kill.now()
        os.kill(job.body(), signal.SIGKILL)
        kill.resumed(job.journal.wait_for(2, events=1))
        assert job.activity.result() == len(ITEMS)
        job.journal.check(ITEMS, recorded=recorded)


def test_next_attempt_follows_when_dask_gives_up(cluster: LocalCluster, sdk_worker: SdkWorker, tmp_path: Path) -> None:
    job = Job(sdk_worker, tmp_path, items=100)
    for number in range(1, 5):
        job.journal.wait_for(number, events=1)
        assert job.activity.attempt() == 1
        with Client(cluster) as client:
            client.wait_for_workers(3)
        os.kill(job.body(number), signal.SIGKILL)
    job.journal.wait_for(5, events=1)
    assert job.activity.attempt() == 2
    assert job.activity.result() == 100
    job.journal.check(range(100))


def test_activity_continues_when_another_dask_worker_is_killed(
    cluster: LocalCluster, sdk_worker: SdkWorker, tmp_path: Path
) -> None:
    with Client(cluster) as client:
        client.wait_for_workers(3)
    job = Job(sdk_worker, tmp_path)
    job.journal.wait_for(1, events=20)
    os.kill(next(line.pid for line in job.journal.lines() if line.pid != job.body()), signal.SIGKILL)
    assert job.activity.result() == len(ITEMS)
    job.journal.check(ITEMS)
    assert {line.attempt for line in job.journal.lines()} == {1}


def test_reader_of_the_page_sees_a_killed_body_and_a_result(
    server: Server, cluster: LocalCluster, tmp_path: Path
) -> None:
    with Client(cluster) as client:
        client.wait_for_workers(3)
    journal = Journal(tmp_path / "results" / "journal")
    said = read(
        "dask.md",
        tmp_path,
        environment(server) | {"DASK_SCHEDULER_ADDRESS": cluster.scheduler_address},
        [lambda: journal.wait_for(1, events=50), lambda: journal.wait_for(2, events=1)],
    )
    assert re.search(r"Result\s+1000", said), said


def test_cancelled_activity_stops_its_items(cluster: LocalCluster, sdk_worker: SdkWorker, tmp_path: Path) -> None:
    job = Job(sdk_worker, tmp_path, items=LONG)
    job.journal.wait_for(1, events=20)
    job.activity.cancel()
    assert isinstance(job.activity.failure(), CancelledError)
    written = job.journal.lines()
    with Client(cluster) as client:
        states = client.run(lambda dask_worker: len(dask_worker.state.all_running_tasks))
    assert set(states.values()) == {0}
    assert job.journal.lines() == written
    # Running items have stopped before their end.
    assert len(job.journal.of(1, "begin")) > len(job.journal.of(1, "end"))


@contextmanager
def watched_cluster(server: Server, queue: str, workers: int, host: str | None = None) -> Iterator[LocalCluster]:
    """A cluster that notices silent workers."""
    with pytest.MonkeyPatch.context() as patch, dask.config.set({"distributed.scheduler.worker-ttl": WORKER_TTL}):
        for name, value in environment(server).items():
            patch.setenv(name, value)
        with (
            LocalCluster(n_workers=workers, threads_per_worker=2, dashboard_address=DASHBOARD, host=host) as running,
            example_worker(server, running, queue),
        ):
            yield running


def check_resumed(job: Job, recorded: range) -> None:
    assert job.activity.result() == job.items
    assert job.activity.attempt() > 1
    job.journal.check(range(job.items), recorded=recorded)


def test_activity_resumes_when_the_dask_worker_of_its_body_is_frozen(
    server: Server, sdk_worker: SdkWorker, tmp_path: Path, kills: Kills
) -> None:
    queue = f"dask-{uuid.uuid4()}"
    with (
        watched_cluster(server, queue, workers=3),
        kills.one("Dask", distributed.__version__, "the worker with the body (SIGSTOP)") as kill,
    ):
        job = Job(sdk_worker, tmp_path, queue=queue)
        job.journal.wait_for(1, events=20)
        recorded = job.recorded_items()
        kill.now()
        os.kill(job.body(), signal.SIGSTOP)
        kill.resumed(job.journal.wait_for(2, events=1))
        check_resumed(job, recorded)


def test_activity_resumes_when_the_dask_worker_of_its_body_loses_its_network(
    server: Server, sdk_worker: SdkWorker, tmp_path: Path, kills: Kills
) -> None:
    queue = f"dask-{uuid.uuid4()}"
    with (
        Network() as network,
        Proxy(server.port, host=network.addresses[0]) as link,
        watched_cluster(server, queue, workers=0, host=network.addresses[0]) as cluster,
        kills.one("Dask", distributed.__version__, "the network of the worker with the body") as kill,
    ):
        command = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address, "--nthreads", "2"]
        variables = environment(server) | {"TEMPORAL_ADDRESS": link.address}
        elsewhere = subprocess.Popen([*network.inside, *command], env=variables, start_new_session=True)
        try:
            # The only worker starts the body. The others start during the first items.
            job = Job(sdk_worker, tmp_path, items=600, queue=queue)
            job.journal.wait_for(1, events=1)
            cluster.scale(2)
            wait_until(lambda: len({line.pid for line in job.journal.lines()}) == 3, "items on each worker")
            recorded = job.recorded_items()
            kill.now()
            network.disconnect()
            kill.resumed(job.journal.wait_for(2, events=1))
            check_resumed(job, recorded)
        finally:
            os.killpg(elsewhere.pid, signal.SIGKILL)
            elsewhere.wait()
