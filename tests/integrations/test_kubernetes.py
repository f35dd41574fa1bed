"""Jobs with `exec` as process 1 or in a sidecar, and the parent that creates them, on a real cluster (cluster.py)."""

import base64
import itertools
import json
import os
import re
import sys
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
from harness.paths import ROOT, VENV_BIN
from harness.polling import wait_until
from harness.process import Process
from harness.program import environment
from harness.proxy import Proxy
from harness.server import Server, find_program
from harness.worker import ActivityOptions, Attempt, SdkWorker
from integrations.cluster import LIMIT_S, PROGRAMS, VERSION, Cluster
from integrations.journal import Journal
from integrations.kills import KILLS, Kills
from integrations.pod import Manifest, Pod
from integrations.reader import read
from integrations.solver_images import ITEMS, ITEMS_BESIDE_SIDECAR, images_of_solvers

EXAMPLES = ROOT / "examples" / "integrations" / "kubernetes"
# The address of the server in the manifests.
ADDRESS = "temporal-frontend.temporal:7233"
# What `temporal activity result` prints if the exit code is 0.
RESULT = re.compile(r"^ +Result +0$", re.MULTILINE)
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


@dataclass
class Jobs:
    """The Jobs of a test: a namespace of the cluster, and a folder on all nodes for the journal."""

    cluster: Cluster
    temporal: str
    data: Path
    namespace: str

    @property
    def journal(self) -> Journal:
        return Journal(self.data / "journal")

    def create(self, manifest: str, *attempts: Attempt) -> list[Pod]:
        """Creates a manifest with the tokens of attempts, and returns its pods by their indices."""
        secret, job = yaml.safe_load_all((EXAMPLES / manifest).read_text())
        name = f"{job['metadata']['name']}-{attempts[0].number}"
        spec = job["spec"]["template"]["spec"]
        job["metadata"]["name"] = secret["metadata"]["name"] = spec["volumes"][0]["secret"]["secretName"] = name
        tokens = [base64.b64encode(attempt.token).decode() for attempt in attempts]
        secret["stringData"] = dict(zip(secret["stringData"], tokens, strict=True))
        self.adapt(spec)
        (self.data / "attempt").write_text(str(attempts[0].number))
        self.kubectl("create", "--filename=-", stdin=yaml.dump_all([secret, job]))
        return self.pods(name, len(attempts))

    def adapt(self, spec: Manifest) -> None:
        """Gives the pod the address of the server, and a solver that writes into the folder of the test."""
        spec["volumes"].append({"name": "data", "hostPath": {"path": str(self.data)}})
        [solver], sidecars = spec["containers"], spec.get("initContainers", [])
        items = ITEMS_BESIDE_SIDECAR if sidecars else ITEMS
        solver["command"][-1], solver["args"] = items, ["/data"]
        solver["volumeMounts"].append({"name": "data", "mountPath": "/data"})
        solver["resources"] = {"requests": {"cpu": "100m"}}
        values = {"TEMPORAL_ADDRESS": self.temporal, "SOLVER": items}
        for container in [solver, *sidecars]:
            for variable in container.get("env", []):
                variable["value"] = values.get(variable["name"], variable["value"])

    def pods(self, job: str, count: int = 1) -> list[Pod]:
        """Waits for the pods of a Job."""
        found: list[Manifest] = []

        def exist() -> bool:
            listed = self.kubectl("get", "pods", f"--selector=job-name={job}", "--output=json")
            found[:] = json.loads(listed)["items"]
            return len(found) == count

        wait_until(exist, f"{count} pods of {job}")
        # The names of the pods of an indexed Job begin with the name of the Job and the index.
        return [Pod(self.cluster, self.namespace, name) for name in sorted(each["metadata"]["name"] for each in found)]

    def logs(self) -> str:
        """Returns what the solvers in all pods have printed, without pods that are ending or starting."""
        pods = json.loads(self.kubectl("get", "pods", "--selector=app=solver", "--output=json"))["items"]
        names = [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return "".join(
            self.cluster.printed(f"--namespace={self.namespace}", "logs", name, "-c=solver") for name in names
        )

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl(f"--namespace={self.namespace}", *words, stdin=stdin)

    def stop(self) -> None:
        """Lets the solvers finish."""
        (self.data / "stop").touch()


@pytest.fixture
def jobs(cluster: Cluster, server: Server, tmp_path: Path) -> Iterator[Jobs]:
    namespace = f"test-{uuid.uuid4()}"
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o777)
    cluster.kubectl("create", "namespace", namespace)
    with Proxy(server.port, host=cluster.host) as temporal:
        jobs = Jobs(cluster, temporal.address, data, namespace)
        jobs.kubectl("wait", "--for=create", "serviceaccount/default", f"--timeout={LIMIT_S:.0f}s")
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
    jobs.kubectl("wait", "--for=condition=Failed", "job/solvers-1", f"--timeout={LIMIT_S:.0f}s")
    status = json.loads(jobs.kubectl("get", "job", "solvers-1", "--output=json"))["status"]
    assert (status["completedIndexes"], status["failedIndexes"]) == ("0,2", "1")


@pytest.mark.parametrize(
    ("parent", "manifest", "arguments"),
    [("parent.py", "job.yaml", [3]), ("indexed_parent.py", "indexed_job.yaml", [])],
)
def test_parent_needs_only_the_rights_of_its_role(
    parent: str, manifest: str, arguments: Sequence[int], jobs: Jobs, server: Server, sdk_worker: SdkWorker
) -> None:
    token = jobs.kubectl("create", "token", "parent").strip()
    config = jobs.cluster.kubeconfig(f"parent-{jobs.namespace}", token=token, namespace=jobs.namespace)
    adapted = jobs.data / manifest
    text = (EXAMPLES / manifest).read_text().replace(ADDRESS, jobs.temporal)
    adapted.write_text(text.replace('args: ["200"]', 'args: ["3"]'))
    variables = {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "KUBECONFIG": str(config)}
    queue = jobs.namespace
    command = [sys.executable, str(EXAMPLES / parent), queue, str(adapted)]
    with Process(command, environment(server.address) | variables, merge_stderr=True):
        options = ActivityOptions(heartbeat_timeout_ms=60_000).as_arguments()
        started = sdk_worker.client.start_activity("solve", args=arguments, id=queue, task_queue=queue, **options)
        handle = sdk_worker.run(started)
        assert sdk_worker.run(handle.result(), LIMIT_S) == 0
    job = jobs.kubectl("get", "jobs", "--output=jsonpath={.items[*].metadata.name}")
    jobs.kubectl("delete", "job", job)
    secret_is_deleted = "--for=delete", f"secret/{job}", f"--timeout={LIMIT_S:.0f}s"
    jobs.kubectl("wait", *secret_is_deleted)


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

    def wait_for_results(count: int) -> None:
        # The reader's shell creates the file.
        wait_until(lambda: len(RESULT.findall((folder / "said").read_text())) >= count, f"{count} results", LIMIT_S)

    said = read(
        "kubernetes.md",
        folder,
        variables,
        [
            lambda: wait_for("^5$"),
            lambda: wait_for("^from item .*, attempt 2"),
            lambda: wait_for_results(1),
            lambda: wait_for("^5$", times=3),
            lambda: wait_for("^from item .*, attempt 2"),
            lambda: wait_for_results(4),
            lambda: wait_for("^5$"),
            lambda: None,
        ],
    )
    *others, logs_beside_sidecar = RESULT.split(said)
    assert len(others) == 5
    assert re.findall(r"^\d+$", logs_beside_sidecar, re.MULTILINE)[0] != "1", "recorded items are done again"
