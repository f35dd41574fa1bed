"""Pods with `exec` as process 1 or in a sidecar, and the parent that creates them. pod.py replaces the cluster."""

import base64
import contextlib
import itertools
import json
import os
import signal
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from temporalio.exceptions import CancelledError

from harness.activities import ExternalActivity
from harness.fixtures import StartActivity
from harness.paths import ROOT, TESTS
from harness.polling import wait_until
from harness.process import Process
from harness.program import environment, program
from harness.server import Server
from harness.worker import ActivityOptions, Attempt, SdkWorker
from integrations.journal import Journal
from integrations.kills import Kills
from integrations.pod import Image, Manifest, Pod

EXAMPLES = ROOT / "examples" / "integrations" / "kubernetes"
SOLVER = TESTS / "integrations" / "solver.sh"
# Longer than the start of a pod on a busy machine.
HEARTBEAT_TIMEOUT_MS = 10_000

# The solver of a Job's image.
SOLVER_OF_JOB = """#!/bin/bash
exec /app/items.sh /data
"""

# The solver of an image that knows nothing of this project. It sees the processes of the pod.
SOLVER_OF_SIDECAR = """#!/bin/bash
attempt=$(cat /data/attempt)
trap 'exit 1' TERM
for ((item = $(cat /work/details); ; )); do
    [[ ! -e /data/stop ]] || break
    echo "begin $item $attempt $$" >>/data/journal
    sleep 0.1
    echo "end $item $attempt $$" >>/data/journal
    echo $((++item)) >/work/progress
done
touch /work/done
"""


