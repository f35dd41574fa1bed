"""A request that the library gave up never arrives after a newer request of the same activity.

The bytes of such a request can stay in the TCP send buffer of this host while the link is down. They must not leave the
host once the library has sent a newer request (DESIGN: Order).
"""

import os
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from harness.activities import ExternalActivity, Kind
from harness.driver import Driver, refused
from harness.fixtures import ConnectCpp, StartActivity
from harness.languages import LANGUAGES
from harness.network import Network, TcpSocket, sockets_around
from harness.polling import wait_until
from harness.proxy import Proxy
from harness.server import NAMESPACE, Server
from harness.signals import Signals

# The library's tries depend on this timeout. The server's timeout is longer, so the activity survives the outage.
LIBRARY_TIMEOUT_MS = 8_000
SERVER_TIMEOUT_MS = 120_000

# How long the link stays down after the library abandoned a try.
_SLOW = os.environ.get("THB_SLOW") == "1"
GAPS_MS = [gap for gap in range(50) for _ in range(4)] if _SLOW else [0, 10, 50]

# The timeout of a call. The kernel retransmits after 0.2, 0.4, 0.9 and 1.6 s, so not soon after this timeout.
CALL_MS = 1_000
# The least time from the recovery of the link to the kernel's next retransmission, in which newer requests are sent.
HEAD_START_SECONDS = 1.2

# More than the receive buffer of a proxy that stops reading, and less than the first HTTP/2 window (65,535 bytes).
LARGE_DETAILS = os.urandom(2_600).hex()
SMALL_BUFFER = 2_048
# The least size of a request. PING and WINDOW_UPDATE frames are smaller.
REQUEST_BYTES = 100
# The least size of the answer to DescribeActivityExecution. Other frames on an idle connection are smaller.
DESCRIPTION_BYTES = 300

# How long the test checks that old details don't return. All bytes have arrived before.
AFTERMATH_SECONDS = 1.0


# The library addresses a workflow's activity by a token derived from the ids. The server checks the attempt in it.
ONLY_BY_IDS = pytest.mark.parametrize("kind", ["standalone"], indirect=True)


@pytest.fixture
def network() -> Iterator[Network]:
    LANGUAGES["cpp"].command()
    with Network() as made:
        yield made


@pytest.fixture
def link(network: Network, server: Server) -> Iterator[Proxy]:
    """A proxy to the server, for processes in the namespace."""
    with Proxy(server.port, host=network.addresses[0]) as listening:
        yield listening


@pytest.fixture
def path(server: Server) -> Iterator[Proxy]:
    """A proxy to the server on this machine, with a small receive buffer."""
    with Proxy(server.port, receive_buffer=SMALL_BUFFER) as listening:
        yield listening


@pytest.fixture
def driver(network: Network, link: Proxy) -> Iterator[Driver]:
    """A process in the namespace, connected to the server through the link."""
    with closing(LANGUAGES["cpp"].start(inside=network.inside)) as inside:
        inside.connect({"address": link.address, "namespace": NAMESPACE})
        yield inside


def written(driver: Driver, port: int) -> list[TcpSocket]:
    """Returns the sockets to this port that have a request in their send buffer."""
    to_port = [entry for entry in sockets_around(driver.pid) if entry.remote[1] == port]
    return [entry for entry in to_port if entry.unacknowledged_bytes >= REQUEST_BYTES]


def wait_until_written(driver: Driver, port: int) -> None:
    wait_until(lambda: bool(written(driver, port)), "the request is in the TCP send buffer")


def wait_until_old_bytes_are_late(driver: Driver, port: int) -> None:
    """Waits until the kernel has just retransmitted the old bytes without success and pauses, or has dropped them."""
    wait_until(
        lambda: all(entry.next_timer_seconds > HEAD_START_SECONDS for entry in written(driver, port)),
        "the kernel pauses before it sends the old bytes again",
    )


def wait_until_drained(driver: Driver, port: int) -> None:
    """Waits until no byte of an old request can leave the client's host any more."""
    wait_until(
        lambda: not any(entry.has_unsent_bytes for entry in sockets_around(driver.pid) if entry.remote[1] == port),
        "all bytes that were sent have arrived, or were discarded",
    )


def assert_stays(activity: ExternalActivity, details: object) -> None:
    end = time.monotonic() + AFTERMATH_SECONDS
    while time.monotonic() < end:
        assert activity.heartbeat_details() == [details]
        time.sleep(0.05)  # the server reports a change only when asked


