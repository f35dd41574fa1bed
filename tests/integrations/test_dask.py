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
from integrations.activities import ExampleWorker, ItemsActivity, environment
from integrations.journal import LIMIT_S, Journal
from integrations.kills import KILLS, Kills
from integrations.reader import read

ITEMS = range(40)
LONG = 1_000_000
WORKERS = 3

# Not the queue of the page: while its reader runs a worker, the worker of the other tests still runs too.
QUEUE = "dask-tests"

# The scheduler notices between once and twice this time that a worker is silent. Its own limit is five minutes.
SHORT_TTL = {"distributed.scheduler.worker-ttl": "10s"}

# A free port: several clusters would share the default one.
DASHBOARD = "127.0.0.1:0"


@contextmanager
def cluster_with_worker(
    server: Server, queue: str = QUEUE, workers: int = WORKERS, host: str | None = None
) -> Iterator[LocalCluster]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(server).items():  # each worker has the package, and finds the server
            patch.setenv(name, value)
        with LocalCluster(n_workers=workers, threads_per_worker=2, dashboard_address=DASHBOARD, host=host) as cluster:
            variables = {"DASK_SCHEDULER_ADDRESS": cluster.scheduler_address, "TASK_QUEUE": queue}
            with ExampleWorker(server, "dask/worker.py", [], variables):
                yield cluster


@pytest.fixture(scope="module")
def cluster(server: Server) -> Iterator[LocalCluster]:
    with cluster_with_worker(server) as running:
        yield running


def complete(cluster: LocalCluster) -> None:
    """Waits until the nannies have replaced the killed workers."""
    with Client(cluster) as client:
        client.wait_for_workers(WORKERS, timeout=LIMIT_S)


@pytest.mark.parametrize("number", range(KILLS))
def test_activity_resumes_when_the_dask_worker_of_its_body_is_killed(
    number: int, cluster: LocalCluster, sdk_worker: SdkWorker, tmp_path: Path, kills: Kills
) -> None:
    complete(cluster)
    with kills.one("Dask", distributed.__version__, "the worker with the body") as kill:
        activity = ItemsActivity(sdk_worker, QUEUE, tmp_path, len(ITEMS))
        activity.journal.wait_for(1, events=4 + 13 * number % 60)
        recorded = activity.recorded_items()
        kill.now()
        os.kill(activity.body(), signal.SIGKILL)
        kill.resumed(activity.journal.wait_for(2, events=1))
        assert activity.result() == len(ITEMS)
        activity.journal.check(ITEMS, recorded=recorded)


def test_next_attempt_follows_when_dask_gives_up(cluster: LocalCluster, sdk_worker: SdkWorker, tmp_path: Path) -> None:
    activity = ItemsActivity(sdk_worker, QUEUE, tmp_path, items=100)
    for number in range(1, 5):
        activity.journal.wait_for(number, events=1)
        assert activity.attempt() == 1
        complete(cluster)
        os.kill(activity.body(number), signal.SIGKILL)
    activity.journal.wait_for(5, events=1)
    assert activity.attempt() == 2
    assert activity.result() == 100
    activity.journal.check(range(100))


def test_activity_continues_when_another_dask_worker_is_killed(
    cluster: LocalCluster, sdk_worker: SdkWorker, tmp_path: Path
) -> None:
    complete(cluster)
    activity = ItemsActivity(sdk_worker, QUEUE, tmp_path, len(ITEMS))
    activity.journal.wait_for(1, events=20)
    os.kill(next(line.pid for line in activity.journal.lines() if line.pid != activity.body()), signal.SIGKILL)
    assert activity.result() == len(ITEMS)
    activity.journal.check(ITEMS)
    assert {line.attempt for line in activity.journal.lines()} == {1}


def test_reader_of_the_page_sees_a_killed_body_and_a_result(
    server: Server, cluster: LocalCluster, tmp_path: Path
) -> None:
    complete(cluster)
    journal = Journal(tmp_path / "results-dask" / "journal")
    said = read(
        "dask.md",
        tmp_path,
        environment(server) | {"DASK_SCHEDULER_ADDRESS": cluster.scheduler_address},
        [lambda: journal.wait_for(1, events=50), lambda: journal.wait_for(2, events=1)],
    )
    assert re.search(r"Result\s+1000", said), said


def test_cancelled_activity_stops_its_items(cluster: LocalCluster, sdk_worker: SdkWorker, tmp_path: Path) -> None:
    activity = ItemsActivity(sdk_worker, QUEUE, tmp_path, items=LONG)
    activity.journal.wait_for(1, events=20)
    activity.cancel()
    assert isinstance(activity.failure(), CancelledError)
    written = activity.journal.lines()
    with Client(cluster) as client:
        states = client.run(lambda dask_worker: len(dask_worker.state.all_running_tasks))
    assert set(states.values()) == {0}
    assert activity.journal.lines() == written
    # Running items have stopped before their end.
    assert len(activity.journal.of(1, "begin")) > len(activity.journal.of(1, "end"))


def check_resumed(activity: ItemsActivity, recorded: range) -> None:
    assert activity.result() == activity.items
    assert activity.attempt() > 1
    activity.journal.check(range(activity.items), recorded=recorded)


def test_activity_resumes_when_the_dask_worker_of_its_body_is_frozen(
    server: Server, sdk_worker: SdkWorker, tmp_path: Path, kills: Kills
) -> None:
    queue = f"dask-{uuid.uuid4()}"
    with (
        dask.config.set(SHORT_TTL),
        cluster_with_worker(server, queue),
        kills.one("Dask", distributed.__version__, "the worker with the body (SIGSTOP)") as kill,
    ):
        activity = ItemsActivity(sdk_worker, queue, tmp_path, len(ITEMS))
        activity.journal.wait_for(1, events=20)
        recorded = activity.recorded_items()
        kill.now()
        os.kill(activity.body(), signal.SIGSTOP)
        kill.resumed(activity.journal.wait_for(2, events=1))
        check_resumed(activity, recorded)


def test_activity_resumes_when_the_dask_worker_of_its_body_loses_its_network(
    server: Server, sdk_worker: SdkWorker, tmp_path: Path, kills: Kills
) -> None:
    queue = f"dask-{uuid.uuid4()}"
    with (
        Network() as network,
        Proxy(server.port, host=network.addresses[0]) as link,
        dask.config.set(SHORT_TTL),
        cluster_with_worker(server, queue, workers=0, host=network.addresses[0]) as cluster,
        kills.one("Dask", distributed.__version__, "the network of the worker with the body") as kill,
    ):
        command = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address, "--nthreads", "2"]
        variables = environment(server) | {"TEMPORAL_ADDRESS": link.address}
        elsewhere = subprocess.Popen([*network.inside, *command], env=variables, start_new_session=True)
        try:
            # The only worker starts the body. The others start during the first items.
            activity = ItemsActivity(sdk_worker, queue, tmp_path, items=600)
            activity.journal.wait_for(1, events=1)
            cluster.scale(2)
            wait_until(lambda: len({line.pid for line in activity.journal.lines()}) == 3, "items on each worker")
            recorded = activity.recorded_items()
            kill.now()
            network.disconnect()
            kill.resumed(activity.journal.wait_for(2, events=1))
            check_resumed(activity, recorded)
        finally:
            os.killpg(elsewhere.pid, signal.SIGKILL)
            elsewhere.wait()
