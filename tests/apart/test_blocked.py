"""Bodies that block the interpreter or the event loop for several heartbeat timeouts."""

import os

import pytest
from temporalio.exceptions import TimeoutError

from apart.world import World

ROUNDS = 20 if os.environ.get("THB_SLOW") == "1" else 1
AT_ONCE = 5
TIMEOUT_MS = 2500


@pytest.mark.parametrize("body", ["holding_gil", "blocking_loop"])
@pytest.mark.usefixtures("worker")
def test_blocking_body_completes_apart(world: World, body: str) -> None:
    for _ in range(ROUNDS):
        started = [
            world.start(body, 2.5 * TIMEOUT_MS / 1000, heartbeat_timeout_ms=TIMEOUT_MS, maximum_attempts=1)
            for _ in range(AT_ONCE)
        ]
        assert [running.result() for running in started] == ["done"] * AT_ONCE


@pytest.mark.parametrize("body", ["holding_gil_in_worker", "blocking_loop_in_worker"])
@pytest.mark.usefixtures("worker")
def test_blocking_body_times_out_in_the_worker(world: World, body: str) -> None:
    running = world.start(body, 2.5 * TIMEOUT_MS / 1000, heartbeat_timeout_ms=TIMEOUT_MS, maximum_attempts=1)
    assert isinstance(running.failure(), TimeoutError)
