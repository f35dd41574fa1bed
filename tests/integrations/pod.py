"""A substitute for a node of Kubernetes: runs the pod of a manifest in namespaces, like the kubelet. It needs root.

It does what the pods of examples/integrations/kubernetes use, and no more:

* A container has the root file system of this machine with the files of an image, read-only if the manifest says so. It
  has only the variables of the manifest, and its user and groups. Its command is process 1. With
  `shareProcessNamespace` it sees the other containers instead.
* Volumes: Secrets, ConfigMaps, empty folders.
* Sidecars start first, and are restarted. They get SIGTERM when the other containers have ended.
* The deletion of a pod: SIGTERM to process 1, and SIGKILL after the grace period.

There is no API server. Images, the network, probes of running containers, control groups and the scheduler are missing.
"""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.polling import wait_until
from harness.program import is_alive
from harness.requires import missing

Manifest = dict[str, Any]

# The environment of an image without an ENV instruction.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LIMIT_S = 60.0


@dataclass(frozen=True)
class Image:
    """Files of an image beside those of this machine, and its working directory."""

    files: Mapping[str, Path]
    directory: str = "/app"


class Container:
    """A container of a running pod. Its processes have a mount namespace of their own."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        self.name = name
        self.process = process
        self.pid = 0
        self._namespace = ""
        wait_until(lambda: self._has_started() or process.poll() is not None, f"process 1 of {name}")

    def _has_started(self) -> bool:
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            self.pid = int(children[0]) if children else 0
            namespace = os.readlink(f"/proc/{self.pid}/ns/mnt")
            if namespace != os.readlink("/proc/self/ns/mnt"):
                self._namespace = namespace
        return bool(self._namespace)

    def clean(self) -> None:
        """Kills the processes that process 1 has left, as a container runtime does."""
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/ns/mnt") == self._namespace:
                    os.kill(pid, signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        if self.pid and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, seconds: float | None) -> bool:
        """Returns whether the container ended in time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
            self.clean()
        return self.process.poll() is not None


