"""What nobody has told the child it asks of the server: the heartbeat timeout, and how large details may be."""

import contextlib

from harness.activities import Kind, start_activity
from harness.children import Child
from harness.driver import refused
from harness.languages import LANGUAGES
from harness.needs import not_there
from harness.payloads import bytes_of_size
from harness.server import NAMESPACE, OLDEST, Server, dev_server
from harness.signals import Signals
from harness.stage import StartActivity
from harness.worker import ActivityOptions, Backstage

# Records once, and works on without a word for longer than the heartbeat timeout.
SILENT_WORK = """
    with thb.Activity.from_env() as act:
        act.heartbeat(1)
        deadline = time.monotonic() + 10
        while not act.info["heartbeat_timeout_ms"] and time.monotonic() < deadline:
            time.sleep(0.01)
        say(act.info["heartbeat_timeout_ms"])
        act.wait(thb.Signals.LEASE_LOST | thb.Signals.GONE, timeout=4)
        say(act.signals, act.info["beats"])
        act.complete("done")
"""


def test_heartbeat_timeout_that_nobody_told_is_kept(server: Server, kind: Kind, start: StartActivity) -> None:
    child = Child(SILENT_WORK, {"TEMPORAL_ADDRESS": server.address, "TEMPORAL_NAMESPACE": NAMESPACE})
    with contextlib.closing(child):
        assert child.hears() == ["ready"]
        activity = start(kind, heartbeat_timeout_ms=2_000)
        child.takes(activity.next_attempt(), HEARTBEAT_DETAILS="")
        [timeout_ms] = child.hears()
        if not timeout_ms:
            not_there("the heartbeat timeout in what the server tells of an activity")
        assert timeout_ms == 2_000
        signals, beats = child.hears()
        assert signals == Signals.NONE
        assert beats >= 3
        assert activity.result() == "done"


# Of a server that allows less than others.
LIMIT = 100_000


def test_limit_of_the_server_is_the_one_that_is_kept() -> None:
    python = LANGUAGES["python"]
    python.command()
    with (
        dev_server("--dynamic-config-value", f"limit.blobSize.error={LIMIT}") as server,
        Backstage(server.address) as backstage,
    ):
        if server.version < OLDEST:
            not_there("the limits of a namespace")
        token = start_activity("workflow", backstage, ActivityOptions()).next_attempt().token
        driver = python.start({})
        driver.connect({"address": server.address, "namespace": NAMESPACE})
        assert driver.heartbeat(token, bytes_of_size(LIMIT)) == Signals.NONE
        with refused("THB_TOO_LARGE", str(LIMIT), str(LIMIT + 1)):
            driver.heartbeat(token, bytes_of_size(LIMIT + 1))
        assert driver.heartbeat(token, 41) == Signals.NONE
        assert driver.close() == 0
