"""The commands for scripts. Each makes one call and has exit codes and text or JSON output."""

import json
import re
import time

import pytest
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, CancelledError

from harness.activities import Kind
from harness.fixtures import StartActivity
from harness.program import Program, StartProgram, encoded
from harness.server import free_port
from harness.worker import Attempt

INVALID_ARGUMENT, UNAVAILABLE, NOT_FOUND = 65, 69, 76


class Script:
    """Runs commands for an attempt, like a script."""

    def __init__(self, start_program: StartProgram, attempt: Attempt) -> None:
        self._start = start_program
        self._variables = {"TEMPORAL_ACTIVITY_TASK_TOKEN": encoded(attempt.token)}

    def start(self, *arguments: str, stdin: bytes | None = None) -> Program:
        return self._start(*arguments, variables=self._variables, stdin=stdin)

    def run(self, *arguments: str, code: int = 0, stdin: bytes | None = None) -> str:
        running = self.start(*arguments, stdin=stdin)
        said = running.rest().decode()
        assert running.ends() == code, running.errors()
        return said


def test_script_sends_heartbeats_resumes_and_completes(
    kind: Kind, start: StartActivity, start_program: StartProgram
) -> None:
    activity = start(kind)
    script = Script(start_program, activity.next_attempt())
    assert script.run("details", "--default", "0") == "0\n"
    assert script.run("details") == ""
    script.run("heartbeat", '{"item": 41}')
    assert activity.heartbeat_details() == [{"item": 41}]
    # A heartbeat without a value keeps the details.
    script.run("heartbeat")
    assert script.run("details") == '{"item": 41}\n'
    assert json.loads(script.run("details", "-o", "json")) == {"values": [{"item": 41}]}
    script.run("heartbeat", "--text", "half")
    assert activity.heartbeat_details() == ["half"]
    script.run("heartbeat", "--clear")
    assert activity.heartbeat_details() == []
    assert script.run("complete", "--json-file", "-", stdin=b"[1, 2]") == ""
    assert activity.result() == [1, 2]
    script.run("heartbeat", "1", code=NOT_FOUND)


def test_timeout_of_a_call_includes_connecting(start: StartActivity, start_program: StartProgram) -> None:
    script = Script(start_program, start("workflow").next_attempt())
    nowhere = f"127.0.0.1:{free_port()}"
    begin = time.monotonic()
    script.run("heartbeat", "1", "--address", nowhere, "--timeout", "500ms", code=UNAVAILABLE)
    # The time for connecting alone is 10 s by default.
    assert time.monotonic() - begin < 8


def test_script_uses_ids_instead_of_a_token(start: StartActivity, start_program: StartProgram) -> None:
    activity = start("workflow")
    activity.next_attempt()
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in activity.ids().items()]
    for command in (["heartbeat", "41"], ["complete", '"done"']):
        program = start_program(*command, *flags)
        assert program.ends() == 0, program.errors()
    assert activity.result() == "done"


def test_script_fails_the_attempt(start: StartActivity, start_program: StartProgram) -> None:
    activity = start("workflow")
    script = Script(start_program, activity.next_attempt())
    script.run(
        "fail", "--type", "BadInput", "--non-retryable", "--benign", "--details", '{"line": 7}', "no such customer"
    )
    error = activity.failure()
    assert isinstance(error, ApplicationError)
    assert (error.type, error.message, error.details) == ("BadInput", "no such customer", ({"line": 7},))
    assert error.category == ApplicationErrorCategory.BENIGN


def test_script_receives_a_cancellation(kind: Kind, start: StartActivity, start_program: StartProgram) -> None:
    activity = start(kind)
    script = Script(start_program, activity.next_attempt())
    assert script.run("heartbeat", "1", "--exit-code") == ""
    activity.request_cancel()
    assert script.run("heartbeat", "2") == "cancel_requested\n"
    assert json.loads(script.run("heartbeat", "3", "-o", "json", "--exit-code", code=10)) == {
        "signals": ["cancel_requested"]
    }
    assert json.loads(script.run("cancelled", "-o", "json", "--text", "bye")) == {"ended": "cancelled"}
    assert isinstance(activity.failure(), CancelledError)


