"""Jobs of the manifests in examples/integrations/kubernetes, and the parents that create them, on a cluster."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness.paths import ROOT
from harness.polling import wait_until
from harness.process import Process
from harness.program import encoded, environment
from harness.worker import Attempt
from integrations.cluster import PROGRAMS, Cluster
from integrations.journal import Journal
from integrations.pod import Manifest, Pod
from integrations.solver_images import ITEMS, ITEMS_BESIDE_SIDECAR

EXAMPLES = ROOT / "examples" / "integrations" / "kubernetes"
# The address of the server in the manifests.
ADDRESS = "temporal-frontend.temporal:7233"


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
        tokens = [encoded(attempt.token) for attempt in attempts]
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
            found[:] = self._list("pods", f"--selector=job-name={job}")
            return len(found) == count

        wait_until(exist, f"{count} pods of {job}")
        # The names of the pods of an indexed Job begin with the name of the Job and the index.
        return [Pod(self.cluster, self.namespace, name) for name in sorted(each["metadata"]["name"] for each in found)]

    def exist(self) -> bool:
        return bool(self._list("jobs"))

    def parent(
        self, script: str, manifest: str, temporal: str, variables: Mapping[str, str], account: str = "parent"
    ) -> Process:
        """Returns a parent with the rights of a service account. Its task queue is the namespace."""
        token = self.kubectl("create", "token", account).strip()
        config = self.cluster.kubeconfig(f"{account}-{self.namespace}", token=token, namespace=self.namespace)
        adapted = self.data / manifest
        text = (EXAMPLES / manifest).read_text().replace(ADDRESS, self.temporal)
        adapted.write_text(text.replace('args: ["200"]', 'args: ["3"]'))
        command = [sys.executable, str(EXAMPLES / script), self.namespace, str(adapted)]
        kubernetes = {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "KUBECONFIG": str(config)}
        return Process(command, environment(temporal) | kubernetes | dict(variables), merge_stderr=True)

    def logs(self) -> str:
        """Returns what the solvers in the pods of all Jobs have printed, without pods that are ending or starting."""
        pods = [pod["metadata"] for pod in self._list("pods", "--selector=app=solver")]
        # Kubernetes deletes the pods of a deleted Job later.
        jobs = [job["metadata"]["name"] for job in self._list("jobs")]
        names = [pod["name"] for pod in pods if "deletionTimestamp" not in pod and pod["labels"]["job-name"] in jobs]
        return "".join(
            self.cluster.printed(f"--namespace={self.namespace}", "logs", name, "-c=solver") for name in names
        )

    def _list(self, *words: str) -> list[Manifest]:
        items: list[Manifest] = json.loads(self.kubectl("get", *words, "--output=json"))["items"]
        return items

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl(f"--namespace={self.namespace}", *words, stdin=stdin)

    def wait(self, condition: str, resource: str) -> None:
        self.cluster.wait(self.namespace, condition, resource)

    def stop(self) -> None:
        """Lets the solvers finish."""
        (self.data / "stop").touch()
