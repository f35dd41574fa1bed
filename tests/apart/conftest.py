from collections.abc import Iterator
from pathlib import Path

import pytest

from apart.world import World
from harness.process import Process
from harness.server import Server
from harness.worker import SdkWorker


@pytest.fixture
def world(server: Server, sdk_worker: SdkWorker, tmp_path: Path) -> World:
    return World(sdk_worker, server.address, tmp_path)


@pytest.fixture
def worker(world: World) -> Iterator[Process]:
    with world.worker() as process:
        yield process
