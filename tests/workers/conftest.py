import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.server import OLDEST, Server, dev_server
from harness.worker import SdkWorker
from python_worker.world import World

# The polls of a worker that shuts down end at once. Without this option they end within 20 s.
RELEASES_POLLS = ("--dynamic-config-value", "frontend.enableCancelWorkerPollsOnShutdown=true")

SLOW = os.environ.get("THB_SLOW") == "1"


@pytest.fixture(scope="session")
def releasing() -> Iterator[tuple[Server, SdkWorker]]:
    with dev_server(*RELEASES_POLLS) as server, SdkWorker(server.address) as sdk_worker:
        yield server, sdk_worker


@pytest.fixture
def world(releasing: tuple[Server, SdkWorker], tmp_path: Path) -> World:
    server, sdk_worker = releasing
    if server.version < OLDEST:
        pytest.skip("the server has no standalone activities")
    return World(sdk_worker, server.address, tmp_path)
