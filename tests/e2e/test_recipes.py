"""The recipes of examples/recipes, on a real server."""

import base64
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import CancelledError

from harness.build import compile_cpp
from harness.fixtures import StartActivity
from harness.handoff_program import SERVER_TIMEOUT_MS, handoff_environment, start_program
from harness.languages import linked
from harness.paths import BUILD, ROOT
from harness.polling import wait_until
from harness.program import children_of, is_alive
from harness.server import Server
from harness.worker import SdkWorker

RECIPES = ROOT / "examples" / "recipes"
ACTIVITY = [sys.executable, str(ROOT / "bindings/python/examples/activity.py")]

Command = list[str]


def openmp(items: int, _: Path) -> Command:
    program = compile_cpp(RECIPES / "openmp.cpp", BUILD / "recipe_openmp", "-O0", "-fopenmp", *linked())
    return [str(program), str(items)]


def process_pool(items: int, _: Path) -> Command:
    return [sys.executable, str(RECIPES / "process_pool.py"), str(items)]


def training(items: int, folder: Path) -> Command:
    return [sys.executable, str(RECIPES / "training.py"), str(items), str(folder)]


def step_of(details: Any) -> int:
    """Returns the progress of a recipe: the next item, or the step of the last checkpoint."""
    if isinstance(details, int):
        return details
    checkpoint = details["checkpoint"]
    return int(Path(checkpoint).stem.removeprefix("step-")) if checkpoint else 0


LOOPS: dict[str, Callable[[int, Path], Command]] = {
    "openmp": openmp,
    "process_pool": process_pool,
    "training": training,
}


@pytest.mark.parametrize("recipe", LOOPS)
def test_killed_loop_resumes(
    recipe: str, server: Server, start: StartActivity, sdk_worker: SdkWorker, tmp_path: Path
) -> None:
    command = LOOPS[recipe](1_000_000, tmp_path)
    activity = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
    attempt = activity.next_attempt()
    with start_program(command, attempt, server) as first:
        first.expect("from (item|step) 0$")
        while step_of((activity.heartbeat_details() or [0])[0]) < 5:
            first.expect("done|checkpoint")
        first.kill()
    reached = step_of(activity.heartbeat_details()[0])
    sdk_worker.fail(attempt.token)
    with start_program(LOOPS[recipe](reached + 3, tmp_path), activity.next_attempt(), server) as second:
        second.expect(f"from (item|step) {reached}$")
        assert second.wait() == 0
    assert step_of(activity.result()) == reached + 3


@pytest.mark.parametrize("recipe", LOOPS)
def test_cancelled_loop_stops(recipe: str, server: Server, start: StartActivity, tmp_path: Path) -> None:
    command = LOOPS[recipe](1_000_000, tmp_path)
    activity = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
    with start_program(command, activity.next_attempt(), server) as running:
        running.expect("from")
        activity.request_cancel()
        assert isinstance(activity.failure(), CancelledError)
        running.wait()


def test_pool_ends_with_its_killed_holder(server: Server, start: StartActivity, tmp_path: Path) -> None:
    activity = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
    with start_program(process_pool(1_000_000, tmp_path), activity.next_attempt(), server) as holder:
        holder.expect("up to item")
        pool = children_of(holder.pid)
        assert len(pool) == 4
        os.kill(holder.pid, signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, pool)), "the pool's processes end")


A_STEP_HANGS = """
import sys
import threading
from pathlib import Path
import training

def hang(_):
    print("hangs", flush=True)
    threading.Event().wait()

training.time.sleep = hang
training.main(100, Path(sys.argv[1]))
"""


def test_hung_training_ends_after_its_attempt(
    server: Server, start: StartActivity, sdk_worker: SdkWorker, tmp_path: Path
) -> None:
    program = f"import sys\nsys.path.append({str(RECIPES)!r})\n{A_STEP_HANGS}"
    attempt = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS).next_attempt()
    with start_program([sys.executable, "-c", program, str(tmp_path)], attempt, server) as running:
        running.expect("hangs")
        sdk_worker.fail(attempt.token)
        assert running.wait() == 1


ONE_ITEM_FAILS = """
import sys
import time
import process_pool

def work(item):
    if item == 0:
        raise RuntimeError("item 0 failed")
    with open(sys.argv[1], "a", buffering=1) as items:
        print("begin", item, file=items)
        time.sleep(0.5)
        print("end", item, file=items)
    return item

process_pool.work = work
if __name__ == "__main__":
    process_pool.main(100)
"""


def test_no_item_runs_after_a_failed_one_has_ended_the_attempt(
    server: Server, start: StartActivity, tmp_path: Path
) -> None:
    program, items = tmp_path / "one_item_fails.py", tmp_path / "items"
    program.write_text(f"import sys\nsys.path.append({str(RECIPES)!r})\n{ONE_ITEM_FAILS}")
    activity = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
    command = [sys.executable, str(program), str(items)]
    with start_program(command, activity.next_attempt(), server) as running:
        activity.next_attempt()
        done = items.read_text()
        assert running.wait() == 1
    assert "begin" in done
    assert done.count("begin") == done.count("end")
    assert items.read_text() == done


def test_prefork_workers_have_their_own_connections(server: Server, start: StartActivity) -> None:
    activities = [start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS) for _ in range(4)]
    attempts = [activity.next_attempt() for activity in activities]
    done = subprocess.run(
        [sys.executable, str(RECIPES / "prefork.py"), "2"],
        input="".join(base64.b64encode(attempt.token).decode() + "\n" for attempt in attempts),
        env=handoff_environment(server, attempts[0]),
        text=True,
        check=False,
        timeout=60,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert len({activity.result() for activity in activities}) == 2