class Pod(AbstractContextManager["Pod"]):
    """The pod of a Job. Leaving the `with` block kills it."""

    def __init__(
        self,
        documents: Sequence[Manifest],
        image: Image,
        folder: Path,
        *,
        index: int | None = None,
        shared: Mapping[str, Path] | None = None,
    ) -> None:
        """Prepares the volumes. `shared` are further folders, as of a network file system, by their mount paths."""
        if os.geteuid() != 0:
            missing("root, for namespaces")
        [job] = [each for each in documents if each["kind"] == "Job"]
        self._objects = {(each["kind"], each["metadata"]["name"]): each for each in documents}
        self.spec: Manifest = job["spec"]["template"]["spec"]
        self._image, self._folder, self._index, self._shared = image, folder, index, dict(shared or {})
        self._grace = float(self.spec.get("terminationGracePeriodSeconds", 30))
        self._is_deleted = threading.Event()
        self._deadline = 0.0
        self._lock = threading.Lock()
        self.running: dict[str, Container] = {}
        self.starts: dict[str, int] = {}
        self.log = folder / "log"
        folder.mkdir()
        self._volumes = {volume["name"]: self._volume(volume) for volume in self.spec.get("volumes", [])}

    def __enter__(self) -> "Pod":
        self._pause: subprocess.Popen[bytes] | None = None
        if self.spec.get("shareProcessNamespace"):
            pause = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sleep", "infinity"]
            self._pause = subprocess.Popen(pause)
            self._first = Container("pause", self._pause).pid
        self._kubelet = threading.Thread(target=self._run, daemon=True)
        self._kubelet.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.fail_node()
        self._kubelet.join()
        print(f"--- {self._folder.name}\n{self.log.read_text()}")

    def container(self, name: str) -> Container:
        """Waits until the container has started, and returns it."""
        wait_until(lambda: name in self.running, f"the container {name}")
        return self.running[name]

    def delete(self) -> None:
        """Deletes the pod: `kubectl delete pod`. Returns when all containers have ended."""
        self._deadline = time.monotonic() + self._grace
        self._is_deleted.set()
        for container in self._mains():
            container.send(signal.SIGTERM)
        self.wait()

    def wait(self) -> None:
        """Waits until all containers have ended."""
        self._kubelet.join(self._grace + LIMIT_S)
        assert not self._kubelet.is_alive(), "the pod doesn't end"

    def fail_node(self) -> None:
        """Kills all processes at once, like a power failure of the node."""
        self._is_deleted.set()
        self._deadline = 0.0
        with self._lock:
            processes = [pid for each in self.running.values() for pid in (each.pid, each.process.pid) if pid]
            if self._pause:
                processes.append(self._pause.pid)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        for process in [*(each.process for each in self.running.values()), *([self._pause] if self._pause else [])]:
            process.wait()
        wait_until(lambda: not any(map(is_alive, processes)), "the end of the node")

    def _run(self) -> None:
        """The kubelet's part."""
        sidecars = [each for each in self.spec.get("initContainers", []) if each.get("restartPolicy") == "Always"]
        assert len(sidecars) == len(self.spec.get("initContainers", [])), "other init containers"
        keepers = [threading.Thread(target=self._keep, args=[each], daemon=True) for each in sidecars]
        self._is_over = threading.Event()
        for keeper, sidecar in zip(keepers, sidecars, strict=True):
            keeper.start()
            self._probe(sidecar)
        for each in self.spec["containers"]:
            self._start(each)
        for main in self._mains():
            while not main.wait(0.05):
                if self._is_deleted.is_set() and time.monotonic() > self._deadline:
                    main.send(signal.SIGKILL)
        if not self._is_deleted.is_set():
            self._deadline = time.monotonic() + self._grace
        self._is_over.set()
        for keeper in keepers:
            keeper.join()
        if self._pause:
            self._pause.kill()
            self._pause.wait()

    def _keep(self, sidecar: Manifest) -> None:
        """Starts a sidecar, restarts it, and ends it after the other containers."""
        while not self._is_over.is_set() and not self._is_deleted.is_set():
            container = self._start(sidecar)
            while not container.wait(0.05) and not self._is_over.is_set():
                pass
        container.send(signal.SIGTERM)
        if not container.wait(max(0.0, self._deadline - time.monotonic())):
            container.send(signal.SIGKILL)
            container.wait(None)

    def _probe(self, sidecar: Manifest) -> None:
        """Waits for the startup probe, whose command is `test -e PATH` for a path in a volume."""
        *command, path = sidecar["startupProbe"]["exec"]["command"]
        assert command == ["test", "-e"]
        [found] = [
            self._volumes[each["name"]] / Path(path).relative_to(each["mountPath"])
            for each in sidecar["volumeMounts"]
            if Path(path).is_relative_to(each["mountPath"])
        ]
        while not found.exists() and not self._is_deleted.is_set():
            time.sleep(0.05)  # as the kubelet does, although less often

    def _mains(self) -> list[Container]:
        names = [each["name"] for each in self.spec["containers"]]
        return [self.running[name] for name in names if name in self.running]

    def _start(self, container: Manifest) -> Container:
        name = container["name"]
        self.starts[name] = self.starts.get(name, 0) + 1
        script = self._setup(container, self._folder / f"{name}-{self.starts[name]}")
        namespaces = ["unshare", "--mount"]
        if self._pause:
            command = ["nsenter", f"--target={self._first}", "--pid", *namespaces, "sh", "-ec", script]
        else:
            command = [*namespaces, "--pid", "--fork", "--kill-child", "sh", "-ec", script]
        with self._lock, self.log.open("ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            self.running[name] = Container(name, process)
            return self.running[name]

    def _setup(self, container: Manifest, stage: Path) -> str:
        """Returns the script that makes the container's file system, and becomes its command."""
        stage.mkdir()
        root = stage / "root"
        lines = [
            f"mount -t tmpfs tmpfs {stage}",
            f"mkdir {stage}/upper {stage}/work {root}",
            f"mount -t overlay overlay -o lowerdir=/,upperdir={stage}/upper,workdir={stage}/work {root}",
        ]
        given = [(self._volumes[each["name"]], each) for each in container.get("volumeMounts", [])]
        given += [(path, {"mountPath": target}) for target, path in self._shared.items()]
        # A link such as /var/run would lead out of the container's root.
        mounts = [(source, {**each, "mountPath": os.path.realpath(each["mountPath"])}) for source, each in given]
        for target in self._image.files:
            lines.append(f"mkdir -p {root}{os.path.dirname(target)} && touch {root}{target}")
        lines += [f"mkdir -p {root}{each['mountPath']}" for _, each in mounts]
        security = {**self.spec.get("securityContext", {}), **container.get("securityContext", {})}
        if security.get("readOnlyRootFilesystem"):
            lines.append(f"mount -o remount,ro {root}")
        lines += [f"mount -t proc proc {root}/proc", f"mount --rbind /dev {root}/dev"]
        for target, source in self._image.files.items():
            lines.append(f"mount --bind {shlex.quote(str(source))} {root}{target}")
        for source, each in mounts:
            lines.append(f"mount --bind {shlex.quote(str(source))} {root}{each['mountPath']}")
            if each.get("readOnly"):
                lines.append(f"mount -o remount,ro,bind {root}{each['mountPath']}")
        user, group = security.get("runAsUser", 0), security.get("runAsGroup", 0)
        limits = [f"--reuid={user}", f"--regid={group}", f"--groups={security.get('fsGroup', group)}"]
        if security.get("allowPrivilegeEscalation") is False:
            limits.append("--no-new-privs")
        if "ALL" in security.get("capabilities", {}).get("drop", []):
            limits += ["--bounding-set=-all", "--inh-caps=-all"]
        variables = self._variables(container)
        settings = [f"{name}={value}" for name, value in variables.items()]
        words = [*container["command"], *container.get("args", [])]
        command = [re.sub(r"\$\((\w+)\)", lambda found: variables[found[1]], word) for word in words]
        enter = ["chroot", str(root), "setpriv", *limits, "env", "-i", f"--chdir={self._image.directory}", *settings]
        return "\n".join([*lines, f"exec {shlex.join([*enter, *command])}"])

    def _variables(self, container: Manifest) -> dict[str, str]:
        variables = {"PATH": PATH, "HOSTNAME": self._folder.name}
        variables |= {each["name"]: each["value"] for each in container.get("env", [])}
        return variables if self._index is None else variables | {"JOB_COMPLETION_INDEX": str(self._index)}

    def _volume(self, volume: Manifest) -> Path:
        path = self._folder / f"volume-{volume['name']}"
        path.mkdir()
        group = self.spec.get("securityContext", {}).get("fsGroup", 0)
        os.chown(path, 0, group)
        path.chmod(0o2775)
        contents: Mapping[str, str] = {}
        mode = 0o644
        if secret := volume.get("secret"):
            contents, mode = self._objects["Secret", secret["secretName"]]["stringData"], secret["defaultMode"]
        elif config := volume.get("configMap"):
            contents = self._objects["ConfigMap", config["name"]]["data"]
        else:
            assert "emptyDir" in volume, volume
        for name, text in contents.items():
            (path / name).write_text(text)
            os.chown(path / name, 0, group)
            (path / name).chmod(mode)
        return path
