"""Starts a Kubernetes cluster with two nodes and the image solver:1, until Ctrl-C: `make kubernetes-cluster`."""

import contextlib
import signal
import tempfile
from pathlib import Path

from integrations.cluster import PROGRAMS, VERSION, Cluster
from integrations.solver_images import images_of_solvers


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job ignores SIGINT
        signal.signal(number, signal.default_int_handler)
    print(f"starting Kubernetes {VERSION}", flush=True)
    with tempfile.TemporaryDirectory(prefix="cluster-") as name, contextlib.suppress(KeyboardInterrupt):
        folder = Path(name)
        with Cluster(folder, list(images_of_solvers(folder)), nodes=2) as cluster:
            print(f"export KUBECONFIG={cluster.config} PATH={PROGRAMS}:$PATH")
            print(f"Pods reach the servers of this machine at {cluster.host}. Ctrl-C ends the cluster.", flush=True)
            signal.pause()


if __name__ == "__main__":
    main()
