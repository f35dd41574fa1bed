"""Languages that call the library by an FFI of their own: the programs of examples/, on a real server."""

import re

import pytest
from temporalio.exceptions import CancelledError

from harness.examples import EXAMPLES, PROGRAMS
from harness.handed import SERVERS_TIMEOUT_MS, started
from harness.paths import INCLUDE
from harness.process import Process
from harness.server import Server
from harness.stage import StartActivity
from harness.worker import Attempt, Backstage


def program(language: str, items: int, attempt: Attempt, server: Server) -> Process:
    return started([*PROGRAMS[language](), str(items)], attempt, server)


@pytest.fixture(params=PROGRAMS)
def language(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    PROGRAMS[chosen]()  # built, or skipped, before anything starts
    return chosen


def test_killed_program_resumes_and_completes(
    language: str, server: Server, start: StartActivity, backstage: Backstage
) -> None:
    activity = start("workflow", heartbeat_timeout_ms=SERVERS_TIMEOUT_MS)
    attempt = activity.next_attempt()
    with program(language, 1_000_000, attempt, server) as first:
        first.says("attempt 1 goes on after item 0$")
        while (activity.heartbeat_details() or [0])[0] < 5:  # the first is sent at once, this one when a beat is due
            first.says("item [0-9]+ done")
        first.kill()
    recorded = activity.heartbeat_details()[0]
    backstage.fail(attempt.token)
    with program(language, recorded + 3, activity.next_attempt(), server) as second:
        second.says(f"attempt 2 goes on after item {recorded}$")
        second.says("completed")
        assert second.ends() == 0
    assert activity.result() == recorded + 3


def test_cancelled_program_reports_it(language: str, server: Server, start: StartActivity) -> None:
    activity = start("workflow", heartbeat_timeout_ms=SERVERS_TIMEOUT_MS)
    with program(language, 1_000_000, activity.next_attempt(), server) as running:
        running.says("item 1 done")
        activity.request_cancel()
        running.says("cancelled")
        assert running.ends() == 0
    assert isinstance(activity.failure(), CancelledError)


def test_program_whose_activity_cannot_be_read_says_why(language: str, server: Server) -> None:
    with program(language, 3, Attempt(b"no token", 1), server) as running:
        running.says("THB_TOKEN_UNREADABLE")
        assert running.ends() != 0


@pytest.mark.parametrize("source", ["luajit/activity.lua", "php/activity.php"])
def test_declarations_in_an_example_are_those_of_the_header(source: str) -> None:
    declaration = r"^(?:typedef [^;]+|(?:thb_|const|int32_t|void)[^;=]+\));"
    declared = re.findall(declaration, (EXAMPLES / source).read_text(), flags=re.MULTILINE)
    header = " ".join((INCLUDE / "temporal_heartbeat.h").read_text().split())
    assert len(declared) > 15
    assert [each for each in declared if " ".join(each.split()) not in header] == []
