"""Jobs with `exec` as process 1 or in a sidecar, and their parent, on a cluster (jobs.py, cluster.py)."""

import itertools
import json
import os
import re
import signal
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from temporalio.exceptions import CancelledError

from harness.activities import ExternalActivity
from harness.fixtures import StartActivity
from harness.paths import VENV_BIN
from harness.polling import wait_until
from harness.program import environment
from harness.proxy import Proxy
from harness.server import Server, find_program
from harness.worker import ActivityOptions, SdkWorker
from integrations.activities import EngineActivity
from integrations.cluster import LIMIT_S, PROGRAMS, VERSION, Cluster
from integrations.held_program import HeldProgram
from integrations.jobs import EXAMPLES, Jobs
from integrations.kills import KILLS, Kills
from integrations.pod import Pod
from integrations.reader import read
from integrations.solver_images import images_of_solvers

# What `temporal activity result` prints if the exit code is 0.
RESULT = re.compile(r"^ +Result +0$", re.MULTILINE)
# What `kubectl apply` prints for the scripts of the sidecar, which the namespace has already.
SCRIPTS = re.compile("^configmap/sidecar ", re.MULTILINE)
# What a user creates once.
FOR_ALL_JOBS = ("role.yaml", "sidecar_scripts.yaml")
# Longer than the time after which the cluster takes a node for lost, and the start of a pod on a busy machine.
HEARTBEAT_TIMEOUT_MS = 10_000


@pytest.mark.parametrize("version", ["1.29", "1.32", "1.37"])
@pytest.mark.parametrize("manifest", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_manifest_is_valid(manifest: Path, version: str) -> None:
    for document in yaml.safe_load_all(manifest.read_text()):
        kubernetes_validate.validate(document, version, strict=True)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with Cluster(folder, list(images_of_solvers(folder)), nodes=2) as running:
        yield running
        print(running.kubectl("get", "events", "--all-namespaces"))


@pytest.fixture
def jobs(cluster: Cluster, server: Server, tmp_path: Path) -> Iterator[Jobs]:
    namespace = f"test-{uuid.uuid4()}"
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o777)
    cluster.kubectl("create", "namespace", namespace)
    with Proxy(server.port, host=cluster.host) as temporal:
        jobs = Jobs(cluster, temporal.address, data, namespace)
        jobs.wait("create", "serviceaccount/default")
        for manifest in FOR_ALL_JOBS:
            jobs.kubectl("apply", f"--filename={EXAMPLES / manifest}")
        yield jobs
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture
def start_solver(start: StartActivity) -> Callable[[], ExternalActivity]:
    return lambda: start("workflow", heartbeat_timeout_ms=HEARTBEAT_TIMEOUT_MS, start_to_close_ms=600_000)


@contextmanager
def deleted(pod: Pod) -> Iterator[None]:
    pod.delete()
    yield


@contextmanager
def killed(pod: Pod) -> Iterator[None]:
    pod.kill("solver")
    yield


@contextmanager
def failed_node(pod: Pod) -> Iterator[None]:
    node = pod.node
    node.fail()
    try:
        yield
    finally:
        node.start()
        pod.cluster.wait_for_node(node)


@contextmanager
def cut_node(pod: Pod) -> Iterator[None]:
    node = pod.node
    node.network.disconnect()
    try:
        yield
    finally:
        node.network.reconnect()
        pod.cluster.wait_for_node(node)


@contextmanager
def drained_node(pod: Pod) -> Iterator[None]:
    node = pod.node.name
    try:
        pod.cluster.kubectl("drain", node, "--delete-emptydir-data", "--force")
        yield
    finally:
        pod.cluster.kubectl("uncordon", node)


@contextmanager
def preempted(pod: Pod) -> Iterator[None]:
    """Creates a pod of a higher priority that needs the whole node."""
    node = pod.node.name
    cpus = pod.cluster.kubectl("get", f"node/{node}", "--output=jsonpath={.status.allocatable.cpu}")
    try:
        pod.cluster.kubectl("apply", "--filename=-", stdin=URGENT.format(node=node, cpus=cpus))
        yield
    finally:
        pod.cluster.kubectl("delete", "pod", "urgent", "--grace-period=1", "--ignore-not-found")


