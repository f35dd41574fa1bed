"""Every program of bindings/*/examples, examples/ and examples/recipes stops its work while its activity is paused."""

import contextlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from harness.activities import WorkflowActivity
from harness.build import compile_c, compile_cpp, run
from harness.examples import PROGRAMS
from harness.fixtures import StartActivity
from harness.handoff_program import SERVER_TIMEOUT_MS, start_program
from harness.languages import linked
from harness.paths import BUILD, ROOT
from harness.polling import wait_until
from harness.requires import requires
from harness.server import Server

BINDINGS, RECIPES = ROOT / "bindings", ROOT / "examples" / "recipes"
PYTHON = BINDINGS / "python" / "examples"
# More than any program does within the test.
ITEMS = "100000000"


def c() -> str:
    program = BUILD / "activity_c"
    compile_c(BINDINGS / "c" / "examples" / "activity.c", program, *linked())
    return str(program)


def cpp() -> str:
    program = BUILD / "activity_cpp"
    compile_cpp(BINDINGS / "cpp" / "examples" / "activity.cpp", program, *linked())
    return str(program)


def openmp() -> str:
    program = BUILD / "recipe_openmp"
    compile_cpp(RECIPES / "openmp.cpp", program, "-O0", "-fopenmp", *linked())
    return str(program)


def go() -> str:
    program = BUILD / "paused_go"
    compiler = requires(shutil.which("go"), "go")
    run([compiler, "-C", str(BINDINGS / "go"), "build", "-o", str(program), "./examples/activity"])
    return str(program)


# The command of each program. Each has a separate folder.
COMMANDS: dict[str, Callable[[Path], list[str]]] = {
    "c": lambda folder: [c(), ITEMS, str(folder / "done")],
    "cpp": lambda folder: [cpp(), ITEMS, str(folder / "done")],
    "go": lambda _: [go(), "-items", ITEMS],
    "python": lambda folder: [sys.executable, str(PYTHON / "activity.py"), ITEMS, str(folder / "done")],
    "asyncio": lambda folder: [sys.executable, str(PYTHON / "activity_aio.py"), ITEMS, str(folder / "done")],
    "openmp": lambda _: ["env", "OMP_NUM_THREADS=1", openmp(), ITEMS],
    "process_pool": lambda _: [sys.executable, str(RECIPES / "process_pool.py"), ITEMS],
    "training": lambda folder: [sys.executable, str(RECIPES / "training.py"), ITEMS, str(folder)],
    **{name: lambda _, name=name: [*PROGRAMS[name](), ITEMS] for name in PROGRAMS},  # type: ignore[misc]
}


class Progress:
    """The heartbeats of one program, as the server receives them."""

    def __init__(self, name: str, activity: WorkflowActivity) -> None:
        self.name = name
        self.activity = activity
        self._last = activity.last_heartbeat()
        self._repeated = 0

    def has_advanced(self) -> bool:
        """Returns whether a heartbeat with other details has arrived since the last call."""
        before, self._last = self._last, self.activity.last_heartbeat()
        return before[1] != self._last[1]

    def stands_still(self) -> bool:
        """Returns whether two heartbeats in a row had the details of the one before. Every item changes them."""
        (time, details), self._last = self._last, self.activity.last_heartbeat()
        if details != self._last[1]:
            self._repeated = 0
        elif time != self._last[0]:
            self._repeated += 1
        return self._repeated >= 2


def test_paused_programs_stop_working_until_the_unpause(server: Server, start: StartActivity, tmp_path: Path) -> None:
    commands = {}
    for name, command in COMMANDS.items():
        (tmp_path / name).mkdir()
        commands[name] = command(tmp_path / name)
    running: list[Progress] = []
    with contextlib.ExitStack() as stack:
        for name, command_line in commands.items():
            activity = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
            assert isinstance(activity, WorkflowActivity)
            stack.enter_context(start_program(command_line, activity.next_attempt(), server))
            running.append(Progress(name, activity))
        wait_for_all(running, Progress.has_advanced, "work")
        for program in running:
            program.activity.pause()
        wait_for_all(running, Progress.stands_still, "stop working during the pause, while their heartbeats continue")
        for program in running:
            program.activity.unpause()
        wait_for_all(running, Progress.has_advanced, "work again")


def wait_for_all(programs: list[Progress], condition: Callable[[Progress], bool], what: str) -> None:
    missing = programs

    def is_met() -> bool:
        nonlocal missing
        missing = [program for program in missing if not condition(program)]
        return not missing

    try:
        wait_until(is_met, what)
    except AssertionError as late:
        raise AssertionError(f"these don't {what}: {', '.join(program.name for program in missing)}") from late
