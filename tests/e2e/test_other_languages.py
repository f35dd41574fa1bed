"""Languages that call the library through their own FFI: the programs of examples/, on a real server."""

import re
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError, CancelledError

from harness.build import compile_c
from harness.examples import EXAMPLES, PROGRAMS
from harness.fixtures import Connect, StartActivity
from harness.handoff_program import SERVER_TIMEOUT_MS, handoff_environment, start_program
from harness.paths import INCLUDE, library
from harness.process import Process
from harness.requires import unsupported
from harness.server import Server
from harness.worker import Attempt, SdkWorker


def program(language: str, items: int, attempt: Attempt, server: Server) -> Process:
    return start_program([*PROGRAMS[language](), str(items)], attempt, server)


@pytest.fixture(params=PROGRAMS)
def language(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    PROGRAMS[chosen]()  # built, or skipped, before anything else starts
    return chosen


def test_killed_program_resumes_and_completes(
    language: str, server: Server, start: StartActivity, sdk_worker: SdkWorker
) -> None:
    activity = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
    attempt = activity.next_attempt()
    with program(language, 1_000_000, attempt, server) as first:
        first.expect("attempt . resumes after item 0$")
        while (activity.heartbeat_details() or [0])[0] < 5:  # the first is sent at once, this one when a beat is due
            first.expect("item [0-9]+ done")
        first.kill()
    recorded = activity.heartbeat_details()[0]
    sdk_worker.fail(attempt.token)
    with program(language, recorded + 3, activity.next_attempt(), server) as second:
        second.expect(f"attempt . resumes after item {recorded}$")
        second.expect("completed")
        assert second.wait() == 0
    assert activity.result() == recorded + 3


def test_cancelled_program_reports_it(language: str, server: Server, start: StartActivity) -> None:
    activity = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
    with program(language, 1_000_000, activity.next_attempt(), server) as running:
        running.expect("item 1 done")
        activity.request_cancel()
        running.expect("cancelled")
        assert running.wait() == 0
    assert isinstance(activity.failure(), CancelledError)


def test_program_whose_work_fails_fails_the_attempt_with_the_reason(
    language: str, server: Server, start: StartActivity, connect: Connect
) -> None:
    activity = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS, maximum_attempts=2)
    first = activity.next_attempt()
    connect("c").heartbeat(first.token, 'half "of" it')
    connect("c").fail(first.token, {"message": "again"})
    with program(language, 3, activity.next_attempt(), server) as running:
        error = activity.failure()
        assert isinstance(error, ApplicationError)
        assert re.search(r"not an item: .*half .*of.* it", error.message), error.message
        assert running.wait() != 0


def test_program_with_an_unreadable_token_prints_the_reason(language: str, server: Server) -> None:
    command = [*PROGRAMS[language](), "3"]
    environment = handoff_environment(server, Attempt(b"no token", 1))
    with Process(command, environment, merge_stderr=True) as running:
        running.expect("THB_TOKEN_UNREADABLE")
        assert running.wait() != 0


# The library with a wrapped thb_check_abi, which reports another ABI.
OF_ANOTHER_ABI = "int thb_check_abi(unsigned abi) { return abi ? 25 : 0; }"


def test_library_with_another_abi_is_refused_at_the_start(language: str, server: Server, tmp_path: Path) -> None:
    if language == "rust":
        unsupported("a library that is opened at run time")
    source = tmp_path / "other.c"
    source.write_text(OF_ANOTHER_ABI)
    before_ours = ("-shared", "-fPIC", f"-Wl,--no-as-needed,-rpath,{library().parent}")
    other = compile_c(source, tmp_path / "other.so", *before_ours, str(library()))
    command = [*PROGRAMS[language](), "3"]
    environment = handoff_environment(server, Attempt(b"no token", 1)) | {"TEMPORAL_HEARTBEAT_LIBRARY": str(other)}
    with Process(command, environment, merge_stderr=True) as running:
        running.expect("the library has another ABI version than this program needs: install")
        assert running.wait() != 0


@pytest.mark.parametrize("source", ["luajit/activity.lua", "php/activity.php"])
def test_declarations_in_an_example_are_those_of_the_header(source: str) -> None:
    declaration = r"^(?:typedef [^;]+|(?:thb_|const|int32_t|void)[^;=]+\));"
    declared = re.findall(declaration, (EXAMPLES / source).read_text(), flags=re.MULTILINE)
    header = " ".join((INCLUDE / "temporal_heartbeat.h").read_text().split())
    assert len(declared) > 15
    assert [each for each in declared if " ".join(each.split()) not in header] == []