URGENT = """
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {{name: urgent}}
value: 1000
---
apiVersion: v1
kind: Pod
metadata: {{name: urgent}}
spec:
  priorityClassName: urgent
  nodeSelector: {{kubernetes.io/hostname: {node}}}
  containers:
    - name: urgent
      image: solver:1
      command: [sleep, infinity]
      resources: {{requests: {{cpu: {cpus}}}}}
"""

ENDS: Sequence[tuple[str, str, Callable[[Pod], AbstractContextManager[None]]]] = (
    ("job.yaml", "the pod (deleted)", deleted),
    ("job.yaml", "process 1 of the container (SIGKILL)", killed),
    ("job.yaml", "the node", failed_node),
    ("job.yaml", "the network of the node", cut_node),
    ("job.yaml", "the pod (its node drained)", drained_node),
    ("job.yaml", "the pod (preempted)", preempted),
    ("sidecar.yaml", "the pod with a sidecar (deleted)", deleted),
    ("sidecar.yaml", "the container beside the sidecar (SIGKILL)", killed),
    ("sidecar.yaml", "the node, with a sidecar", failed_node),
    ("sidecar.yaml", "the network of the node, with a sidecar", cut_node),
)


def test_pods_resume(jobs: Jobs, start_solver: Callable[[], ExternalActivity], kills: Kills) -> None:
    activity, journal = start_solver(), jobs.journal
    ends = list(itertools.islice(itertools.cycle(ENDS), KILLS))
    manifests = [manifest for manifest, _, _ in ends] + ["job.yaml"]
    [pod] = jobs.create(manifests[0], activity.next_attempt())
    for attempt, (_, what, end) in enumerate(ends, start=1):
        with kills.one("Kubernetes", VERSION, what) as kill:
            journal.wait_for(attempt, 3, "end")
            wait_until(lambda: bool(activity.heartbeat_details()), "a record")
            [recorded] = activity.heartbeat_details()
            kill.now()
            with end(pod):
                [pod] = jobs.create(manifests[attempt], activity.next_attempt())
                kill.resumed(journal.wait_for(attempt + 1, 1))
            first = journal.of(attempt + 1)[0].item
            assert first >= recorded, "recorded items are done again"
            journal.check(range(first))
    journal.wait_for(KILLS + 1, 3, "end")
    jobs.stop()
    assert activity.result() == 0
    pod.wait("Succeeded")
    journal.check(range(max(line.item for line in journal.lines())))


@pytest.mark.parametrize("manifest", ["job.yaml", "sidecar.yaml"])
def test_cancelled_activity_ends_its_pod(
    manifest: str, jobs: Jobs, start_solver: Callable[[], ExternalActivity]
) -> None:
    activity = start_solver()
    [pod] = jobs.create(manifest, activity.next_attempt())
    jobs.journal.wait_for(1, 3, "end")
    activity.request_cancel()
    pod.wait("Failed")
    assert isinstance(activity.failure(), CancelledError)


def test_sidecar_completes_the_activity_when_the_solver_has_ended(
    jobs: Jobs, start_solver: Callable[[], ExternalActivity]
) -> None:
    activity = start_solver()
    [pod] = jobs.create("sidecar.yaml", activity.next_attempt())
    jobs.journal.wait_for(1, 3, "end")
    jobs.stop()
    assert activity.result() == 0
    pod.wait("Succeeded")


def test_restarted_sidecar_continues_the_attempt(jobs: Jobs, start_solver: Callable[[], ExternalActivity]) -> None:
    activity = start_solver()
    [pod] = jobs.create("sidecar.yaml", activity.next_attempt())
    jobs.journal.wait_for(1, 3, "end")
    wait_until(lambda: bool(activity.heartbeat_details()), "a record")
    pod.kill("heartbeat")
    pod.wait_for_restart("heartbeat")
    before = activity.heartbeat_details()
    wait_until(lambda: activity.heartbeat_details() != before, "a record of the restarted sidecar")
    jobs.stop()
    assert activity.result() == 0
    pod.wait("Succeeded")


def test_sidecar_that_restarts_after_its_attempt_kills_the_solver(
    jobs: Jobs, start_solver: Callable[[], ExternalActivity], sdk_worker: SdkWorker
) -> None:
    activity = start_solver()
    attempt = activity.next_attempt()
    [pod] = jobs.create("sidecar.yaml", attempt)
    jobs.journal.wait_for(1, 3, "end")
    sdk_worker.fail(attempt.token)
    pod.kill("heartbeat")
    pod.wait("Failed")
    assert pod.container("heartbeat")["restartCount"] >= 1


