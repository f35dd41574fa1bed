"""Runs of `test_encrypted_by_server.py` with programs that hang. The report of a stall is encoded like other values."""

import functools
import json
import re
import shutil
import sys
from collections.abc import Callable
from typing import Any

from harness.build import compile_cpp
from harness.codec_server import EncryptedAttempt
from harness.languages import library_environment, linked
from harness.paths import BUILD, DRIVERS, ROOT
from harness.process import Process
from interop.encrypted_world import HEADER, World, handed_over

LANGUAGES = ("python", "cpp")
# The kernel keeps 15 bytes of the name of a process.
PROCESS = "planted-p-word"


def build() -> None:
    _cpp()


@functools.cache
def _cpp() -> str:
    return str(compile_cpp(DRIVERS / "hanging.cpp", BUILD / "hanging_cpp", *linked(), "-rdynamic", "-pthread"))


def run_program(language: str, encodes_all: bool, world: World) -> None:
    """A program with the status and the stacks. Its file has a planted name, which the stack contains."""
    name = ("stalled", language, "all" if encodes_all else "details")
    status = world.plant(*name, "status")
    file = world.plant(*name, "file").replace(" ", "+")
    options: dict[str, Any] = {"compression": "none"}
    if world.encrypts:
        options |= {"codec_headers": {HEADER: language}, "encode_common_attributes": encodes_all}
    command = [sys.executable, str(DRIVERS / "hanging.py"), json.dumps(options), status, file]
    if language == "cpp":
        link = world.folder / file
        link.symlink_to(_cpp())
        command = [str(link), json.dumps(options), status]
    activity = world.start("workflow", maximum_attempts=1)
    variables = handed_over(activity.next_attempt())
    environment = library_environment() | world.variables | {"PYTHONPATH": str(ROOT / "bindings" / "python")}
    with Process(command, environment | variables, merge_stderr=True):
        seen = activity.outcome().failure
    assert seen
    assert seen["type"] == "Stalled"
    if encodes_all or not world.encrypts:
        assert status in seen["message"]
        stacks = seen["stack_trace"]
    else:
        assert "the status and the stacks are in the details" in seen["message"]
        assert seen["stack_trace"] == ""
        assert seen["details"]["status"] == status
        stacks = seen["details"]["stacks"]
    assert file in stacks
    assert "wait_for_the_table" in stacks


def run_exec(encodes_all: bool, world: World) -> None:
    """`exec` with a process of a planted name, and with `--on-stall`."""
    planted, output = world.plant("p"), world.plant("stalled", "exec", "all" if encodes_all else "details", "output")
    assert PROCESS in planted
    sleeps = world.folder / f"exec-{encodes_all}" / PROCESS
    sleeps.parent.mkdir()
    sleeps.symlink_to(shutil.which("sleep") or "")
    flags = ["--stall-timeout", "300ms", "--stall-action", "fail", "--on-stall", f"echo {output}", "--grace", "500ms"]
    activity = world.start("workflow", maximum_attempts=1)
    attempt: EncryptedAttempt = activity.next_attempt()
    script = f"{sleeps} 1000"
    with world.program("exec", *flags, script=script, attempt=attempt, encodes_all=encodes_all) as running:
        running.ends()
    seen = activity.outcome().failure
    assert seen
    assert seen["type"] == "Stalled"
    if encodes_all or not world.encrypts:
        assert re.search(rf"; {PROCESS} \(pid \d+\) waits$", seen["message"]), seen
        processes = seen["stack_trace"]
    else:
        assert "(pid" not in seen["message"]
        assert seen["stack_trace"] == ""
        processes = seen["details"]["processes"]
    assert re.search(rf"^{PROCESS} \(pid \d+\) waits: state S", processes), processes
    assert processes.endswith(f"--on-stall: exit code 0\n{output}")


PROGRAMS: dict[str, Callable[[bool, World], None]] = {
    **{language: functools.partial(run_program, language) for language in LANGUAGES},
    "exec": run_exec,
}
RUNS: dict[str, Callable[[World], None]] = {
    f"stalled-{name}-{'all' if encodes_all else 'details'}": functools.partial(run, encodes_all)
    for encodes_all in (True, False)
    for name, run in PROGRAMS.items()
}
