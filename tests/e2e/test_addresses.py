"""A host name has two addresses, one of which drops all packets. The library uses the other address."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness.driver import Driver, refused
from harness.fixtures import Connect, StartActivity
from harness.languages import LANGUAGES
from harness.network import Network, sockets_of, with_hosts
from harness.proxy import Proxy
from harness.server import NAMESPACE, Server
from harness.signals import Signals

NAME = "frontend.test"

# An official SDK connects in 0.3 s when the first address is silent.
CONNECT_SECONDS = 5.0
# Long enough for one try and one connection attempt to the dead address.
FAILOVER_SECONDS = 5.0
LIBRARY_TIMEOUT_MS = 8_000


@pytest.fixture
def network() -> Iterator[Network]:
    LANGUAGES["cpp"].command()
    with Network(addresses=2) as made:
        yield made


@pytest.fixture
def frontends(network: Network, server: Server) -> Iterator[list[Proxy]]:
    """Runs two frontends of the server, on the same port of two addresses."""
    one, other = network.addresses
    with Proxy(server.port, host=one) as first, Proxy(server.port, first.port, host=other) as second:
        yield [first, second]


@pytest.fixture
def driver(network: Network, tmp_path: Path) -> Iterator[Driver]:
    """A driver in the namespace, where the name has both addresses. The driver isn't connected yet."""
    hosts = tmp_path / "hosts"
    hosts.write_text("".join(f"{address} {NAME}\n" for address in network.addresses))
    with closing(LANGUAGES["cpp"].start(inside=[*network.inside, *with_hosts(hosts)])) as inside:
        yield inside


def options(frontends: list[Proxy], **more: int) -> dict[str, object]:
    return {"address": f"{NAME}:{frontends[0].port}", "namespace": NAMESPACE, **more}


@pytest.mark.parametrize("language", LANGUAGES, indirect=True)
def test_socket_in_the_file_system_is_an_address(
    language: str, server: Server, start: StartActivity, connect: Connect, tmp_path: Path
) -> None:
    activity = start("workflow", heartbeat_timeout_ms=LIBRARY_TIMEOUT_MS)
    token = activity.next_attempt().token
    path = tmp_path / "server.sock"
    with Proxy(server.port, path=path) as proxy:
        driver = connect(language, proxy.address)
        assert driver.heartbeat(token, 41) == Signals.NONE
        proxy.cut()
        assert driver.heartbeat(token, 42) == Signals.NONE
    assert activity.heartbeat_details() == [42]
    with refused("THB_UNAVAILABLE", f"can't connect to unix:{path}", "is this the path of the socket"):
        driver.heartbeat(token, 43, timeout=1_000)


@pytest.mark.parametrize("silent", [0, 1], ids=["first", "second"])
def test_connects_at_once_where_one_address_is_silent(
    silent: int, network: Network, frontends: list[Proxy], driver: Driver, start: StartActivity
) -> None:
    network.silence(network.addresses[silent])
    began = time.monotonic()
    driver.connect(options(frontends, connect_timeout_ms=20_000))
    assert time.monotonic() - began < CONNECT_SECONDS
    assert driver.heartbeat(start("workflow").next_attempt().token, 41) == Signals.NONE


def test_open_activity_fails_over_to_the_other_address_when_one_falls_silent(
    network: Network, frontends: list[Proxy], driver: Driver, start: StartActivity
) -> None:
    driver.connect(options(frontends))
    activity = start("workflow", heartbeat_timeout_ms=LIBRARY_TIMEOUT_MS)
    handle = driver.open(activity.next_attempt().token, heartbeat_timeout_ms=LIBRARY_TIMEOUT_MS)
    handle.record(1)
    handle.flush()
    [used] = [entry.remote[0] for entry in sockets_of(driver.pid) if entry.state == "ESTABLISHED"]

    network.silence(used)
    began = time.monotonic()
    handle.record(2)
    handle.flush(timeout=int(FAILOVER_SECONDS * 1000))
    assert time.monotonic() - began < FAILOVER_SECONDS
    assert activity.heartbeat_details() == [2]
    assert handle.signals() == Signals.NONE
    [now_used] = {entry.remote[0] for entry in sockets_of(driver.pid) if entry.state == "ESTABLISHED"}
    assert now_used != used


def test_error_names_the_addresses_that_were_tried(network: Network, frontends: list[Proxy], driver: Driver) -> None:
    for address in network.addresses:
        network.silence(address)
    with refused("THB_TIMEOUT", NAME, *network.addresses):
        driver.connect(options(frontends, connect_timeout_ms=1_500))
