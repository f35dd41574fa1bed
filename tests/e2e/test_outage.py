"""The server stops and starts again, as in a deployment. Calls wait for it until their timeout."""

from harness.driver import refused
from harness.fixtures import Connect, StartActivity
from harness.proxy import Proxy
from harness.server import Server
from harness.signals import Signals


def test_call_in_an_outage_is_unavailable_and_a_later_one_succeeds(
    language: str, server: Server, start: StartActivity, connect: Connect
) -> None:
    token = start("workflow").next_attempt().token
    with Proxy(server.port) as up:
        driver = connect(language, up.address)
        driver.heartbeat(token, 40)
    with refused("THB_UNAVAILABLE", up.address, "connection refused"):
        driver.heartbeat(token, 41, timeout=300)
    with Proxy(server.port, up.port):
        assert driver.heartbeat(token, 42) == Signals.NONE
        driver.disconnect()


def test_call_outlasts_an_outage(language: str, server: Server, start: StartActivity, connect: Connect) -> None:
    activity = start("workflow")
    token = activity.next_attempt().token
    with Proxy(server.port) as up:
        driver = connect(language, up.address)
    driver.start_complete(token, "done")
    with Proxy(server.port, up.port):
        driver.finish()
        driver.disconnect()
    assert activity.result() == "done"
