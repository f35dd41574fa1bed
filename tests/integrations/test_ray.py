"""Ray: the worker of examples/integrations/ray, on a cluster of several nodes. They are this machine too."""

import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster
from temporalio.exceptions import CancelledError

from harness.polling import wait_until
from harness.program import children_of, is_alive, parent_of
from harness.server import Server
from harness.worker import SdkWorker
from integrations.activities import ExampleWorker, ItemsActivity, environment
from integrations.journal import LIMIT_S, Journal
from integrations.kills import KILLS, Kill, Kills
from integrations.reader import read

ITEMS = range(30)
SLOTS = 2  # tasks that a node runs at the same time

# Not the queue of the page: while its reader runs a worker, the worker of the other tests still runs too.
QUEUE = "ray-tests"

# Ray's own limits are longer: it notices the end of a node after about 13 s.
QUICK_CHECKS = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 500,
    "health_check_failure_threshold": 3,
}


class TwoNodes:
    """A cluster whose head runs neither bodies nor tasks."""

    def __init__(self, settings: Mapping[str, int]) -> None:
        head = {"num_cpus": 0, "_system_config": dict(settings)} if settings else {"num_cpus": 0}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self._nodes: list[Any] = []
        self.complete()

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def complete(self) -> None:
        """Starts nodes until there are two that run."""
        self._nodes = [node for node in self._nodes if node.all_processes["raylet"][0].process.poll() is None]
        while len(self._nodes) < 2:
            self._nodes.append(self._cluster.add_node(num_cpus=SLOTS))

    def kill_node(self, pid: int) -> None:
        """Kills the node on which a process runs: all of its processes at once, like a power failure."""
        daemon = parent_of(pid)
        [node] = [each for each in self._nodes if daemon in pids(each)]
        self._nodes.remove(node)
        processes = [*pids(node), *children_of(daemon)]
        for each in processes:
            os.kill(each, signal.SIGKILL)

    def shutdown(self) -> None:
        self._cluster.shutdown()


def pids(node: Any) -> list[int]:
    return [info.process.pid for infos in node.all_processes.values() for info in infos if info.process.poll() is None]


@contextmanager
def cluster_with_worker(server: Server, settings: Mapping[str, int], queue: str = QUEUE) -> Iterator[TwoNodes]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(server).items():  # each node has the package
            patch.setenv(name, value)
        cluster = TwoNodes(settings)
        try:
            with ExampleWorker(server, "ray/worker.py", [], {"RAY_ADDRESS": cluster.address, "TASK_QUEUE": queue}):
                yield cluster
        finally:
            cluster.shutdown()


@pytest.fixture(scope="module")
def cluster(server: Server) -> Iterator[TwoNodes]:
    with cluster_with_worker(server, QUICK_CHECKS) as running:
        yield running


def tasks_elsewhere(activity: ItemsActivity) -> list[int]:
    """Returns processes that run a task on another node than that of the body."""
    tasks = {line.pid for line in activity.journal.lines()}
    return [pid for pid in tasks if is_alive(pid) and parent_of(pid) != parent_of(activity.body())]


def kill_the_body_of(activity: ItemsActivity, cluster: TwoNodes, kill: Kill, events: int) -> None:
    """Kills the node of the body, and checks that the activity resumes."""
    activity.journal.wait_for(1, events=events)
    recorded = activity.recorded_items()
    kill.now()
    cluster.kill_node(activity.body())
    kill.resumed(activity.journal.wait_for(2, events=1))
    assert activity.journal.at_work(1) == [], "tasks run beside the next attempt"
    assert activity.result() == activity.items
    activity.journal.check(range(activity.items), recorded=recorded)


@pytest.mark.parametrize("number", range(KILLS))
def test_activity_resumes_when_the_node_of_its_body_is_killed(
    number: int, cluster: TwoNodes, sdk_worker: SdkWorker, tmp_path: Path, kills: Kills
) -> None:
    cluster.complete()
    with kills.one("Ray", ray.__version__, "the node of the body") as kill:
        activity = ItemsActivity(sdk_worker, QUEUE, tmp_path, len(ITEMS))
        kill_the_body_of(activity, cluster, kill, events=4 + 13 * number % 44)


def test_activity_continues_when_a_node_without_its_body_is_killed(
    cluster: TwoNodes, sdk_worker: SdkWorker, tmp_path: Path
) -> None:
    cluster.complete()
    activity = ItemsActivity(sdk_worker, QUEUE, tmp_path, items=60)
    wait_until(lambda: bool(tasks_elsewhere(activity)), "tasks on the other node", timeout_s=LIMIT_S)
    cluster.kill_node(tasks_elsewhere(activity)[0])
    assert activity.result() == 60
    activity.journal.check(range(60))
    assert {line.attempt for line in activity.journal.lines()} == {1}


def test_activity_resumes_with_the_limits_of_ray(
    server: Server, sdk_worker: SdkWorker, tmp_path: Path, kills: Kills, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tasks of the killed body run on for longer than the heartbeat timeout. The next body waits for their end."""
    monkeypatch.setenv("ITEM_SECONDS", "20")
    with (
        cluster_with_worker(server, {}, queue="ray-own-limits") as cluster,
        kills.one("Ray", ray.__version__, "the node of the body, with Ray's own health checks") as kill,
    ):
        activity = ItemsActivity(sdk_worker, "ray-own-limits", tmp_path, items=4)
        wait_until(lambda: bool(tasks_elsewhere(activity)), "tasks on the other node", timeout_s=LIMIT_S)
        kill_the_body_of(activity, cluster, kill, events=1)


def test_reader_of_the_page_sees_a_killed_node_and_a_result(server: Server, cluster: TwoNodes, tmp_path: Path) -> None:
    cluster.complete()
    journal = Journal(tmp_path / "results-ray" / "journal")
    said = read(
        "ray.md",
        tmp_path,
        environment(server) | {"RAY_ADDRESS": cluster.address},
        [lambda: journal.wait_for(1, events=50), lambda: journal.wait_for(2, events=1)],
    )
    assert re.search(r"Result\s+1000", said), said


def test_cancelled_activity_stops_its_tasks(cluster: TwoNodes, sdk_worker: SdkWorker, tmp_path: Path) -> None:
    cluster.complete()
    activity = ItemsActivity(sdk_worker, QUEUE, tmp_path, items=1_000_000)
    activity.journal.wait_for(1, events=20)
    activity.cancel()
    assert isinstance(activity.failure(), CancelledError)
    written = activity.journal.lines()
    wait_until(lambda: not is_alive(activity.body()), "the body ends", timeout_s=LIMIT_S)
    time.sleep(1)  # ten times the duration of an item: nothing may be written in it
    assert activity.journal.lines() == written
