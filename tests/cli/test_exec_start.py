"""`exec` reports errors before it starts the command, by a message and an exit code."""

import re
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError, CancelledError

from harness.activities import Kind, StandaloneActivity, WorkflowActivity
from harness.fixtures import StartActivity
from harness.program import Exec, StartProgram, encoded
from harness.server import free_port

# The exit code of an error is 64 plus the number of its status. `--help` lists all codes.
USAGE, INVALID_ARGUMENT, CONFIG, UNAVAILABLE, NOT_FOUND, TOKEN_UNREADABLE = 64, 65, 66, 69, 76, 81

UNKNOWN = "/nowhere/no-such-command"


def test_no_token(start_program: StartProgram) -> None:
    running = start_program("exec", "--", "true")
    assert running.ends() == CONFIG
    assert "there is no task token: give --token-file" in running.errors()


@pytest.mark.parametrize(("text", "code"), [(b"%%%", CONFIG), (b"aGVsbG8=", TOKEN_UNREADABLE)])
def test_invalid_token(text: bytes, code: int, start_program: StartProgram) -> None:
    running = start_program("exec", "--token-stdin", "--", "echo", "started", stdin=text)
    assert running.rest() == b""
    assert running.ends() == code, running.errors()
    assert "aGVsbG8=" not in running.errors()


def test_unreadable_file(start_program: StartProgram, tmp_path: Path) -> None:
    running = start_program("exec", "--token-file", str(tmp_path / "missing"), "--", "true")
    assert running.ends() == CONFIG
    assert f"{tmp_path}/missing: No such file or directory" in running.errors()


def test_stale_token(kind: Kind, start: StartActivity, execute: Exec) -> None:
    activity = start(kind)
    stale = activity.next_attempt()
    assert execute(stale, command="exit 1").ends() == 1
    activity.next_attempt()
    running = execute(stale, command="echo started")
    assert running.rest() == b""
    assert running.ends() == NOT_FOUND
    assert "another attempt has taken over" in running.errors()
    assert "the command wasn't started, and nothing was reported" in running.errors()


def test_unknown_command_and_file_that_is_not_executable(start: StartActivity, execute: Exec, tmp_path: Path) -> None:
    no_program = tmp_path / "text"
    no_program.write_text("hello")
    for command, code, type in ((UNKNOWN, 127, "CommandNotFound"), (str(no_program), 126, "CommandNotStarted")):
        activity = start("workflow", maximum_attempts=1)
        running = execute(activity.next_attempt(), command=[command])
        assert running.ends() == code
        assert command in running.errors()
        error = activity.failure()
        assert isinstance(error, ApplicationError)
        assert error.type == type
        assert not error.non_retryable


def test_unreachable_server(start: StartActivity, execute: Exec) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    running = execute(
        start("workflow").next_attempt(),
        "--address",
        nowhere,
        "--client-connect-timeout",
        "300ms",
        command="echo started",
    )
    assert running.ends() == UNAVAILABLE
    assert nowhere in running.errors()


@pytest.mark.parametrize(
    "flags",
    [
        ["--stall-timeout", "10"],
        ["--progress-pattern", "("],
        ["--progress-json", "--progress-file", "x"],
        ["--success-codes", "256"],
        ["--nonsense"],
    ],
)
def test_wrong_command_line(flags: list[str], start_program: StartProgram) -> None:
    running = start_program("exec", *flags, "--", "true")
    assert running.ends() == USAGE
    assert flags[0] in running.errors()


def test_flags_that_exclude_each_other(start_program: StartProgram) -> None:
    running = start_program("exec", "--stall-timeout", "10s", "--stall-by", "file", "--", "true")
    assert running.ends() == INVALID_ARGUMENT
    assert "--stall-file" in running.errors()


def test_activity_that_is_cancelled_while_exec_starts(kind: Kind, start: StartActivity, execute: Exec) -> None:
    activity = start(kind)
    attempt = activity.next_attempt()
    activity.request_cancel()
    running = execute(attempt, command="echo started")
    assert running.rest() == b""
    assert running.ends() == 10
    assert "reported as cancelled: cancellation was requested before the command was started" in running.errors()
    assert isinstance(activity.failure(), CancelledError)


# Prints the variables of the token, the descriptors above 2, and the standard input.
SHOW = """
import json, os, sys
variables = [name for name in os.environ if "TASK_TOKEN" in name]
def is_open(number):
    try:
        return bool(os.fstat(number))
    except OSError:
        return False
descriptors = [number for number in range(3, 1000) if is_open(number)]
print(json.dumps([variables, descriptors, sys.stdin.read()]))
"""


@pytest.mark.parametrize("way", ["environment", "stdin", "file", "flag", "descriptor", "descriptor 0"])
def test_token_is_read_from_every_source_and_hidden_from_the_command(
    way: str, start: StartActivity, start_program: StartProgram, tmp_path: Path
) -> None:
    activity = start("workflow")
    token = encoded(activity.next_attempt().token)
    file = tmp_path / "token"
    file.write_text(f"{token}\n")
    show = ["--result", "json", "--", "python3", "-c", SHOW]
    with file.open() as opened:
        if way == "environment":
            running = start_program("exec", *show, variables={"TEMPORAL_ACTIVITY_TASK_TOKEN": token})
        elif way == "stdin":
            running = start_program("exec", "--token-stdin", *show, stdin=f"{token}\nthe rest".encode())
        elif way == "file":
            running = start_program("exec", *show, variables={"TEMPORAL_ACTIVITY_TASK_TOKEN_FILE": str(file)})
        elif way == "descriptor 0":
            running = start_program("exec", "--token-fd", "0", *show, stdin=token.encode())
        elif way == "flag":
            running = start_program("exec", "--token-file", str(file), *show)
        else:
            number = opened.fileno()
            running = start_program("exec", "--token-fd", str(number), *show, inherit=[number])
    assert running.ends() == 0, running.errors()
    # The bytes after the token belong to the command.
    assert activity.result() == [[], [], "the rest" if way == "stdin" else ""]


def test_activity_is_named_by_its_ids_without_a_token(
    kind: Kind, start: StartActivity, start_program: StartProgram
) -> None:
    activity = start(kind)
    activity.next_attempt()
    assert isinstance(activity, WorkflowActivity | StandaloneActivity)
    ids = ["--activity-id", activity.id, "--run-id", activity.run_id or ""]
    if isinstance(activity, WorkflowActivity):
        ids += ["--workflow-id", activity.workflow_id]
    show = ["--", "sh", "-c", 'echo "$TEMPORAL_ACTIVITY_ID $TEMPORAL_ACTIVITY_ATTEMPT"']
    other = start_program("exec", *ids, "--attempt", "2", *show)
    assert other.rest() == b""
    # An earlier attempt in the server's answer proves nothing, because the answer may be out of date.
    assert other.ends() == UNAVAILABLE, other.errors()
    running = start_program("exec", *ids, "--attempt", "1", "--result", "output", *show)
    assert running.ends() == 0, running.errors()
    assert activity.result() == f"{activity.id} 1"


def test_help_lists_the_exit_codes(start_program: StartProgram) -> None:
    for arguments in (["--help"], ["exec", "--help"]):
        running = start_program(*arguments)
        help = running.rest().decode()
        assert running.ends() == 0
        assert re.search(r"^ +76 ", help, re.MULTILINE)
        assert "THB_" not in help
