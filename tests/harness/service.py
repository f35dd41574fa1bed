"""A worker with its processes, ended as systemd, a container, a terminal or the kernel ends them."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from harness.orphans import PROCESS_1
from harness.polling import WAIT_LIMIT_S, wait_until
from harness.program import children_of, is_alive
from harness.requires import missing


class Service(AbstractContextManager["Service"]):
    """A worker in a session of its own. Leaving the `with` block kills it and its processes."""

    def __init__(self, command: Sequence[str], variables: Mapping[str, str], *, in_container: bool = False) -> None:
        """Starts the worker. In a container, it is process 1."""
        launcher = PROCESS_1 if in_container else []
        if in_container and subprocess.run([*launcher, "true"], capture_output=True, check=False).returncode:
            missing("process namespaces (root)")
        self._process = subprocess.Popen([*launcher, *command], env=dict(variables), start_new_session=True)
        self._known: set[int] = set()

    def end(self, event: str) -> None:
        """Returns when the worker has ended."""
        processes, worker = self._processes(), self._process.pid
        match event:
            case "SIGTERM" | "mixed":  # mixed: see below
                os.kill(worker, signal.SIGTERM)
            case "SIGKILL":
                os.kill(worker, signal.SIGKILL)
            case "control-group":
                _send(signal.SIGTERM, processes)
            case "container":
                os.kill(children_of(worker)[0], signal.SIGTERM)  # `worker` is the launcher
            case "Ctrl-C":
                os.killpg(worker, signal.SIGINT)
            case _:
                raise AssertionError(event)
        self._process.wait(WAIT_LIMIT_S)
        if event == "mixed":
            _send(signal.SIGKILL, self._processes())

    def _processes(self) -> set[int]:
        """Returns the worker and the processes below it, also those that were below it at an earlier call."""
        self._known = set(filter(is_alive, self._known | _tree(self._process.pid)))
        return self._known

    def __exit__(self, *_: object) -> None:
        _send(signal.SIGKILL, self._processes())
        self._process.wait()
        wait_until(lambda: not self._processes(), "the end of all processes")


def processes_with(*variables: str) -> list[int]:
    """Returns the processes that have these variables, given as NAME=VALUE, in their environment."""
    pids = map(int, filter(str.isdigit, os.listdir("/proc")))
    return [pid for pid in pids if set(variables) <= set(_environment(pid))]


def _send(number: signal.Signals, processes: Iterable[int]) -> None:
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _tree(pid: int) -> set[int]:
    return {pid}.union(*map(_tree, children_of(pid)))


def _environment(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/environ").read_text(errors="replace").split("\0")
    except OSError:
        return []
