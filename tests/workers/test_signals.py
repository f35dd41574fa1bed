"""Workers that are ended by SIGTERM in the middle of work and polls lose no task, and killed ones lose no progress."""

import os
import random
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import ActivityExecutionStatus, ActivityHandle

from apart.world import Running
from harness.polling import wait_until
from harness.server import Server
from harness.worker import SdkWorker
from python_worker.world import World
from workers.conftest import SLOW
from workers.ways import WAYS, command_of, running

# Each lane is a task queue. The ends of its workers follow each other. More lanes overload the development server. It
# then loses tasks itself: it stores that a task has started, and answers the poll with another task.
LANES, ENDS = (4, 25) if SLOW else (3, 1)
# Longer than a busy server needs for any task.
SILENCE_LIMIT_S = 120.0
# Much longer than a test, so that no task returns to the queue by a timeout.
NEVER = {"heartbeat_timeout_ms": 3_600_000, "start_to_close_ms": 3_600_000}
HEARTBEAT_TIMEOUT_MS = 2_000
ATTEMPT = r"^attempt (\d+) of \S+ from (\d+)$"


def in_lanes(sdk_worker: SdkWorker, server: Server, folder: Path, run: Callable[[World], list[Any]]) -> list[Any]:
    worlds = []
    for lane in range(LANES):
        (folder / str(lane)).mkdir()
        worlds.append(World(sdk_worker, server.address, folder / str(lane)))
    with ThreadPoolExecutor(LANES) as threads:
        return [one for found in threads.map(run, worlds) for one in found]


def stranded(world: World, started: Sequence[ActivityHandle[Any]]) -> list[str]:
    """Returns the activities that are left when no more end, with their states."""

    async def running(left: Sequence[ActivityHandle[Any]]) -> list[tuple[ActivityHandle[Any], str]]:
        states = [(one, await one.describe()) for one in left]
        return [
            (one, f"{state.activity_id}: {state.run_state}, attempt {state.attempt}, {state.last_started_time}")
            for one, state in states
            if state.status == ActivityExecutionStatus.RUNNING
        ]

    left = [(one, "") for one in started]
    ended_at = time.monotonic()
    while left and time.monotonic() - ended_at < SILENCE_LIMIT_S:
        time.sleep(0.5)
        before = len(left)
        left = world.sdk_worker.run(running([one for one, _ in left]), SILENCE_LIMIT_S)
        if len(left) < before:
            ended_at = time.monotonic()
    return [state for _, state in left]


def terminated_often(way: str, world: World) -> list[str]:
    """Ends workers by SIGTERM while tasks arrive and run. Returns the tasks that the next worker didn't get."""
    started: list[ActivityHandle[Any]] = []
    printed: list[str] = []
    for _ in range(ENDS):
        with running(command_of(way, world), world) as worker:
            started += world.start_many("steps", 4, 5, 20, **NEVER)
            if way == "python":  # it handles signals when it takes tasks
                printed.append(worker.expect(ATTEMPT)[0])
            time.sleep(random.uniform(0, 0.3))  # so that the signals come at different moments
            os.kill(worker.pid, signal.SIGTERM)
            started += world.start_many("steps", 2, 5, 20, **NEVER)
            printed += worker.read_lines()
            assert worker.wait() == 0
    with running(command_of(way, world), world):
        found = stranded(world, started)
    if found:
        print(*printed, sep="")
    return found


@pytest.mark.parametrize("way", WAYS if SLOW else ["c"])
def test_no_task_waits_for_a_timeout_after_sigterm(
    way: str, releasing: tuple[Server, SdkWorker], tmp_path: Path
) -> None:
    server, sdk_worker = releasing
    assert in_lanes(sdk_worker, server, tmp_path, lambda world: terminated_often(way, world)) == []


@pytest.mark.skipif(not SLOW, reason="make check-slow: each end takes up to 20 s")
def test_no_task_waits_for_a_timeout_after_sigterm_if_polls_end_by_themselves(
    server: Server, sdk_worker: SdkWorker, tmp_path: Path
) -> None:
    assert in_lanes(sdk_worker, server, tmp_path, lambda world: terminated_often("c", world)) == []


def recorded(activity: Running) -> int:
    details = activity.heartbeat_details()
    return int(details[0]) if details else 0


def has_recorded(activity: Running, step: int) -> bool:
    return recorded(activity) >= step


def killed_often(way: str, world: World) -> list[float]:
    """Kills the workers of an activity. Returns the seconds from each kill to the next attempt's first step."""
    activity = world.start("steps", 0, 20, heartbeat_timeout_ms=HEARTBEAT_TIMEOUT_MS)

    known, killed_at, times = 0, 0.0, []
    for kill in range(ENDS + 1):
        with running(command_of(way, world), world) as worker:
            number, begins_from = map(int, worker.expect(ATTEMPT).groups())
            assert number > kill
            # The server may have received more since the test asked.
            assert begins_from >= known
            if killed_at:
                times.append(time.monotonic() - killed_at)
            if kill == ENDS:
                world.go()
                activity.result()
                break
            wait_until(partial(has_recorded, activity, begins_from + 1), "a step is recorded")
            time.sleep(random.uniform(0, 0.3))  # so that the kills come at different moments
            worker.kill()
            killed_at, known = time.monotonic(), recorded(activity)
    return times


@pytest.mark.parametrize("way", WAYS if SLOW else ["c"])
def test_killed_workers_are_followed_by_ones_that_resume(
    way: str, releasing: tuple[Server, SdkWorker], tmp_path: Path
) -> None:
    server, sdk_worker = releasing
    times = in_lanes(sdk_worker, server, tmp_path, lambda world: killed_often(way, world))
    assert len(times) == LANES * ENDS
    # The last heartbeat may be older than the kill.
    assert min(times) > 0
    print(f"{way}: {len(times)} kills, resumed after {statistics.median(times):.1f} s, at most {max(times):.1f} s")
