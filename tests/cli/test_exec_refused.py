"""`exec` fails the attempt if it can't run the command as required here, so that the reason is seen."""

from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError

from harness.activities import ExternalActivity
from harness.fixtures import StartActivity
from harness.program import Exec, StartProgram, encoded

CONFIG, LOCAL_LIMIT = 66, 80

REQUIRED = {"TEMPORAL_ACTIVITY_REQUIRE_ENCODED": "true"}


def failure(activity: ExternalActivity) -> ApplicationError:
    error = activity.failure()
    assert isinstance(error, ApplicationError), repr(error)
    return error


# ---- values that must be encoded ----


@pytest.mark.parametrize("flags", [[], ["--result", "output"], ["--result", "none", "--progress-json"]])
def test_readable_value_is_refused_before_the_command_starts(
    flags: list[str], start: StartActivity, execute: Exec
) -> None:
    activity = start("workflow", maximum_attempts=1)
    running = execute(activity.next_attempt(), *flags, command="echo started", variables=REQUIRED)
    assert running.rest() == b""
    assert running.ends() == CONFIG
    assert "--result none" in running.errors()
    error = failure(activity)
    assert "--result none" in error.message
    assert not error.non_retryable


def test_command_without_readable_values_completes(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow")
    flags = ["--result", "none"]
    assert execute(activity.next_attempt(), *flags, command="exit 0", variables=REQUIRED).ends() == 0
    assert activity.result() is None


def test_failure_is_reported_without_details(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow", maximum_attempts=1)
    running = execute(
        activity.next_attempt(), "--result", "none", command="echo secret >&2; exit 3", variables=REQUIRED
    )
    assert running.ends() == 3
    error = failure(activity)
    assert error.type == "ExitCode"
    assert error.message == "sh exited with code 3"
    assert not error.details


def test_worker_that_cannot_encode_takes_no_task(start_program: StartProgram) -> None:
    running = start_program("work", "-t", "any", "--require-encoded", "--", "true")
    assert running.ends() == CONFIG
    assert "--result none" in running.errors()


# ---- no directory for temporary files ----


def no_directory(path: Path) -> dict[str, str]:
    return {"TMPDIR": str(path / "missing")}


def test_command_without_details_needs_no_directory(start: StartActivity, execute: Exec, tmp_path: Path) -> None:
    activity = start("workflow")
    assert execute(activity.next_attempt(), command="exit 0", variables=no_directory(tmp_path)).ends() == 0
    assert activity.result() == 0


def test_attempt_fails_if_its_details_cannot_be_written(
    start: StartActivity, execute: Exec, start_program: StartProgram, tmp_path: Path
) -> None:
    activity = start("workflow", maximum_attempts=1)
    attempt = activity.next_attempt()
    token = {"TEMPORAL_ACTIVITY_TASK_TOKEN": encoded(attempt.token)}
    assert start_program("heartbeat", "41", variables=token).ends() == 0
    running = execute(attempt, command="echo started", variables=no_directory(tmp_path))
    assert running.rest() == b""
    assert running.ends() == LOCAL_LIMIT
    error = failure(activity)
    assert error.type == "CommandNotStarted"
    assert "TMPDIR" in error.message
    assert not error.non_retryable


def test_worker_without_a_directory_takes_no_task(start_program: StartProgram, tmp_path: Path) -> None:
    running = start_program("work", "-t", "any", "--", "true", variables=no_directory(tmp_path))
    assert running.ends() == LOCAL_LIMIT
    assert "TMPDIR" in running.errors()
