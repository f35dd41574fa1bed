"""The workers under test: in C, in Python, and the program's `work`. Each runs the activities "steps" of a task queue.

Such an activity has two arguments: the number of its steps, or 0 for steps until the test calls `World.go`, and the
milliseconds of each. It records each step, and continues after the last one that the previous attempt has recorded.
"""

import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from harness.build import compile_c
from harness.languages import linked
from harness.paths import BUILD, DRIVERS, ROOT
from harness.process import Process
from harness.program import environment, program
from python_worker.world import World

WAYS = ("c", "python", "work")
SLOTS = "4"

COMMAND = """
read -r count; read -r ms
step=${TEMPORAL_ACTIVITY_DETAILS_JSON:-0}
echo "attempt $TEMPORAL_ACTIVITY_ATTEMPT of $TEMPORAL_ACTIVITY_ID from $step"
while if [ "$count" = 0 ]; then [ ! -e "$0/go" ]; else [ "$step" -lt "$count" ]; fi; do
    sleep "$(printf 0.%03d "$ms")"
    step=$((step + 1))
    echo "step $step"
done
"""


@functools.cache
def worker_in_c() -> str:
    return str(compile_c(DRIVERS / "worker.c", BUILD / "driver_worker_c", *linked(), "-pthread"))


def command_of(way: str, world: World) -> list[str]:
    queue, folder = world.queue, str(world.folder)
    if way == "c":
        return [worker_in_c(), queue, folder, f', "max_concurrent": {SLOTS}', SLOTS]
    if way == "python":
        return [sys.executable, str(ROOT / "tests" / "workers" / "program.py"), queue, folder]
    flags = ["-t", queue, "-c", SLOTS, "--progress-pattern", r"^step (\d+)$", "--result", "none"]
    return [str(program()), "work", *flags, "--", "sh", "-c", COMMAND, folder]


@contextmanager
def running(command: list[str], world: World) -> Iterator[Process]:
    """Runs a worker until the end of the block. It has begun to poll, or will do so at once."""
    variables = environment(world.address) | {"PYTHONPATH": str(ROOT / "bindings" / "python")}
    with Process(command, variables, merge_stderr=True) as process:
        process.expect("^running$|waiting for tasks")
        yield process
