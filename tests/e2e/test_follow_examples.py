"""The programs of the guide that follow the server: each notices a cancellation at once, and prints its reason."""

import shutil
import sys
import time
from collections.abc import Callable

import pytest
from temporalio.exceptions import CancelledError

from harness.build import compile_c, compile_cpp, run
from harness.examples import EXAMPLES, Command, node, ruby
from harness.fixtures import StartActivity
from harness.handoff_program import handoff_environment
from harness.languages import linked
from harness.paths import BUILD, ROOT
from harness.process import Process
from harness.requires import requires
from harness.server import Server

BINDINGS = ROOT / "bindings"

# The next heartbeat is due 48 s after the first one.
TIMEOUT_MS = 60_000
AT_ONCE_S = 20.0


def c() -> Command:
    return [str(compile_c(BINDINGS / "c" / "examples" / "follow.c", BUILD / "follow_c", *linked()))]


def cpp() -> Command:
    return [str(compile_cpp(BINDINGS / "cpp" / "examples" / "follow.cpp", BUILD / "follow_cpp", *linked()))]


def go() -> Command:
    program = str(BUILD / "follow_go")
    go = requires(shutil.which("go"), "go")
    run([go, "-C", str(BINDINGS / "go"), "build", "-o", program, "./examples/follow"])
    return [program]


PROGRAMS: dict[str, Callable[[], Command]] = {
    "c": c,
    "cpp": cpp,
    "go": go,
    "python": lambda: [sys.executable, str(BINDINGS / "python" / "examples" / "follow.py")],
    "node": lambda: node("follow"),
    "ruby": lambda: ruby(EXAMPLES / "ruby" / "follow.rb"),
}


@pytest.mark.parametrize("language", PROGRAMS)
def test_program_notices_a_cancellation_at_once_with_its_reason(
    language: str, server: Server, start: StartActivity
) -> None:
    command = PROGRAMS[language]()
    activity = start("standalone", heartbeat_timeout_ms=TIMEOUT_MS)
    timeout = {"TEMPORAL_ACTIVITY_HEARTBEAT_TIMEOUT_MS": str(TIMEOUT_MS)}
    environment = handoff_environment(server, activity.next_attempt()) | timeout
    with Process(command, environment, merge_stderr=True) as program:
        program.expect("^waiting$")
        requested = time.monotonic()
        activity.request_cancel("too expensive")
        program.expect("^cancelled: .*too expensive")
        assert time.monotonic() - requested < AT_ONCE_S
        assert program.wait() == 0
    assert isinstance(activity.failure(), CancelledError)