def test_script_receives_pause_and_reset(start: StartActivity, start_program: StartProgram) -> None:
    activity = start("workflow")
    script = Script(start_program, activity.next_attempt())
    activity.pause()
    script.run("heartbeat", "--exit-code", code=12)
    activity.unpause()
    activity.reset()
    script.run("heartbeat", "--exit-code", code=11)


def test_status_prints_the_servers_state(kind: Kind, start: StartActivity, start_program: StartProgram) -> None:
    activity = start(kind, heartbeat_timeout_ms=30_000)
    attempt = activity.next_attempt()
    script = Script(start_program, attempt)
    script.run("heartbeat", "41")
    status = json.loads(script.run("status", "-o", "json"))
    assert (status["activity_id"], status["attempt"], status["details"]) == (activity.id, 1, [41])
    assert status["heartbeat_timeout_ms"] == 30_000
    assert f"activity_id: {activity.id}\n" in script.run("status")
    script.run("fail", "once more")
    later = Script(start_program, activity.next_attempt())
    script.run("status", code=NOT_FOUND)
    assert "\nlast_failure: once more\n" in later.run("status")
    later.run("complete")
    later.run("status", code=NOT_FOUND)


def test_status_is_in_words_and_times_for_people(kind: Kind, start: StartActivity, start_program: StartProgram) -> None:
    activity = start(kind, heartbeat_timeout_ms=90_000)
    script = Script(start_program, activity.next_attempt())
    state, started, beat, timeout = script.run("status").splitlines()[:4]
    assert (state, beat, timeout) == ("state: running", "last_heartbeat: none yet", "heartbeat_timeout: 1m 30s")
    assert re.fullmatch(r"started: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, \d+s ago", started)
    script.run("heartbeat", "41")
    assert re.search(r"last_heartbeat: 20.* UTC, \d+s ago\n", script.run("status"))
    activity.pause()
    said = script.run("status")
    assert said.startswith("state: running, and paused\n")
    # The lines for scripts.
    assert re.search(r"^recorded_at_unix_ms: \d{13}$", said, re.MULTILINE)
    assert "\nheartbeat_timeout_ms: 90000\n" in said
    activity.unpause()
    activity.request_cancel()
    assert script.run("status").startswith("state: running, and its cancellation was requested\n")


def test_status_of_a_standalone_activity_that_has_ended(start: StartActivity, start_program: StartProgram) -> None:
    activity = start("standalone")
    script = Script(start_program, activity.next_attempt())
    activity.terminate()
    assert script.run("status", code=NOT_FOUND).startswith("state: terminated\n")


def test_status_finds_an_activity_by_its_ids(start: StartActivity, start_program: StartProgram) -> None:
    activity = start("workflow")
    activity.next_attempt()
    running = start_program("status", *(f"--{name.replace('_', '-')}={text}" for name, text in activity.ids().items()))
    assert running.line() == "state: running"
    assert running.ends() == 0


@pytest.mark.parametrize("command", ["heartbeat", "complete", "cancelled"])
def test_value_that_is_not_json_is_refused_with_advice(
    command: str, start: StartActivity, start_program: StartProgram
) -> None:
    running = Script(start_program, start("workflow").next_attempt()).start(command, "hello")
    assert running.ends() == INVALID_ARGUMENT
    assert "isn't valid JSON" in running.errors()
    assert "--text" in running.errors()


def test_errors_can_be_printed_as_json(start_program: StartProgram) -> None:
    running = start_program("heartbeat", "-o", "json", "1")
    assert running.ends() == 66
    told = json.loads(running.errors())
    assert (told["event"], told["error"]["status"]) == ("error", "THB_CONFIG")
