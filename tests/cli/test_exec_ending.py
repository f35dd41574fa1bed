"""`exec` reports the command's outcome as the outcome of the activity."""

import json
import re
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError

from harness.activities import ExternalActivity, Kind
from harness.fixtures import StartActivity
from harness.program import Exec

LIMIT = 2 * 1024 * 1024

# The number of bytes that a list of one value adds to the value. The test uses it to reach the server's limit exactly.
OVERHEAD = 34

ONCE = {"maximum_attempts": 1}

# The line that `exec` prints at its end.
END = r"temporal-heartbeat: \w+, attempt 1, after [\d.]+m?s: reported as {}\n"


def failure(activity: ExternalActivity) -> ApplicationError:
    error = activity.failure()
    assert isinstance(error, ApplicationError), repr(error)
    return error


def test_successful_command_completes_the_activity(kind: Kind, start: StartActivity, execute: Exec) -> None:
    activity = start(kind)
    running = execute(activity.next_attempt(), command=["sleep", "0.2"])
    assert running.ends() == 0
    assert activity.result() == 0
    assert re.fullmatch(END.format("completed with the exit code 0 as its result"), running.errors())


@pytest.mark.parametrize(
    ("script", "code", "type", "detail"),
    [
        ("echo first >&2; echo 'the disk is full' >&2; exit 3", 3, "ExitCode", {"exit_code": 3, "signal": None}),
        ("kill -TERM $$", 143, "Signal", {"exit_code": None, "signal": 15}),
        ("ulimit -c 0; kill -SEGV $$", 139, "Signal", {"exit_code": None, "signal": 11}),
    ],
)
def test_failing_command_fails_the_attempt(
    script: str, code: int, type: str, detail: object, start: StartActivity, execute: Exec
) -> None:
    activity = start("workflow", **ONCE)
    running = execute(activity.next_attempt(), command=script)
    assert running.ends() == code
    error = failure(activity)
    assert error.type == type
    assert {key: error.details[0][key] for key in ("exit_code", "signal")} == detail
    if "TERM" in script:
        assert error.message == "sh was ended by SIGTERM"
    if code == 3:
        assert error.message == "sh exited with code 3: the disk is full"
        assert error.details[0]["stderr"] == "first\nthe disk is full"
        assert "the disk is full" in running.errors()


def test_failed_attempt_is_retried_unless_its_exit_code_is_final(start: StartActivity, execute: Exec) -> None:
    activity = start("standalone")
    assert execute(activity.next_attempt(), "--non-retryable-codes", "2,64-78", command="exit 3").ends() == 3
    assert execute(activity.next_attempt(), "--non-retryable-codes", "2,64-78", command="exit 70").ends() == 70
    error = failure(activity)
    assert error.non_retryable
    assert error.message == "sh exited with code 70"


def test_other_exit_codes_can_be_success(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow")
    assert execute(activity.next_attempt(), "--success-codes", "0,3-4", command="exit 4").ends() == 4
    assert activity.result() == 4


@pytest.mark.parametrize(
    ("flags", "script", "result"),
    [
        (["--result", "output"], "echo one; echo two", "one\ntwo"),
        (["--result", "output"], r"printf 'caf\303\251'", "café"),
        (["--result", "output"], r"printf '\377\000\n'", b"\xff\0\n"),
        (["--result", "bytes"], "echo one", b"one\n"),
        (["--result", "json"], """echo '{"rows": 1200}'""", {"rows": 1200}),
        (["--result", "none"], "echo one", None),
    ],
)
def test_output_can_be_the_result(
    flags: list[str], script: str, result: object, start: StartActivity, execute: Exec
) -> None:
    activity = start("workflow")
    running = execute(activity.next_attempt(), *flags, command=script)
    assert running.ends() == 0
    assert activity.result() == result


def test_result_can_be_read_from_a_file(start: StartActivity, execute: Exec, tmp_path: object) -> None:
    file = f"{tmp_path}/result"
    for content, result in (('[1, "two"]', [1, "two"]), ("no JSON", b"no JSON")):
        activity = start("standalone")
        attempt = activity.next_attempt()
        assert execute(attempt, "--result-file", file, command=f"printf '%s' '{content}' > {file}").ends() == 0
        assert activity.result() == result


def test_result_of_an_earlier_run_is_not_taken(start: StartActivity, execute: Exec, tmp_path: Path) -> None:
    file = tmp_path / "result"
    file.write_text("41")
    activity = start("workflow")
    assert execute(activity.next_attempt(), "--result-file", str(file), command="exit 0").ends() == 0
    error = failure(activity)
    assert (error.type, error.non_retryable) == ("InvalidResult", True)
    assert "didn't write" in error.message


def test_result_of_another_format_is_a_final_failure(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow")
    assert execute(activity.next_attempt(), "--result", "json", command="echo not JSON").ends() == 0
    error = failure(activity)
    assert (error.type, error.non_retryable) == ("InvalidResult", True)


def test_binary_output_passes_through_unchanged(start: StartActivity, execute: Exec) -> None:
    every_byte = bytes(range(256)) * 4096
    activity = start("workflow")
    running = execute(
        activity.next_attempt(),
        "--progress-json",
        command=["python3", "-c", "import sys; sys.stdout.buffer.write(bytes(range(256)) * 4096)"],
    )
    assert running.rest() == every_byte
    assert running.ends() == 0


def test_result_at_the_limit_passes_and_one_byte_more_fails_with_its_reason(
    start: StartActivity, execute: Exec
) -> None:
    write = "head -c {} /dev/zero"
    activity = start("workflow")
    passes = LIMIT - OVERHEAD
    running = execute(activity.next_attempt(), "--result", "bytes", command=write.format(passes))
    assert len(running.rest()) == passes
    assert running.ends() == 0
    assert activity.result() == bytes(passes)
    for size in (passes + 1, 6 * 1024 * 1024):
        activity = start("standalone")
        running = execute(activity.next_attempt(), "--result", "bytes", command=write.format(size))
        assert len(running.rest()) == size
        assert running.ends() == 0
        error = failure(activity)
        assert (error.type, error.non_retryable) == ("ResultTooLarge", True)
        assert "elsewhere" in error.message


def test_outcome_is_printed_as_json(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow", **ONCE)
    running = execute(activity.next_attempt(), "-o", "json", command="exit 3")
    assert running.ends() == 3
    told = json.loads(running.errors())
    assert (told["event"], told["ending"], told["exit_code"]) == ("ended", "failed", 3)
    assert told["error"] is None