def test_pod_whose_attempt_is_over_ends_before_its_solver_starts(
    jobs: Jobs, start_solver: Callable[[], ExternalActivity], sdk_worker: SdkWorker
) -> None:
    attempt = start_solver().next_attempt()
    sdk_worker.fail(attempt.token)
    [pod] = jobs.create("sidecar.yaml", attempt)
    pod.wait("Failed")
    assert not jobs.journal.lines()


def test_second_kill_of_a_sidecar_ends_the_attempt(jobs: Jobs, start: StartActivity) -> None:
    activity = start("workflow", heartbeat_timeout_ms=60_000, start_to_close_ms=600_000)
    [pod] = jobs.create("sidecar.yaml", activity.next_attempt())
    jobs.journal.wait_for(1, 3, "end")
    pod.kill("heartbeat")
    pod.wait_for_restart("heartbeat")
    before = activity.heartbeat_details()
    wait_until(lambda: activity.heartbeat_details() != before, "a record of the restarted sidecar", LIMIT_S)
    pod.kill("heartbeat")
    attempt = activity.next_attempt(LIMIT_S)
    [recorded] = activity.heartbeat_details()
    jobs.create("sidecar.yaml", attempt)
    jobs.journal.wait_for(2, 3, "end")
    jobs.stop()
    assert activity.result() == 0
    assert jobs.journal.of(2)[0].item == recorded
    jobs.journal.check(range(max(line.item for line in jobs.journal.lines())))


def test_cancellation_beside_a_sidecar_sends_one_sigterm(jobs: Jobs, start: StartActivity) -> None:
    activity = start("workflow", heartbeat_timeout_ms=60_000, start_to_close_ms=600_000)
    (jobs.data / "ends_slowly").touch()
    [pod] = jobs.create("sidecar.yaml", activity.next_attempt())
    jobs.journal.wait_for(1, 3, "end")
    activity.request_cancel()
    pod.wait("Failed")
    assert pod.log("solver") == "SIGTERM\n"


def test_failure_beside_a_sidecar_names_the_log_of_the_solver(
    jobs: Jobs, start_solver: Callable[[], ExternalActivity]
) -> None:
    [pod] = jobs.create("sidecar.yaml", start_solver().next_attempt())
    jobs.journal.wait_for(1, 3, "end")
    pod.kill("solver")
    pod.wait("Failed")
    assert f"the solver ended without /work/done: kubectl logs {pod.name} --container=solver" in pod.log("heartbeat")


def test_each_index_of_an_indexed_job_has_its_own_activity(
    jobs: Jobs, start_solver: Callable[[], ExternalActivity]
) -> None:
    activities = [start_solver() for _ in range(3)]
    pods = jobs.create("indexed_job.yaml", *(activity.next_attempt() for activity in activities))
    wait_until(lambda: all(activity.heartbeat_details() for activity in activities), "a record of each index")
    pods[1].delete()
    activities[1].next_attempt()  # the pod has failed it, and nothing else
    jobs.stop()
    assert [activities[0].result(), activities[2].result()] == [0, 0]
    jobs.wait("condition=Failed", "job/solvers-1")
    status = json.loads(jobs.kubectl("get", "job", "solvers-1", "--output=json"))["status"]
    assert (status["completedIndexes"], status["failedIndexes"]) == ("0,2", "1")


@dataclass(frozen=True)
class Parent:
    """A parent of the examples, with the arguments of its activities."""

    script: str
    manifest: str
    arguments: Sequence[int]


# For activities whose Jobs a parent creates.
A_MINUTE = ActivityOptions(heartbeat_timeout_ms=60_000)

PARENTS = [
    pytest.param(Parent("parent.py", "job.yaml", [3]), id="job"),
    pytest.param(Parent("indexed_parent.py", "indexed_job.yaml", []), id="indexed"),
]


def start_for(parent: Parent, jobs: Jobs, sdk_worker: SdkWorker) -> EngineActivity:
    """Starts an activity on the task queue of a parent, which is the namespace of the Jobs."""
    return EngineActivity(sdk_worker, "solve", jobs.namespace, parent.arguments, A_MINUTE)


