"""One worker of each SDK and one child of each language, for the whole run."""

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from harness.server import Server
from harness.worker import SdkWorker
from interop import cases, child
from interop.child import Child
from interop.peer_worker import PeerWorker
from interop.scenarios import SdkScenarios
from interop.sdks import Sdk


@pytest.fixture(scope="session")
def children(server: Server) -> Iterator[dict[str, Child]]:
    with ExitStack() as stack:
        started = {}
        for name in ("c", "python", "go"):
            started[name] = child.start(name, server)
            stack.callback(started[name].close)
        yield started


@pytest.fixture(scope="session")
def codec_children(server: Server) -> Iterator[dict[str, Child]]:
    """The children that have the codec of the workers."""
    with ExitStack() as stack:
        started = {}
        for name in cases.WITH_CODEC:
            codec = "of each call" if name.endswith(cases.PER_CALL) else "of the connection"
            started[name] = child.start(name.removesuffix(cases.PER_CALL), server, codec)
            stack.callback(started[name].close)
        yield started


@pytest.fixture(scope="session")
def scenarios_of(
    server: Server, sdk_worker: SdkWorker, children: dict[str, Child], codec_children: dict[str, Child]
) -> Iterator[Callable[[Sdk], SdkScenarios]]:
    """The scenarios of an SDK. Its worker starts at the first use."""
    with ExitStack() as stack:

        @functools.cache
        def scenarios(sdk: Sdk) -> SdkScenarios:
            worker = PeerWorker(sdk.name, sdk.command(), server.address, sdk_worker)
            stack.callback(worker.close)
            return SdkScenarios(sdk, worker, children, codec_children)

        yield scenarios


@pytest.fixture
def scenarios(scenarios_of: Callable[[Sdk], SdkScenarios], sdk: Sdk) -> SdkScenarios:
    return scenarios_of(sdk)
