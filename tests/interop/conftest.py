"""One worker of each SDK and one child of each language, for the whole run."""

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from harness.server import Server
from harness.worker import Backstage
from interop import child
from interop.child import Child
from interop.sdks import Sdk
from interop.stage import Stage
from interop.worker import Worker


@pytest.fixture(scope="session")
def children(server: Server) -> Iterator[dict[str, Child]]:
    with ExitStack() as stack:
        started = {}
        for name in ("c", "python", "go"):
            started[name] = child.start(name, server)
            stack.callback(started[name].close)
        yield started


@pytest.fixture(scope="session")
def coded(server: Server) -> Iterator[dict[str, Child]]:
    """Children that have the codec of the workers."""
    with ExitStack() as stack:
        started = {}
        for name in ("python", "go"):
            started[name] = child.start(name, server, "encrypts")
            stack.callback(started[name].close)
        yield started


@pytest.fixture(scope="session")
def stages(
    server: Server, backstage: Backstage, children: dict[str, Child], coded: dict[str, Child]
) -> Iterator[Callable[[Sdk], Stage]]:
    """The stage of an SDK, whose worker is started when it is first asked for."""
    with ExitStack() as stack:

        @functools.cache
        def stage(sdk: Sdk) -> Stage:
            worker = Worker(sdk.name, sdk.command(), server.address, backstage)
            stack.callback(worker.close)
            return Stage(sdk, worker, children, coded)

        yield stage


@pytest.fixture
def stage(stages: Callable[[Sdk], Stage], sdk: Sdk) -> Stage:
    return stages(sdk)