@pytest.mark.parametrize("parent", PARENTS)
def test_parent_needs_only_the_rights_of_its_role(
    parent: Parent, jobs: Jobs, server: Server, sdk_worker: SdkWorker
) -> None:
    with jobs.parent(parent.script, parent.manifest, server.address, {}):
        assert start_for(parent, jobs, sdk_worker).result() == 0
    job = jobs.kubectl("get", "jobs", "--output=jsonpath={.items[*].metadata.name}")
    jobs.kubectl("delete", "job", job)
    jobs.wait("delete", f"secret/{job}")


@pytest.mark.parametrize("parent", PARENTS)
def test_terminated_parent_completes_the_job_of_an_attempt_that_it_has_taken(
    parent: Parent, jobs: Jobs, server: Server, sdk_worker: SdkWorker, tmp_path: Path
) -> None:
    kubectl = HeldProgram(PROGRAMS / "kubectl", tmp_path)
    path = {"PATH": f"{kubectl.directory}:{os.environ['PATH']}"}
    with jobs.parent(parent.script, parent.manifest, server.address, path) as process:
        activity = start_for(parent, jobs, sdk_worker)
        kubectl.outlive_sigterm(process)
    assert activity.result() == 0
    assert activity.attempt() == 1


@pytest.mark.parametrize("parent", PARENTS)
def test_parent_that_cannot_create_the_secret_leaves_no_job_and_fails_the_attempt(
    parent: Parent, jobs: Jobs, server: Server, sdk_worker: SdkWorker
) -> None:
    jobs.kubectl("create", "serviceaccount", "without-secrets")
    jobs.kubectl("create", "role", "without-secrets", "--verb=create,delete", "--resource=jobs")
    account = f"--serviceaccount={jobs.namespace}:without-secrets"
    jobs.kubectl("create", "rolebinding", "without-secrets", "--role=without-secrets", account)
    with jobs.parent(parent.script, parent.manifest, server.address, {}, "without-secrets") as process:
        activity = start_for(parent, jobs, sdk_worker)
        wait_until(lambda: bool(activity.last_failure().message), "a failure", LIMIT_S)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait() == 0
    assert 'cannot create resource "secrets"' in activity.last_failure().message
    wait_until(lambda: not jobs.exist(), "no Job", LIMIT_S)


def test_reader_of_the_page_sees_deleted_pods_and_results(jobs: Jobs, tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    folder.mkdir()
    config = jobs.cluster.kubeconfig(f"reader-{jobs.namespace}", namespace=jobs.namespace)
    variables = environment(jobs.temporal) | {
        "PATH": f"{VENV_BIN}:{PROGRAMS}:{find_program().parent}:{os.environ['PATH']}",
        "KUBECONFIG": str(config),
    }

    def wait_for(pattern: str, times: int = 1) -> None:
        def is_logged() -> bool:
            return len(re.findall(pattern, jobs.logs(), re.MULTILINE)) >= times

        wait_until(is_logged, f"{pattern} in the logs", LIMIT_S)

    def wait_for_output(pattern: "re.Pattern[str]", times: int = 1) -> None:
        # The reader's shell creates the file.
        wait_until(
            lambda: len(pattern.findall((folder / "said").read_text())) >= times, f"{pattern} in the output", LIMIT_S
        )

    def wait_for_items_beside_sidecar() -> None:
        wait_for_output(SCRIPTS)  # until then the shell is still deleting the indexed Jobs
        wait_for("^5$")

    said = read(
        "kubernetes.md",
        folder,
        variables,
        [
            lambda: wait_for("^5$"),
            lambda: wait_for("^from item .*, attempt 2"),
            lambda: wait_for_output(RESULT),
            lambda: wait_for("^5$", times=3),
            lambda: wait_for("^from item .*, attempt 2"),
            lambda: wait_for_output(RESULT, times=4),
            wait_for_items_beside_sidecar,
            lambda: None,
        ],
    )
    *others, logs_beside_sidecar = RESULT.split(said)
    assert len(others) == 5
    assert re.findall(r"^\d+$", logs_beside_sidecar, re.MULTILINE)[0] != "1", "recorded items are done again"
