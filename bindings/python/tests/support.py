"""Servers that fail in a known way, and what a test needs in order to run."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]


def needs(what: str, there: bool) -> None:
    """Skips the test when something isn't there; a failure where all tests have to run."""
    if there:
        return
    if os.environ.get("THB_REQUIRE_ALL") == "1":
        pytest.fail(f"needs {what}")
    pytest.skip(f"SKIPPED: needs {what}")


class BlackHole:
    """A server that takes connections and never answers."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(20)
        self._taken: list[socket.socket] = []
        self.address = "{}:{}".format(*self._listener.getsockname())

    def wait_for_request(self) -> None:
        """Returns when a client has connected and sent something."""
        connection, _ = self._listener.accept()
        self._taken.append(connection)
        connection.settimeout(20)
        assert connection.recv(1)

    def close(self) -> None:
        for connection in (*self._taken, self._listener):
            connection.close()
