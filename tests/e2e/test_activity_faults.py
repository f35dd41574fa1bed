"""Open activities while the server is unreachable, silent, or refuses heartbeats."""

import time

from harness.activities import Kind
from harness.driver import refused
from harness.fixtures import ConnectCpp, StartActivity, StartDriver
from harness.proxy import Proxy
from harness.server import OTHER_NAMESPACE, Server
from harness.signals import Signals
from harness.worker import ANSWER_LIMIT_S

# The tolerance of time limits on a busy machine.
MARGIN_S = 5.0


def test_activity_survives_a_pause_of_three_timeouts(kind: Kind, start: StartActivity, connect_cpp: ConnectCpp) -> None:
    driver = connect_cpp()
    activity = start(kind, heartbeat_timeout_ms=2_000)
    handle = driver.open(activity.next_attempt().token, heartbeat_timeout_ms=2_000)
    handle.record(1)
    activity.pause()
    assert handle.wait(timeout=30_000) == Signals.PAUSED
    assert handle.wait(known=Signals.PAUSED, timeout=6_000) == Signals.PAUSED
    activity.unpause()
    assert handle.wait(known=Signals.PAUSED, timeout=30_000) == Signals.NONE
    handle.complete("done")
    assert activity.result() == "done"


def test_activity_survives_an_absent_server_for_half_a_lease(
    server: Server, start: StartActivity, connect_cpp: ConnectCpp
) -> None:
    activity = start("workflow", heartbeat_timeout_ms=8_000)
    token = activity.next_attempt().token
    with Proxy(server.port) as up:
        handle = connect_cpp(up.address).open(token, heartbeat_timeout_ms=8_000)
        handle.record(1)
        handle.flush()
    handle.record(2)
    assert handle.wait(timeout=4_000) == Signals.NONE
    with Proxy(server.port, up.port):
        handle.flush(timeout=30_000)
        assert handle.signals() == Signals.NONE
        assert activity.heartbeat_details() == [2]
        handle.complete("survived")
        assert activity.result() == "survived"


def test_activity_survives_a_black_hole_for_most_of_a_lease(
    proxy: Proxy, start: StartActivity, connect_cpp: ConnectCpp
) -> None:
    activity = start("workflow", heartbeat_timeout_ms=10_000)
    handle = connect_cpp(proxy.address).open(activity.next_attempt().token, heartbeat_timeout_ms=10_000)
    handle.record(1)
    handle.flush()
    proxy.become_a_black_hole()
    handle.record(2)
    assert handle.wait(timeout=6_000) == Signals.NONE
    proxy.heal()
    handle.flush(timeout=30_000)
    assert handle.signals() == Signals.NONE
    handle.complete("survived")
    assert activity.result() == "survived"


def test_activity_loses_its_lease_while_the_server_is_absent_for_two_leases(
    server: Server, start: StartActivity, connect_cpp: ConnectCpp
) -> None:
    activity = start("workflow", heartbeat_timeout_ms=1_000)
    token = activity.next_attempt().token
    with Proxy(server.port) as up:
        handle = connect_cpp(up.address).open(token, heartbeat_timeout_ms=1_000)
        began = time.monotonic()
        handle.record(1)
        handle.flush()
        flushed = time.monotonic()
    assert handle.wait(Signals.LEASE_LOST, timeout=30_000) == Signals.LEASE_LOST
    assert began + 1 < time.monotonic() < flushed + 2 + MARGIN_S
    assert handle.record(2) == Signals.LEASE_LOST
    retry = activity.next_attempt()
    with Proxy(server.port, up.port):
        assert Signals.GONE in handle.wait(Signals.GONE, timeout=30_000)
        with refused("THB_NOT_FOUND"):
            handle.record(3)
        with refused("THB_NOT_FOUND"):
            handle.complete("too late")
    assert (retry.number, retry.details) == (2, [1])


def test_no_pulse_is_sent_before_the_stored_details_are_known(
    server: Server, start: StartActivity, connect_cpp: ConnectCpp
) -> None:
    activity = start("workflow", heartbeat_timeout_ms=8_000)
    connect_cpp().heartbeat(activity.next_attempt().token, 41)
    token = activity.next_attempt().token
    with Proxy(server.port) as up:
        retry = connect_cpp(up.address)
    handle = retry.open(token, heartbeat_timeout_ms=8_000)
    assert handle.wait(timeout=30_000) == Signals.UNSEEDED
    with refused("THB_UNAVAILABLE", "connection refused"):
        handle.details(timeout=500)
    with Proxy(server.port, up.port):
        assert handle.details(timeout=30_000).values == [41]
        assert handle.wait(known=Signals.UNSEEDED, timeout=30_000) == Signals.NONE
        handle.complete("done")
    assert activity.result() == "done"


def test_refused_heartbeats_are_a_signal_and_info_has_the_reason(
    server: Server, start: StartActivity, start_driver: StartDriver
) -> None:
    driver = start_driver("cpp")
    driver.connect({"address": server.address, "namespace": OTHER_NAMESPACE})
    began = time.monotonic()
    handle = driver.open(start("workflow").next_attempt().token)
    with refused("THB_INVALID_ARGUMENT", "namespace"):
        handle.details(timeout=30_000)
    handle.record(1)
    assert handle.wait(timeout=30_000) == Signals.REFUSED
    error = handle.info()["last_error"]
    assert error["name"] == "THB_INVALID_ARGUMENT"
    assert "namespace" in error["message"]
    # The calls return at once: a refusal isn't retried until the timeout.
    with refused("THB_INVALID_ARGUMENT", "namespace"):
        handle.flush(timeout=30_000)
    with refused("THB_INVALID_ARGUMENT", "namespace"):
        handle.close(timeout=30_000)
    assert driver.close() == 0
    assert time.monotonic() - began < ANSWER_LIMIT_S