@pytest.mark.parametrize("version", ["1.29", "1.32", "1.37"])
@pytest.mark.parametrize("manifest", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_manifest_is_valid(manifest: Path, version: str) -> None:
    for document in yaml.safe_load_all(manifest.read_text()):
        kubernetes_validate.validate(document, version, strict=True)


@dataclass
class Cluster:
    """What the pods of a test share: the server, and a folder for the journal."""

    server: Server
    folder: Path

    def __post_init__(self) -> None:
        self.data = self.folder / "data"
        self.data.mkdir()
        self.data.chmod(0o777)
        self.journal = Journal(self.data / "journal")
        files = {"solver.sh": SOLVER_OF_JOB, "solver": SOLVER_OF_SIDECAR}
        for name, text in files.items():
            (self.folder / name).write_text(text)
            (self.folder / name).chmod(0o755)
        self.image = Image(
            {f"/app/{name}": self.folder / name for name in files}
            # A volume of the pod may hide the folder of this repository, for example one below /tmp.
            | {"/app/items.sh": SOLVER, "/usr/local/bin/temporal-heartbeat": program()}
        )

    def documents(self, manifest: str, *attempts: Attempt) -> list[Manifest]:
        """Returns a manifest with the tokens of attempts, and the address of the server."""
        documents = list(yaml.safe_load_all((EXAMPLES / manifest).read_text()))
        [secret] = [each for each in documents if each["kind"] == "Secret"]
        tokens = [base64.b64encode(attempt.token).decode() for attempt in attempts]
        secret["stringData"] = dict(zip(secret["stringData"], tokens, strict=True))
        return documents

    def pod(self, documents: Sequence[Manifest], index: int | None = None) -> Pod:
        [job] = [each for each in documents if each["kind"] == "Job"]
        spec = job["spec"]["template"]["spec"]
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            for variable in container.get("env", []):
                if variable["name"] == "TEMPORAL_ADDRESS":
                    variable["value"] = self.server.address
        return Pod(documents, self.image, self.folder / f"pod-{uuid.uuid4()}", index=index, shared={"/data": self.data})

    def stop(self) -> None:
        """Lets the solvers finish."""
        (self.data / "stop").touch()

    def pod_of(self, manifest: str, attempt: Attempt) -> Pod:
        (self.data / "attempt").write_text(str(attempt.number))
        return self.pod(self.documents(manifest, attempt))


@pytest.fixture
def cluster(server: Server, tmp_path: Path) -> Cluster:
    return Cluster(server, tmp_path)


@pytest.fixture
def start_solver(start: StartActivity) -> Callable[[], ExternalActivity]:
    return lambda: start("workflow", heartbeat_timeout_ms=HEARTBEAT_TIMEOUT_MS, start_to_close_ms=600_000)


def delete(pod: Pod) -> None:
    pod.delete()


def fail_node(pod: Pod) -> None:
    pod.fail_node()


def kill_solver_container(pod: Pod) -> None:
    pod.container("solver").send(signal.SIGKILL)
    pod.wait()


ENDS: Sequence[tuple[str, str, Callable[[Pod], None]]] = (
    ("job.yaml", "the pod (deleted)", delete),
    ("job.yaml", "process 1 of the container (SIGKILL)", kill_solver_container),
    ("job.yaml", "the node", fail_node),
    ("sidecar.yaml", "the pod with a sidecar (deleted)", delete),
    ("sidecar.yaml", "the container beside the sidecar (SIGKILL)", kill_solver_container),
    ("sidecar.yaml", "the node, with a sidecar", fail_node),
)
KILLS = 20
VERSION = "substitute"


def test_pods_resume(cluster: Cluster, start_solver: Callable[[], ExternalActivity], kills: Kills) -> None:
    activity, journal = start_solver(), cluster.journal
    ends = list(itertools.islice(itertools.cycle(ENDS), KILLS))
    manifests = [manifest for manifest, _, _ in ends] + ["job.yaml"]
    with contextlib.ExitStack() as pods:
        pod = pods.enter_context(cluster.pod_of(manifests[0], activity.next_attempt()))
        for attempt, (_, what, end) in enumerate(ends, start=1):
            with kills.one("Kubernetes", VERSION, what) as kill:
                journal.wait_for(attempt, 3, "end")
                wait_until(lambda: bool(activity.heartbeat_details()), "a record")
                [recorded] = activity.heartbeat_details()
                kill.now()
                end(pod)
                pod = pods.enter_context(cluster.pod_of(manifests[attempt], activity.next_attempt()))
                kill.resumed(journal.wait_for(attempt + 1, 1))
                first = journal.of(attempt + 1)[0].item
                assert first >= recorded, "recorded items are done again"
                journal.check(range(first))
        journal.wait_for(KILLS + 1, 3, "end")
        cluster.stop()
        pod.wait()
    assert activity.result() == 0
    journal.check(range(max(line.item for line in journal.lines())))


MANIFESTS = ("job.yaml", "sidecar.yaml")


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_cancelled_activity_ends_its_pod(
    manifest: str, cluster: Cluster, start_solver: Callable[[], ExternalActivity]
) -> None:
    activity = start_solver()
    with cluster.pod_of(manifest, activity.next_attempt()) as pod:
        cluster.journal.wait_for(1, 3, "end")
        activity.request_cancel()
        pod.wait()
    assert isinstance(activity.failure(), CancelledError)


def test_sidecar_completes_the_activity_when_the_solver_has_ended(
    cluster: Cluster, start_solver: Callable[[], ExternalActivity]
) -> None:
    activity = start_solver()
    with cluster.pod_of("sidecar.yaml", activity.next_attempt()) as pod:
        cluster.journal.wait_for(1, 3, "end")
        cluster.stop()
        pod.wait()
    assert activity.result() == 0


def test_restarted_sidecar_continues_the_attempt(
    cluster: Cluster, start_solver: Callable[[], ExternalActivity]
) -> None:
    activity = start_solver()
    with cluster.pod_of("sidecar.yaml", activity.next_attempt()) as pod:
        cluster.journal.wait_for(1, 3, "end")
        wait_until(lambda: bool(activity.heartbeat_details()), "a record")
        pod.container("heartbeat").send(signal.SIGKILL)
        wait_until(lambda: pod.starts["heartbeat"] == 2, "the restart of the sidecar")
        before = activity.heartbeat_details()
        wait_until(lambda: activity.heartbeat_details() != before, "a record of the restarted sidecar")
        cluster.stop()
        pod.wait()
    assert activity.result() == 0


def test_sidecar_that_restarts_after_its_attempt_kills_the_solver(
    cluster: Cluster, start_solver: Callable[[], ExternalActivity], sdk_worker: SdkWorker
) -> None:
    activity = start_solver()
    attempt = activity.next_attempt()
    with cluster.pod_of("sidecar.yaml", attempt) as pod:
        cluster.journal.wait_for(1, 3, "end")
        sdk_worker.fail(attempt.token)
        pod.container("heartbeat").send(signal.SIGKILL)
        pod.wait()
        assert pod.starts["heartbeat"] >= 2


def test_each_index_of_an_indexed_job_has_its_own_activity(
    cluster: Cluster, start_solver: Callable[[], ExternalActivity]
) -> None:
    activities = [start_solver() for _ in range(3)]
    documents = cluster.documents("indexed_job.yaml", *(activity.next_attempt() for activity in activities))
    with contextlib.ExitStack() as stack:
        pods = [stack.enter_context(cluster.pod(documents, index)) for index in range(3)]
        wait_until(lambda: all(activity.heartbeat_details() for activity in activities), "a record of each index")
        pods[1].delete()
        activities[1].next_attempt()  # the pod has failed it, and nothing else
        cluster.stop()
        for pod in (pods[0], pods[2]):
            pod.wait()
    assert [activities[0].result(), activities[2].result()] == [0, 0]


# Appends what it is given to a file, and returns it with an id as the API server does.
KUBECTL = """#!/bin/sh
exec python3 -c '
import json, os, sys
resource = json.load(sys.stdin)
resource["metadata"]["uid"] = "uid-of-" + resource["metadata"]["name"]
with open(os.environ["CREATED"], "a") as created:
    print(json.dumps(resource), file=created)
print(json.dumps(resource))
'
"""


def test_job_that_the_parent_creates_completes_the_activity(
    cluster: Cluster, server: Server, sdk_worker: SdkWorker, tmp_path: Path
) -> None:
    """A substitute for kubectl records what it shall create, and the test runs it."""
    created, kubectl = tmp_path / "created", tmp_path / "bin" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    variables = {"PATH": f"{kubectl.parent}:{os.environ['PATH']}", "CREATED": str(created)}
    queue = f"kubernetes-{uuid.uuid4()}"
    command = [sys.executable, str(EXAMPLES / "parent.py"), queue, str(EXAMPLES / "job.yaml")]
    with Process(command, environment(server.address) | variables, merge_stderr=True):
        options = ActivityOptions(heartbeat_timeout_ms=60_000)
        handle = sdk_worker.run(
            sdk_worker.client.start_activity("solve", 7, id=queue, task_queue=queue, **options.as_arguments())
        )
        wait_until(lambda: created.exists() and created.read_text().count("\n") == 2, "a Job and a Secret")
        documents: list[Any] = [json.loads(line) for line in created.read_text().splitlines()]
        job, secret = documents
        [owner] = secret["metadata"]["ownerReferences"]
        assert owner == {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": job["metadata"]["name"],
            "uid": job["metadata"]["uid"],
        }
        assert job["metadata"]["annotations"] == {"activity": queue, "attempt": "1"}
        for document in documents:
            kubernetes_validate.validate(document, "1.37", strict=True)
        cluster.image = Image({**cluster.image.files, "/app/solver.sh": EXAMPLES.parent / "solver.sh"})
        with cluster.pod(documents) as pod:
            pod.wait()
            assert "from item 0, attempt 1" in pod.log.read_text()
        assert sdk_worker.run(handle.result(), 60) == 0
