from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.server import Server
from harness.worker import SdkWorker
from python_worker.world import World


@pytest.fixture
def world(server: Server, sdk_worker: SdkWorker, tmp_path: Path) -> World:
    return World(sdk_worker, server.address, tmp_path)


@pytest.fixture(scope="module")
def shared(server: Server, sdk_worker: SdkWorker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A task queue with a worker, for the tests of a module."""
    made = World(sdk_worker, server.address, tmp_path_factory.mktemp("shared"))
    with made.worker():
        yield made
