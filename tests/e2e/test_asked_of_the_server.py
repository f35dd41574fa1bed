"""The library fetches what the hand-off doesn't contain: the heartbeat timeout, and the limit of the details."""

from harness.activities import Kind, start_activity
from harness.driver import refused
from harness.fixtures import ConnectCpp, StartActivity
from harness.languages import LANGUAGES
from harness.payloads import bytes_of_size
from harness.polling import wait_until
from harness.requires import unsupported
from harness.server import NAMESPACE, OLDEST, dev_server
from harness.signals import Signals
from harness.worker import ActivityOptions, SdkWorker


def test_heartbeat_timeout_is_fetched_without_a_hand_off(
    kind: Kind, start: StartActivity, connect_cpp: ConnectCpp
) -> None:
    driver = connect_cpp()
    activity = start(kind, heartbeat_timeout_ms=2_000)
    handle = driver.open(activity.next_attempt().token, initial_details="")
    handle.record(1)
    handle.flush()
    try:
        wait_until(lambda: handle.info()["heartbeat_timeout_ms"] > 0, "the timeout is known", 10)
    except AssertionError:
        unsupported("the heartbeat timeout in the server's description of an activity")
    assert handle.info()["heartbeat_timeout_ms"] == 2_000
    assert handle.wait(Signals.LEASE_LOST | Signals.GONE, timeout=4_000) == Signals.NONE
    assert handle.info()["beats"] >= 3
    handle.complete("done")
    assert activity.result() == "done"


# The lower limit of a server.
LIMIT = 100_000


def test_limit_of_the_server_is_applied() -> None:
    python = LANGUAGES["python"]
    python.command()
    with (
        dev_server("--dynamic-config-value", f"limit.blobSize.error={LIMIT}") as server,
        SdkWorker(server.address) as sdk_worker,
    ):
        if server.version < OLDEST:
            unsupported("the limits of a namespace")
        token = start_activity("workflow", sdk_worker, ActivityOptions()).next_attempt().token
        driver = python.start({})
        driver.connect({"address": server.address, "namespace": NAMESPACE})
        assert driver.heartbeat(token, bytes_of_size(LIMIT)) == Signals.NONE
        with refused("THB_TOO_LARGE", str(LIMIT), str(LIMIT + 1)):
            driver.heartbeat(token, bytes_of_size(LIMIT + 1))
        assert driver.heartbeat(token, 41) == Signals.NONE
        assert driver.close() == 0
