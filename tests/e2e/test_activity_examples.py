"""The bindings' example programs that hold an activity open: a killed program resumes."""

import functools
import shutil
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError

from harness.activities import Kind
from harness.build import compile_c, compile_cpp, run
from harness.fixtures import StartActivity
from harness.handoff_program import start_program
from harness.languages import linked
from harness.paths import BUILD, ROOT
from harness.polling import wait_until
from harness.requires import requires
from harness.server import Server

BINDINGS = ROOT / "bindings"


@functools.cache
def example(language: str) -> str:
    program, folder = BUILD / f"activity_{language}", BINDINGS / language
    match language:
        case "c":
            compile_c(folder / "examples" / "activity.c", program, *linked())
        case "cpp":
            compile_cpp(folder / "examples" / "activity.cpp", program, *linked())
        case "go":
            go = requires(shutil.which("go"), "go")
            run([go, "-C", str(folder), "build", "-o", str(program), "./examples/activity"])
    return str(program)


@pytest.mark.parametrize(("killed", "resuming"), [("c", "cpp"), ("cpp", "c")])
def test_killed_program_resumes_in_the_other_language(
    killed: str, resuming: str, server: Server, kind: Kind, start: StartActivity, tmp_path: Path
) -> None:
    example(killed)  # built before an attempt starts, because attempts have short timeouts
    example(resuming)
    activity = start(kind, heartbeat_timeout_ms=4_000)
    done = tmp_path / "done"
    with start_program([example(killed), "40", str(done)], activity.next_attempt(), server) as first:
        wait_until(lambda: done.exists() and done.read_text().count("\n") >= 30, "30 items are done")
        first.kill()

    with start_program([example(resuming), "40", str(done)], activity.next_attempt(), server) as second:
        assert second.wait() == 0
    assert activity.result() == 40
    name = {"c": " c ", "cpp": " c++ "}
    lines = done.read_text().splitlines()
    before = [line for line in lines if name[killed] in line]
    after = [int(line.split()[2]) for line in lines if name[resuming] in line]
    # The second program resumes from the server's details, which are at most one throttle interval old.
    assert after == list(range(after[0], 41))
    assert 2 <= after[0] <= len(before) + 1


def test_exception_of_the_work_in_cpp_fails_the_attempt(kind: Kind, server: Server, start: StartActivity) -> None:
    example("cpp")
    activity = start(kind, maximum_attempts=1)
    with start_program([example("cpp"), "40", "/dev/full"], activity.next_attempt(), server) as program:
        assert program.wait() == 1
    error = activity.failure()
    assert isinstance(error, ApplicationError)
    assert error.message == "can't write item 1: No space left on device"


def test_killed_go_program_resumes(kind: Kind, server: Server, start: StartActivity) -> None:
    example("go")
    activity = start(kind, heartbeat_timeout_ms=4_000)
    with start_program([example("go"), "-items", "1000"], activity.next_attempt(), server) as first:
        first.expect(r"^starting at item 0$")
        first.expect(r"^item 29 done$")
        first.kill()
    with start_program([example("go"), "-items", "40"], activity.next_attempt(), server) as second:
        resumed = int(second.expect(r"^starting at item (\d+)$")[1])
        second.expect(r"^item 39 done$")
        assert second.wait() == 0
    assert 0 < resumed <= 30  # records of the last throttle interval are lost, and their items are repeated
    assert activity.result() == 40
