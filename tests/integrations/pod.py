"""A pod of a cluster."""

import json
from dataclasses import dataclass
from typing import Any

from harness.polling import wait_until
from integrations.cluster import LIMIT_S, Cluster
from integrations.node import Node

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Pod:
    cluster: Cluster
    namespace: str
    name: str

    @property
    def node(self) -> Node:
        return self.cluster.node_of(self.read()["spec"]["nodeName"])

    def read(self) -> Manifest:
        pod: Manifest = json.loads(self._kubectl("get", "pod", self.name, "--output=json"))
        return pod

    def container(self, name: str) -> Manifest:
        """Returns the status of a container, or {} if it has none yet."""
        status = self.read()["status"]
        containers = status.get("containerStatuses", []) + status.get("initContainerStatuses", [])
        return next((each for each in containers if each["name"] == name), {})

    def log(self, container: str) -> str:
        return self._kubectl("logs", self.name, f"--container={container}", "--tail=-1")

    def delete(self) -> None:
        """Deletes the pod. Its containers get SIGTERM."""
        self._kubectl("delete", "pod", self.name, "--wait=false")

    def kill(self, container: str) -> None:
        """Kills process 1 of a container by SIGKILL."""
        self.node.kill(self.container(container)["containerID"].removeprefix("containerd://"))

    def wait(self, phase: str) -> None:
        """Waits until the pod has ended, for example as `Succeeded`."""
        self.cluster.wait(self.namespace, f"jsonpath={{.status.phase}}={phase}", f"pod/{self.name}")

    def wait_for_restart(self, container: str) -> None:
        wait_until(lambda: self.container(container)["restartCount"] > 0, f"the restart of {container}", LIMIT_S)

    def _kubectl(self, *words: str) -> str:
        return self.cluster.kubectl(f"--namespace={self.namespace}", *words)
