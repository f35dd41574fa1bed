"""The npm package and the gem: values, errors and endings, which are the same in both."""

import re
import runpy
import subprocess
from collections.abc import Callable

import pytest
from temporalio.exceptions import ApplicationError, CancelledError

from harness.examples import BINDINGS, Command, node_binding, ruby
from harness.fixtures import StartActivity
from harness.handoff_program import SERVER_TIMEOUT_MS, handoff_environment
from harness.languages import library_environment
from harness.paths import ROOT, library
from harness.process import Process
from harness.server import Server
from harness.worker import Attempt

PROGRAMS: dict[str, Callable[[], Command]] = {
    "node": lambda: node_binding("test/scenarios.js"),
    "ruby": lambda: ruby(BINDINGS / "ruby" / "test" / "scenarios.rb"),
}


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> Command:
    command: Command = PROGRAMS[request.param]()
    return command


def observed(program: Command, scenario: str, attempt: Attempt, server: Server) -> list[str]:
    environment = handoff_environment(server, attempt)
    done = subprocess.run(
        [*program, scenario], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout.splitlines()


def test_values_keep_their_meaning(program: Command, server: Server, start: StartActivity) -> None:
    activity = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
    assert observed(program, "values", activity.next_attempt(), server) == [
        "0",
        '[1.5,null,"ü",[true],{"a":{"b":1}}] 00ff',
        f"1 true {SERVER_TIMEOUT_MS}",
        "auth/1",
        "TypeError TypeError",
        "[]",
    ]
    assert activity.result() == {"done": True}


def test_errors_have_the_code_of_the_status(program: Command, server: Server, start: StartActivity) -> None:
    activity = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
    assert observed(program, "errors", activity.next_attempt(), server) == [
        "THB_ALREADY_OPEN",
        "THB_ALREADY_OPEN",
        "THB_ALREADY_CONNECTED",
        "TypeError TypeError",
        "RangeError THB_CONFIG",
        "[] open",
        "THB_ENDED THB_ENDED",
        "THB_INVALID_HANDLE THB_NOT_FOUND",
    ]
    assert activity.result() == "done"


def test_waiting_activity_reports_its_cancellation(program: Command, server: Server, start: StartActivity) -> None:
    activity = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
    environment = handoff_environment(server, activity.next_attempt())
    with Process([*program, "cancelled"], environment, merge_stderr=True) as running:
        running.expect("^0$")
        running.expect("^open null$")
        activity.request_cancel("too expensive")
        running.expect("^1$")
        running.expect("^Cancelled too expensive$")
        running.expect(r"^the work should stop: CANCEL_REQUESTED \(too expensive\) too expensive$")
        assert running.wait() == 0
    failure = activity.failure()
    assert isinstance(failure, CancelledError)
    assert list(failure.details) == [{"cleaned": "up"}]


def test_error_that_leaves_the_work_fails_the_attempt_with_its_progress(
    program: Command, server: Server, start: StartActivity
) -> None:
    activity = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS, maximum_attempts=2)
    assert observed(program, "failed", activity.next_attempt(), server) == ["TypeError"]
    second = activity.next_attempt()
    assert second.details == [7]
    assert observed(program, "failed", second, server) == ["TypeError"]
    failure = activity.failure()
    assert isinstance(failure, ApplicationError)
    assert (failure.message, failure.type) == ("no such item", "TypeError")
    assert isinstance(failure.cause, ApplicationError)
    assert failure.cause.message == "the reason"


def test_stalled_activity_fails_with_its_status(program: Command, server: Server, start: StartActivity) -> None:
    activity = start("workflow", maximum_attempts=1)
    assert observed(program, "stalled", activity.next_attempt(), server) == ["läuft THB_TOO_LARGE", "THB_ENDED"]
    error = activity.failure()
    assert isinstance(error, ApplicationError)
    assert error.type == "Stalled"
    assert error.message.endswith("status: läuft")


def test_failure_has_all_given_fields(program: Command, server: Server, start: StartActivity) -> None:
    activity = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
    assert observed(program, "failedFinally", activity.next_attempt(), server) == []
    failure = activity.failure()
    assert isinstance(failure, ApplicationError)
    assert (failure.message, failure.type, list(failure.details)) == ("give up", "Final", [1, "two"])
    assert failure.non_retryable
    assert isinstance(failure.cause, ApplicationError)
    assert failure.cause.message == "why"


def test_abandoned_activity_is_closed_with_a_warning(program: Command, server: Server, start: StartActivity) -> None:
    attempt = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS).next_attempt()
    [warning] = observed(program, "abandoned", attempt, server)
    assert "an Activity was not closed" in warning


def test_waiting_call_is_interrupted(program: Command, server: Server, start: StartActivity) -> None:
    attempt = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS).next_attempt()
    assert observed(program, "interrupted", attempt, server) == ["TimeoutError true"]


def test_program_exits_while_a_call_waits(program: Command, server: Server, start: StartActivity) -> None:
    attempt = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS).next_attempt()
    assert observed(program, "exits", attempt, server) == []


def test_program_without_an_activity_runs_by_hand(program: Command) -> None:
    done = subprocess.run(
        [*program, "inactive"], env=library_environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "[] 0 0",
        "0 inactive",
        "THB_NOT_CONNECTED THB_INVALID_HANDLE",
        "THB_CONFIG",
    ]


def test_workers_of_node_leave_no_queue_and_can_be_terminated(server: Server, start: StartActivity) -> None:
    attempt = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS).next_attempt()
    assert observed(PROGRAMS["node"](), "workers", attempt, server) == ["0", "1"]


LOADS: dict[str, Callable[[], Command]] = {
    "node": lambda: [*node_binding("index.js")[:1], "-p", PRINT_VERSION_NODE.format(node_binding("index.js")[1])],
    "ruby": lambda: [*ruby()[:-1], "-e", PRINT_VERSION_RUBY],
}
PRINT_VERSION_NODE = "const thb = require('{}'); if (process.argv[1]) thb.load(process.argv[1]); thb.version()"
PRINT_VERSION_RUBY = (
    "require 'temporal_heartbeat'; TemporalHeartbeat.load(ARGV[0]) if ARGV[0]; puts TemporalHeartbeat.version"
)


@pytest.mark.parametrize("language", LOADS)
def test_library_is_loaded_from_the_given_path_or_the_error_names_the_variable(language: str) -> None:
    command = LOADS[language]()
    environment = library_environment() | {"TEMPORAL_HEARTBEAT_LIBRARY": "/absent.so"}
    loaded = subprocess.run([*command, str(library())], env=environment, capture_output=True, text=True, check=False)
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", loaded.stdout), loaded.stderr
    failed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert failed.returncode != 0
    assert "can't load the library: set TEMPORAL_HEARTBEAT_LIBRARY to its path" in failed.stderr


def test_declarations_are_generated_from_the_header() -> None:
    generator = runpy.run_path(str(BINDINGS / "generate_declarations.py"))
    for path, text in generator["generate"](generator["HEADER"].read_text()).items():
        assert path.read_text() == text, f"run `make header`: {path}"


def test_types_have_all_options_of_the_library() -> None:
    declared = (BINDINGS / "node" / "index.d.ts").read_text()
    options = re.findall(r"^\* \*\*`([\w.]+)`\*\*", (ROOT / "docs" / "options.md").read_text(), flags=re.MULTILINE)
    assert len(options) > 30
    for option in options:
        name = re.sub("_([a-z])", lambda found: found[1].upper(), option.rpartition(".")[2])
        assert re.search(rf"\b{name}\?: ", declared), option
