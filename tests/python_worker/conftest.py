from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.server import Server, dev_server
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


@pytest.fixture(scope="module")
def releasing_server() -> Iterator[tuple[Server, SdkWorker]]:
    """A server that ends waiting polls when a worker shuts down. Others end them within 20 s."""
    with (
        dev_server("--dynamic-config-value", "frontend.enableCancelWorkerPollsOnShutdown=true") as server,
        SdkWorker(server.address) as sdk_worker,
    ):
        yield server, sdk_worker
