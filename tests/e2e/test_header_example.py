"""The example in the header's comment: compiled as C and as C++, and run against the server."""

import base64
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from temporalio.exceptions import CancelledError

from harness.build import compile_c, compile_cpp, link
from harness.fixtures import Connect, StartActivity
from harness.languages import library_environment
from harness.paths import INCLUDE, library
from harness.requires import requires
from harness.server import Server

HEADER = (INCLUDE / "temporal_heartbeat.h").read_text()
COMPILERS = {"c": compile_c, "cpp": compile_cpp}

Run = Callable[[Mapping[str, str]], "subprocess.CompletedProcess[str]"]


def example() -> str:
    """Returns the indented lines below AN EXAMPLE, up to the next unindented paragraph."""
    below = HEADER.partition(" * AN EXAMPLE")[2].partition("\n")[2]
    lines = re.match(r"(?: \*\n| \*     .*\n)+", below)
    assert lines is not None
    return re.sub(r"^ \*(?:     )?", "", lines[0], flags=re.MULTILINE).strip() + "\n"


@pytest.fixture(params=COMPILERS)
def run(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> Run:
    shared = requires(library() if library().exists() else None, f"the library at {library()} (make lib)")
    link(tmp_path / "libtemporal_heartbeat.so.0", shared)
    source = tmp_path / f"example.{request.param}"
    source.write_text(example())
    program = COMPILERS[request.param](source, tmp_path / "example", str(shared), f"-Wl,-rpath,{tmp_path}")

    def run(environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
        connected = library_environment() | {"TEMPORAL_ADDRESS": server.address} | dict(environment)
        return subprocess.run([program], env=connected, capture_output=True, text=True, timeout=60, check=False)

    return run


def handoff_environment(token: bytes) -> dict[str, str]:
    return {"TEMPORAL_ACTIVITY_TASK_TOKEN": base64.b64encode(token).decode()}


def items(output: str) -> list[int]:
    return [int(number) for number in re.findall(r"working on item (\d+)", output)]


def test_program_resumes_after_the_last_recorded_item_and_completes(
    run: Run, start: StartActivity, connect: Connect
) -> None:
    activity = start("workflow", heartbeat_timeout_ms=60_000)
    token = activity.next_attempt().token
    connect("python").heartbeat(token, 990)
    done = run(handoff_environment(token))
    assert (done.returncode, done.stderr) == (0, "")
    assert items(done.stdout) == list(range(991, 1000))
    assert activity.result() == 1000


def test_first_attempt_starts_at_the_first_item(run: Run, start: StartActivity) -> None:
    activity = start("workflow", heartbeat_timeout_ms=60_000)
    done = run(handoff_environment(activity.next_attempt().token))
    assert items(done.stdout) == list(range(1000))
    assert activity.result() == 1000


def test_program_stops_at_the_first_heartbeat_after_it_was_superseded(
    run: Run, start: StartActivity, connect: Connect
) -> None:
    driver = connect("python")
    activity = start("workflow", heartbeat_timeout_ms=2000)
    stale = activity.next_attempt().token
    token = activity.next_attempt().token
    driver.heartbeat(token, 5)
    done = run(handoff_environment(stale))
    assert done.returncode == 1
    assert items(done.stdout) == [6]
    assert "THB_NOT_FOUND" in done.stderr
    assert driver.get_details(token).values == [5]


def test_program_reports_a_requested_cancellation(run: Run, start: StartActivity) -> None:
    activity = start("workflow", heartbeat_timeout_ms=60_000)
    token = activity.next_attempt().token
    activity.request_cancel()
    done = run(handoff_environment(token))
    assert (done.returncode, items(done.stdout)) == (0, [0])
    assert isinstance(activity.failure(), CancelledError)


def test_program_without_a_token_prints_the_reason(run: Run) -> None:
    done = run({})
    assert done.returncode == 1
    assert "THB_CONFIG" in done.stderr
    assert "TEMPORAL_ACTIVITY_TASK_TOKEN" in done.stderr
