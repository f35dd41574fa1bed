"""Fixtures: the built library, connections, and servers that fail in a known way."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import BlackHole, Recorder, requires

import temporal_heartbeat as thb
from temporal_heartbeat import _active_codec


@pytest.fixture
def library_path() -> Path:
    path = os.environ.get("TEMPORAL_HEARTBEAT_LIBRARY")
    requires("TEMPORAL_HEARTBEAT_LIBRARY, the path of the built library", bool(path))
    return Path(str(path))


@pytest.fixture
def disconnected(library_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No connection before and after the test, and no settings of the environment."""
    for name in list(os.environ):
        if name.startswith("TEMPORAL_") and name != "TEMPORAL_HEARTBEAT_LIBRARY":
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")
    thb.disconnect()
    _active_codec._active = _active_codec.Binding()  # not the codec of an earlier test
    yield
    thb.disconnect(timeout=0.1)


@pytest.fixture
def black_hole() -> Iterator[BlackHole]:
    with contextlib.closing(BlackHole()) as server:
        yield server


@pytest.fixture
def connected(disconnected: None, black_hole: BlackHole) -> BlackHole:
    """A lazy connection to a server that never answers."""
    thb.connect(address=black_hole.address, lazy=True)
    return black_hole


@pytest.fixture
def recorder(disconnected: None) -> Iterator[Recorder]:
    with contextlib.closing(Recorder()) as server:
        yield server


@pytest.fixture
def closed_port() -> str:
    """An address with a port on which no process listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return "{}:{}".format(*listener.getsockname())
