"""A node of a Kubernetes cluster: the kubelet and containerd, in namespaces of processes, mounts and network."""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.network import Network
from harness.paths import TESTS
from harness.polling import WAIT_LIMIT_S, wait_until
from harness.program import children_of, is_alive

CONTROL_GROUPS = Path("/sys/fs/cgroup")

CONTAINERD = """
version = 2
root = "{root}"
state = "/run/containerd"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "pause:1"
  # Lower values than this process has need a capability that root hasn't everywhere.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"
"""


class Node:
    """A node. `network` is its link to this machine."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.name = folder.name
        self.network = Network()
        self._folder = folder
        self._control_group = f"thb-{uuid.uuid4()}"

    @contextmanager
    def installed(self, kubelet: str, kubeconfig: Path, images: Path, lease_s: int) -> Iterator[None]:
        """Starts the node with these images. It is lost when it hasn't renewed its lease for this time."""
        self._write_configuration(lease_s, subnet=self.network.forward())
        self._command = [
            *("setpriv", "--pdeathsig=KILL", *self.network.enter),
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", str(TESTS / "integrations" / "node.sh")),
            *(str(images), kubelet, "--config=kubelet.json", f"--kubeconfig={kubeconfig}"),
            *(f"--hostname-override={self.name}", f"--node-ip={self.network.client}"),
        ]
        controllers = [each for each in CONTROL_GROUPS.iterdir() if each.is_dir()]
        try:
            for controller in controllers:
                (controller / self._control_group).mkdir()
            self.start()
            try:
                yield
            finally:
                self.fail()
        finally:
            for controller in controllers:
                for group, _, _ in os.walk(controller / self._control_group, topdown=False):
                    os.rmdir(group)

    def _write_configuration(self, lease_s: int, subnet: str) -> None:
        kubelet = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self._control_group}",
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            # A machine of developers may have old control groups, swap, and a nearly full disk.
            "evictionHard": {"memory.available": "0%"},
            "failCgroupV1": False,
            "failSwapOn": False,
            "imageGCHighThresholdPercent": 100,
            "nodeLeaseDurationSeconds": lease_s,
            "nodeStatusUpdateFrequency": "1s",
        }
        addresses = {
            "type": "host-local",
            "ranges": [[{"subnet": subnet}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": "/run/cni",
        }
        network = {"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "ptp", "ipam": addresses}]}
        (self._folder / "kubelet.json").write_text(json.dumps(kubelet))
        (self._folder / "cni").mkdir()
        (self._folder / "cni" / "pods.conflist").write_text(json.dumps(network))
        containerd = CONTAINERD.format(root=self._folder / "containerd", cni=self._folder / "cni")
        (self._folder / "containerd.toml").write_text(containerd)

    def start(self) -> None:
        """Starts the node, also again after `fail`. Its images and the files of its pods are kept."""
        self._process = subprocess.Popen(self._command, cwd=self._folder, stdin=subprocess.DEVNULL)

    def fail(self) -> None:
        """Kills all processes of the node at once, like a power failure."""
        process_1 = children_of(self._process.pid)  # nothing, if the node has ended
        self._process.kill()
        self._process.wait()
        # Process 1 ends after all others.
        wait_until(lambda: not any(map(is_alive, process_1)), f"the end of {self.name}")

    def kill(self, container: str) -> None:
        """Kills process 1 of a container by SIGKILL."""
        [process_1] = children_of(self._process.pid)
        enter = ["nsenter", f"--target={process_1}", "--mount"]
        kill = ["ctr", "--namespace=k8s.io", "tasks", "kill", "--signal=SIGKILL", container]
        subprocess.run([*enter, *kill], check=True, timeout=WAIT_LIMIT_S)
