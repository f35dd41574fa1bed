"""Cancellation, pause, reset, limits and places of activities that run apart."""

import pytest
from temporalio.exceptions import ApplicationError, CancelledError

from apart.world import World, wait_for_end
from harness.polling import wait_until


@pytest.mark.parametrize("body", ["sleeping", "sleeping_coroutine"])
@pytest.mark.usefixtures("worker")
def test_cancellation_stops_the_body_also_while_it_sleeps(world: World, body: str) -> None:
    # With follow_server it is noticed at once, and not with the next heartbeat, after 48 s.
    running = world.start(body, str(world.folder), heartbeat_timeout_ms=60_000)
    process = world.pid(attempt=1)
    running.request_cancel()
    assert isinstance(running.failure(), CancelledError)
    wait_for_end(process)


@pytest.mark.usefixtures("worker")
def test_heartbeat_waits_while_the_activity_is_paused(world: World) -> None:
    running = world.start("counting", str(world.folder), heartbeat_timeout_ms=5_000)
    world.pid(attempt=1)
    running.pause()
    wait_until((world.folder / "paused").exists, "the pause")
    running.unpause()
    before, after = running.result()
    assert after <= before + 1  # the thread that counts the pause sees it after or before the body


@pytest.mark.usefixtures("worker")
def test_reset_starts_again(world: World) -> None:
    running = world.start("waiting", str(world.folder), heartbeat_timeout_ms=5_000)
    process = world.pid(attempt=1)
    (world.folder / "attempt-1").unlink()
    running.reset()
    wait_for_end(process)
    world.pid(attempt=1)
    world.go()
    assert running.result() == [1, 1]


@pytest.mark.usefixtures("worker")
def test_waiting_for_a_place_keeps_the_attempt_and_its_details(world: World) -> None:
    # The second one fails its first attempt, and then waits.
    second = world.start("alone", str(world.folder), "second", heartbeat_timeout_ms=1_000)
    world.pid(attempt=1)
    (world.folder / "attempt-1").unlink()
    first = world.start("alone", str(world.folder), "first", heartbeat_timeout_ms=1_000)
    world.pid(attempt=1)
    wait_until(lambda: second.attempt() == 2, "the second attempt")
    wait_until(lambda: second.beats_after_s() > 3, "heartbeats for three timeouts")
    assert second.heartbeat_details() == ["second"]
    world.go()
    assert first.result() == []
    assert second.result() == ["second"]
    assert second.attempt() == 2


@pytest.mark.usefixtures("worker")
def test_pause_and_cancellation_reach_attempts_that_wait_for_a_place(world: World) -> None:
    first = world.start("alone", str(world.folder), "first")
    world.pid(attempt=1)
    paused = world.start("alone", str(world.folder), "paused", heartbeat_timeout_ms=1_000)
    cancelled = world.start("alone", str(world.folder), "cancelled", heartbeat_timeout_ms=1_000)
    wait_until(lambda: min(waiting.beats() for waiting in (paused, cancelled)) > 0, "the heartbeats")
    paused.pause()
    cancelled.request_cancel()
    assert isinstance(cancelled.failure(), CancelledError)
    known = paused.beats()
    wait_until(lambda: paused.beats() > known + 3, "heartbeats during the pause")
    paused.unpause()
    world.go()
    assert first.result() == []
    assert paused.result() == []
    assert paused.attempt() == 1


@pytest.mark.usefixtures("worker")
def test_memory_is_limited(world: World) -> None:
    failure = world.start("using_memory", maximum_attempts=1).failure()
    assert isinstance(failure, ApplicationError)
    assert failure.type == "MemoryError"


@pytest.mark.usefixtures("worker")
def test_processor_time_is_limited(world: World) -> None:
    failure = world.start("using_processor", maximum_attempts=1).failure()
    assert isinstance(failure, ApplicationError)
    assert failure.type == "CpuTimeLimit"


@pytest.mark.usefixtures("worker")
def test_start_has_a_time_limit(world: World) -> None:
    failure = world.start("slow_to_start", maximum_attempts=1).failure()
    assert "__main__" in str(failure)
