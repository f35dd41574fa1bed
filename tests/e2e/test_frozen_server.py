"""An activity stays open while its server freezes, and while the server is killed and restarted with its database."""

import time
from contextlib import closing
from pathlib import Path

from harness.activities import start_activity
from harness.driver import refused
from harness.languages import LANGUAGES
from harness.server import NAMESPACE, ServerProcess
from harness.signals import Signals
from harness.worker import ANSWER_LIMIT_S, ActivityOptions, SdkWorker

# Longer than the whole test, so that nothing times out.
LONG_MS = 300_000
SHORT_MS = 1_000


def test_activity_held_open_survives_a_frozen_server_and_a_killed_one(tmp_path: Path) -> None:
    LANGUAGES["cpp"].command()
    with (
        ServerProcess("--db-filename", str(tmp_path / "temporal.db")) as process,
        SdkWorker(process.server.address) as sdk_worker,
        closing(LANGUAGES["cpp"].start()) as driver,
    ):
        driver.connect({"address": process.server.address, "namespace": NAMESPACE, "connect_timeout_ms": 60_000})
        options = ActivityOptions(heartbeat_timeout_ms=LONG_MS, start_to_close_ms=LONG_MS)
        activity, other = (start_activity("workflow", sdk_worker, options) for _ in range(2))
        handle = driver.open(activity.next_attempt().token, heartbeat_timeout_ms=LONG_MS)
        token = other.next_attempt().token
        handle.record(1)
        handle.flush()

        process.freeze()
        began = time.monotonic()
        with refused("THB_TIMEOUT"):
            driver.heartbeat(token, 1, timeout=SHORT_MS)
        assert SHORT_MS / 1000 <= time.monotonic() - began < ANSWER_LIMIT_S
        assert handle.record(2) == Signals.NONE
        with refused("THB_TIMEOUT"):
            handle.flush(timeout=SHORT_MS)
        process.thaw()
        handle.flush(timeout=60_000)
        assert activity.heartbeat_details() == [2]

        process.kill()
        with refused("THB_UNAVAILABLE", "connection refused"):
            driver.heartbeat(token, 2, timeout=SHORT_MS)
        assert handle.record(3) == Signals.NONE
        with refused("THB_UNAVAILABLE", "connection refused"):
            handle.flush(timeout=SHORT_MS)
        process.start_again()
        handle.flush(timeout=60_000)
        assert activity.heartbeat_details() == [3]
        assert handle.signals() == Signals.NONE
        handle.complete("survived", timeout=60_000)
        assert activity.result() == "survived"