@pytest.mark.parametrize("gap_ms", GAPS_MS)
def test_call_that_timed_out_on_a_dead_link_never_overwrites_a_newer_one(
    gap_ms: int, network: Network, link: Proxy, driver: Driver, start: StartActivity
) -> None:
    activity = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
    token = activity.next_attempt().token
    driver.heartbeat(token, 0)

    network.silence(network.addresses[0])
    with refused("THB_TIMEOUT"):
        driver.heartbeat(token, 1, timeout=CALL_MS)
    time.sleep(gap_ms / 1000)
    link.slow_down()
    network.restore(network.addresses[0])

    driver.heartbeat(token, 100, timeout=30_000)
    wait_until_drained(driver, link.port)
    assert_stays(activity, 100)


@pytest.mark.parametrize("gap_ms", GAPS_MS)
def test_abandoned_beat_on_a_dead_link_never_overwrites_a_newer_one(
    gap_ms: int, network: Network, link: Proxy, driver: Driver, start: StartActivity
) -> None:
    activity = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
    handle = driver.open(activity.next_attempt().token, heartbeat_timeout_ms=LIBRARY_TIMEOUT_MS)
    handle.record(0)
    handle.flush()

    network.silence(network.addresses[0])
    handle.record(1)
    with refused("THB_TIMEOUT"):
        handle.flush(timeout=1)
    wait_until_written(driver, link.port)
    wait_until_old_bytes_are_late(driver, link.port)
    handle.record(2)
    time.sleep(gap_ms / 1000)
    link.slow_down()
    network.restore(network.addresses[0])

    handle.record(100)
    handle.flush(timeout=30_000)
    handle.close()
    wait_until_drained(driver, link.port)
    assert_stays(activity, 100)


@pytest.mark.parametrize("gap_ms", GAPS_MS)
def test_beat_that_is_held_back_on_the_path_never_overwrites_a_newer_one(
    gap_ms: int, path: Proxy, connect_cpp: ConnectCpp, start: StartActivity
) -> None:
    driver = connect_cpp(path.address)
    activity = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
    handle = driver.open(activity.next_attempt().token, heartbeat_timeout_ms=LIBRARY_TIMEOUT_MS)
    handle.record(0)
    handle.flush()

    path.stop_reading()
    path.slow_down()
    handle.record({"item": 1, "padding": LARGE_DETAILS})
    with refused("THB_TIMEOUT"):
        handle.flush(timeout=1)
    wait_until_written(driver, path.port)
    handle.record(100)
    handle.flush(timeout=30_000)
    time.sleep(gap_ms / 1000)
    path.resume_reading()
    handle.close()
    wait_until_drained(driver, path.port)
    assert_stays(activity, 100)


@ONLY_BY_IDS
def test_dead_attempts_beat_by_ids_never_overwrites_the_next_attempts_progress(
    kind: Kind, path: Proxy, connect_cpp: ConnectCpp, start: StartActivity
) -> None:
    driver, successor = connect_cpp(path.address), connect_cpp()
    activity = start(kind, heartbeat_timeout_ms=2_000)
    activity.next_attempt()
    handle = driver.open(b"", **activity.ids(), heartbeat_timeout_ms=2_000)
    handle.record(1)
    handle.flush()

    # By ids the library first fetches the running attempt. The proxy holds back what is sent after the answer.
    path.stop_reading_after(DESCRIPTION_BYTES)
    path.slow_down()
    handle.record({"item": 99, "padding": LARGE_DETAILS})
    with refused("THB_TIMEOUT"):
        handle.flush(timeout=1)
    wait_until_written(driver, path.port)
    second = successor.open(activity.next_attempt().token, heartbeat_timeout_ms=2_000)
    second.record(2)
    second.flush()
    path.resume_reading()

    assert Signals.GONE in handle.wait(Signals.GONE, timeout=30_000)
    wait_until_drained(driver, path.port)
    assert_stays(activity, 2)
    second.complete("done")
    assert activity.result() == "done"


@ONLY_BY_IDS
def test_dead_attempts_completion_by_ids_that_timed_out_never_ends_the_next_attempt(
    kind: Kind, path: Proxy, connect_cpp: ConnectCpp, start: StartActivity
) -> None:
    driver, successor = connect_cpp(path.address), connect_cpp()
    activity = start(kind, heartbeat_timeout_ms=2_000)
    activity.next_attempt()
    handle = driver.open(b"", **activity.ids(), heartbeat_timeout_ms=2_000)
    handle.record(1)
    handle.flush()

    # By ids the library first fetches the running attempt. The proxy holds back what is sent after the answer.
    path.stop_reading_after(DESCRIPTION_BYTES)
    path.slow_down()
    with refused("THB_TIMEOUT"):
        handle.complete({"of": "the dead attempt", "padding": LARGE_DETAILS}, timeout=1_000)
    second = successor.open(activity.next_attempt().token, heartbeat_timeout_ms=2_000)
    second.record(2)
    second.flush()
    path.resume_reading()

    assert Signals.GONE in handle.wait(Signals.GONE, timeout=30_000)
    wait_until_drained(driver, path.port)
    assert_stays(activity, 2)
    second.complete("done")
    assert activity.result() == "done"
