"""A worker continues by itself after its server was away, and at its server's rate limit."""

import os
import signal
import time
from pathlib import Path

import pytest

from harness.server import ServerProcess, dev_server
from harness.worker import SdkWorker
from python_worker.world import World
from workers.conftest import RELEASES_POLLS, SLOW
from workers.ways import command_of, running

# A development server whose start takes over a minute ends itself, and it may still be starting when it is frozen.
AWAY_S = {"killed": 60, "frozen": 30} if SLOW else {"killed": 1}
# Longer than an outage, so that the attempt survives it.
LONG_MS = 600_000
SHORT_MS = 5_000
RATE_LIMIT = 30
LIMITED = 300 if SLOW else 30


@pytest.mark.parametrize("outage", AWAY_S)
def test_worker_continues_after_its_server_was_away(outage: str, tmp_path: Path) -> None:
    with (
        ServerProcess(*RELEASES_POLLS, "--db-filename", str(tmp_path / "temporal.db")) as process,
        SdkWorker(process.server.address) as sdk_worker,
    ):
        world = World(sdk_worker, process.server.address, tmp_path)
        with running(command_of("c", world), world) as worker:
            activity = world.start("steps", 0, 20, heartbeat_timeout_ms=LONG_MS, start_to_close_ms=LONG_MS)
            worker.expect("^attempt 1 ")
            process.kill() if outage == "killed" else process.freeze()
            time.sleep(AWAY_S[outage])
            process.start_again() if outage == "killed" else process.thaw()
            returned = time.monotonic()
            # A server that continues may give a task to a poll that the worker has given up. That attempt times out.
            started = world.start_many("no_op", 20, heartbeat_timeout_ms=SHORT_MS, start_to_close_ms=LONG_MS)
            assert world.results(started) == [None] * 20
            print(
                f"{outage} for {AWAY_S[outage]} s, 20 tasks done {time.monotonic() - returned:.1f} s after its return"
            )
            world.go()
            assert activity.result() > 0
            assert activity.attempt() == 1
            os.kill(worker.pid, signal.SIGTERM)
            assert worker.wait() == 0


def test_worker_continues_at_the_rate_limit_of_its_server(tmp_path: Path) -> None:
    with (
        dev_server(*RELEASES_POLLS, "--dynamic-config-value", f"frontend.namespaceRPS={RATE_LIMIT}") as server,
        SdkWorker(server.address) as sdk_worker,
    ):
        world = World(sdk_worker, server.address, tmp_path)
        with running(command_of("c", world), world) as worker:
            began = time.monotonic()
            started = world.start_many("no_op", LIMITED, maximum_attempts=1)
            assert world.results(started) == [None] * LIMITED
            print(f"{LIMITED} tasks in {time.monotonic() - began:.1f} s")
            os.kill(worker.pid, signal.SIGTERM)
            worker.expect(f"^done {LIMITED}$")
            assert worker.wait() == 0
