"""A real HTTP proxy (proxy.py) in a separate process."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from harness.server import free_port

_START_TIMEOUT = 60.0


@contextmanager
def http_proxy(basic_auth: str | None = None) -> Iterator[str]:
    """Runs the proxy, with `basic_auth` (`user:password`) as the required credentials, and returns its address."""
    port = free_port()
    command = [sys.executable, "-m", "proxy", "--hostname", "127.0.0.1", "--port", str(port), "--num-workers", "1"]
    if basic_auth is not None:
        command += ["--basic-auth", basic_auth]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_open(port, process)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


def _wait_until_open(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, "the HTTP proxy ended"
            assert time.monotonic() < deadline, "the HTTP proxy did not start"
            time.sleep(0.05)  # a listening port has no event to wait for
        else:
            return
