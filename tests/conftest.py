"""Fixtures of all scenarios: one server and one SDK worker for the whole run, and the drivers that tests start."""

import contextlib
import functools
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

import pytest

from harness.activities import KINDS, ExternalActivity, Kind, start_activity
from harness.certificates import Authority
from harness.codec_driver import CodecDriver
from harness.codec_server import CodecServer
from harness.driver import BROKEN, Driver
from harness.fixtures import NO_VARIABLES, Connect, ConnectCpp, StartActivity, StartDriver
from harness.grid import Plugin
from harness.languages import DRIVER_LANGUAGES, LANGUAGES
from harness.proxy import Proxy
from harness.python_child import PythonChild, StartChild
from harness.requests import CALLS, Call
from harness.requires import unsupported
from harness.scripted_codec import ScriptedCodec
from harness.server import NAMESPACE, OLDEST, Server, dev_server
from harness.worker import ActivityOptions, SdkWorker
from harness.xdist import pytest_xdist_make_scheduler as pytest_xdist_make_scheduler
from packages.stopwatch import pytest_terminal_summary as pytest_terminal_summary


def pytest_configure(config: pytest.Config) -> None:
    def terminated(number: int, _: FrameType | None) -> None:
        pytest.exit(f"signal {number}", returncode=128 + number)

    # SIGTERM stops everything that the run has started, like Ctrl-C.
    signal.signal(signal.SIGTERM, terminated)
    # A shell's background job ignores SIGINT, and its child processes would inherit that.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # `nohup` ignores this one. A handler isn't inherited.
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)
    config.pluginmanager.register(Plugin(), "grid")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority that isn't in the system's trust store."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with dev_server() as running:
        yield running


@pytest.fixture(scope="session")
def sdk_worker(server: Server) -> Iterator[SdkWorker]:
    with SdkWorker(server.address) as opened:
        yield opened


@pytest.fixture(scope="session")
def codec_server(server: Server) -> Iterator[CodecServer]:
    """A codec server with the official SDK's handler, and a worker with the same codec."""
    with CodecServer(server.address) as running:
        yield running


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server.port) as listening:
        yield listening


@pytest.fixture
def codec_driver(server: Server, start: StartActivity, tmp_path: Path) -> Iterator[CodecDriver]:
    """A driver with a scripted codec server. It isn't connected."""
    with (
        Proxy(server.port, record=True) as proxy,
        ScriptedCodec() as codec,
        CodecDriver(codec, proxy, start, tmp_path / "log") as driver,
    ):
        yield driver


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, server: Server, sdk_worker: SdkWorker) -> Kind:
    chosen: Kind = request.param
    require_kind(chosen, server, sdk_worker)
    return chosen


def require_kind(kind: Kind, server: Server, sdk_worker: SdkWorker) -> None:
    if kind == "standalone" and server.version < OLDEST and not sdk_worker.has_standalone:
        unsupported("standalone activities are UNIMPLEMENTED on this server")


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    DRIVER_LANGUAGES[chosen].command()  # built before an attempt starts, because attempts have short timeouts
    return chosen


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> Call:
    """Runs the test with each call that takes a token."""
    return CALLS[request.param]


@pytest.fixture
def start(server: Server, sdk_worker: SdkWorker) -> StartActivity:
    def start(kind: Kind, **options: int) -> ExternalActivity:
        require_kind(kind, server, sdk_worker)
        return start_activity(kind, sdk_worker, ActivityOptions(**options))

    return start


@pytest.fixture
def start_driver() -> Iterator[StartDriver]:
    started: list[Driver] = []

    def start(language: str, environment: Mapping[str, str] = NO_VARIABLES, inherit: Sequence[int] = ()) -> Driver:
        driver = DRIVER_LANGUAGES[language].start(environment, inherit=inherit)
        started.append(driver)
        return driver

    yield start
    statuses = [driver.close() for driver in started]
    # A driver may have been killed by the test, or have found a broken rule. A crash at the exit fails the test.
    assert all(status in (0, BROKEN, -signal.SIGKILL) for status in statuses), statuses


@pytest.fixture
def connect(start_driver: StartDriver, server: Server) -> Connect:
    def connect(language: str, address: str = server.address) -> Driver:
        driver = start_driver(language)
        driver.connect({"address": address, "namespace": NAMESPACE})
        return driver

    return connect


@pytest.fixture
def connect_cpp(connect: Connect) -> ConnectCpp:
    """For tests that need only one language."""
    LANGUAGES["cpp"].command()  # built before an attempt starts, because attempts have short timeouts
    return functools.partial(connect, "cpp")


@pytest.fixture
def start_child(server: Server) -> Iterator[StartChild]:
    with contextlib.ExitStack() as stack:

        def start(lines: str) -> PythonChild:
            child = PythonChild(lines, {"TEMPORAL_ADDRESS": server.address, "TEMPORAL_NAMESPACE": NAMESPACE})
            stack.enter_context(child)
            assert child.receive() == ["ready"]
            return child

        yield start


@pytest.fixture(params=["threads", "asyncio"])
def flavour(request: pytest.FixtureRequest) -> str:
    """Runs the test with each class of the Python binding."""
    chosen: str = request.param
    return chosen
