"""A Kubernetes cluster on this machine: its real programs, with nodes in namespaces. It needs root.

Each node has the kubelet, containerd, and a network of its own (node.py). Other clusters differ in these points:

* The nodes of this cluster share this machine's kernel and files.
* Its images consist of programs of this machine (image.py).
* Its pods reach this machine at `Cluster.host`. It has no DNS, and no Services.
* A node counts as lost after GRACE_S instead of 50 s. Its pods are deleted after another TOLERATION_S instead of 300 s.
"""

import json
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from harness.certificates import Authority
from harness.paths import ROOT, TESTS
from harness.polling import wait_until
from harness.proxy import Proxy
from harness.requires import missing, requires
from harness.server import free_port
from integrations.image import Image
from integrations.node import Node

PROGRAMS = ROOT / "target" / "integrations" / "kubernetes"
_MODULE = (TESTS / "integrations" / "kubernetes" / "go.mod").read_text()
VERSION = re.findall(r"k8s.io/kubernetes v(\S+)", _MODULE)[0]
# Far longer than the start of a node or a pod on a busy machine.
LIMIT_S = 180.0
# For a command of kubectl, which may itself wait for LIMIT_S.
KUBECTL_LIMIT_S = LIMIT_S + 60
GRACE_S = 5
TOLERATION_S = 5


class Cluster(AbstractContextManager["Cluster"]):
    """A control plane with nodes. `host` is the address at which pods reach this machine's side of the network."""

    def __init__(self, folder: Path, images: Sequence[Image], nodes: int) -> None:
        if os.geteuid() != 0:
            missing("root, for namespaces")
        self._folder = folder
        self._images = folder / "images"
        self._images.mkdir()
        for image in images:
            image.write(self._images / image.name)
        self._authority = Authority(folder)
        self._token = uuid.uuid4().hex
        self.nodes = [Node(folder / f"node{number}") for number in range(1, nodes + 1)]

    def __enter__(self) -> "Cluster":
        with ExitStack() as stack:
            self._start_control_plane(stack)
            for node in self.nodes:
                stack.enter_context(node.network)
            self.host = self.nodes[0].network.addresses[0]
            api = stack.enter_context(Proxy(self._port, host=self.host))
            for node in self.nodes:
                config = self.kubeconfig(node.name, address=api.address)
                stack.enter_context(node.installed(_program("kubelet"), config, self._images, GRACE_S))
            for node in self.nodes:
                self.wait_for_node(node)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start_control_plane(self, stack: ExitStack) -> None:
        etcd, peers, self._port, manager, scheduler = (free_port() for _ in range(5))
        pair = self._authority.sign()
        tokens = self._folder / "tokens.csv"
        tokens.write_text(f"{self._token},admin,admin,system:masters\n")
        self.config = self.kubeconfig("admin")

        def start(name: str, **options: object) -> None:
            command = [_program(name), *(f"--{key.replace('_', '-')}={value}" for key, value in options.items())]
            stack.enter_context(_daemon(command, self._folder / f"{name}.log"))

        start(
            "etcd",
            data_dir=self._folder / "etcd",
            listen_client_urls=f"http://127.0.0.1:{etcd}",
            advertise_client_urls=f"http://127.0.0.1:{etcd}",
            listen_peer_urls=f"http://127.0.0.1:{peers}",
        )
        start(
            "kube-apiserver",
            etcd_servers=f"http://127.0.0.1:{etcd}",
            bind_address="127.0.0.1",
            secure_port=self._port,
            tls_cert_file=pair.cert_path,
            tls_private_key_file=pair.key_path,
            token_auth_file=tokens,
            authorization_mode="RBAC",
            service_account_issuer="https://kubernetes",
            service_account_key_file=pair.key_path,
            service_account_signing_key_file=pair.key_path,
            service_cluster_ip_range="10.96.0.0/24",
            kubelet_preferred_address_types="InternalIP",
            default_not_ready_toleration_seconds=TOLERATION_S,
            default_unreachable_toleration_seconds=TOLERATION_S,
        )
        wait_until(lambda: self.succeeds("get", "--raw=/readyz"), "the API server", LIMIT_S)
        common = {"kubeconfig": self.config, "leader_elect": "false", "bind_address": "127.0.0.1"}
        start(
            "kube-controller-manager",
            **common,
            secure_port=manager,
            service_account_private_key_file=pair.key_path,
            root_ca_file=self._authority.path,
            node_monitor_period="1s",
            node_monitor_grace_period=f"{GRACE_S}s",
        )
        start("kube-scheduler", **common, secure_port=scheduler)

    def wait_for_node(self, node: Node) -> None:
        """Waits until Kubernetes gives pods to the node."""

        def is_usable() -> bool:
            listed = json.loads(self.kubectl("get", "nodes", "--output=json"))["items"]
            return any(each["metadata"]["name"] == node.name and "taints" not in each["spec"] for each in listed)

        wait_until(is_usable, f"{node.name}, without taints", LIMIT_S)

    def node_of(self, name: str) -> Node:
        [node] = [node for node in self.nodes if node.name == name]
        return node

    def kubeconfig(self, name: str, *, address: str = "", token: str = "", namespace: str = "default") -> Path:
        """Writes the configuration of a client, by default with all rights."""
        server = {
            "server": f"https://{address or f'127.0.0.1:{self._port}'}",
            "certificate-authority": str(self._authority.path),
            "tls-server-name": "localhost",
        }
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": server}],
            "users": [{"name": "test", "user": {"token": token or self._token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
            "current-context": "test",
        }
        path = self._folder / f"{name}.kubeconfig"
        path.write_text(json.dumps(config))
        return path

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        done = self._run(words, stdin)
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout

    def wait(self, namespace: str, condition: str, resource: str) -> None:
        """Waits with `kubectl wait --for=CONDITION`."""
        limit = f"--timeout={LIMIT_S:.0f}s"
        self.kubectl(f"--namespace={namespace}", "wait", f"--for={condition}", resource, limit)

    def succeeds(self, *words: str) -> bool:
        return self._run(words).returncode == 0

    def printed(self, *words: str) -> str:
        """Returns what kubectl prints, also if it fails because something has just ended, or hasn't started yet."""
        return self._run(words).stdout

    def _run(self, words: Sequence[str], stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        command = [_program("kubectl"), f"--kubeconfig={self.config}", *words]
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, timeout=KUBECTL_LIMIT_S
        )


def _program(name: str) -> str:
    """Returns a program of Kubernetes, or of Debian."""
    found = shutil.which(name, path=f"{PROGRAMS}:{os.environ['PATH']}")
    return requires(found, f"{name} (make install-kubernetes)")


@contextmanager
def _daemon(command: Sequence[str], log: Path) -> Iterator[None]:
    with log.open("ab") as output:
        command = ["setpriv", "--pdeathsig=KILL", *command]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.kill()
        process.wait()
