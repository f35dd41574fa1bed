"""The attempt's times in a parent's hand-off are hints for `exec`: they end no command that the server lets run."""

import signal
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.exceptions import TimeoutError, TimeoutType

from harness.activities import Kind
from harness.fixtures import StartActivity
from harness.program import Exec

GONE = 76

PASSED = "the deadline of the attempt has passed"


def until(file: Path) -> str:
    """Returns a command that waits for a file."""
    return f"while ! [ -e '{file}' ]; do sleep 0.05; done"


def test_attempt_that_an_operator_extends_runs_to_its_end(kind: Kind, start: StartActivity, execute: Exec) -> None:
    activity = start(kind, start_to_close_ms=2_000, maximum_attempts=1)
    attempt = activity.next_attempt()
    activity.change_timeouts(start_to_close_timeout=timedelta(minutes=1))
    # The command outlasts the deadline that was handed over.
    running = execute(attempt, command="sleep 4", variables={"TEMPORAL_ACTIVITY_DEADLINE_MS": "2000"})
    assert running.ends() == 0
    assert PASSED not in running.errors(), "the server has another deadline"
    assert activity.result() == 0


@pytest.mark.parametrize("heartbeat_timeout_ms", [2_000, 60_000])
def test_parent_with_a_clock_that_is_ahead_stops_no_command(
    heartbeat_timeout_ms: int, kind: Kind, start: StartActivity, execute: Exec, tmp_path: Path
) -> None:
    """By the parent's clock the attempt started an hour ago, which is longer than both timeouts."""
    go = tmp_path / "go"
    activity = start(kind, heartbeat_timeout_ms=heartbeat_timeout_ms, maximum_attempts=1)
    times = {"HEARTBEAT_TIMEOUT_MS": str(heartbeat_timeout_ms), "AGE_MS": "3600010", "DEADLINE_MS": "0"}
    running = execute(
        activity.next_attempt(),
        command=until(go),
        variables={f"TEMPORAL_ACTIVITY_{name}": text for name, text in times.items()},
    )
    running.says(PASSED)
    go.touch()
    assert running.ends() == 0
    assert activity.result() == 0
    assert running.errors().count(PASSED) == 1
    assert "is being stopped" not in running.errors()


def test_deadline_that_the_server_confirms_is_named_and_stops_nothing(start: StartActivity, execute: Exec) -> None:
    """While it is paused, the server doesn't end the attempt at its deadline."""
    activity = start("workflow", start_to_close_ms=2_000, maximum_attempts=1)
    attempt = activity.next_attempt()
    activity.pause()
    variables = {"TEMPORAL_ACTIVITY_DEADLINE_MS": "1000"}
    running = execute(attempt, command="echo ready; sleep 1000", variables=variables)
    assert running.line() == "ready"
    running.says(PASSED)
    assert "is being stopped" not in running.errors()
    running.kill(signal.SIGTERM)
    assert running.ends() == 128 + signal.SIGTERM


def test_command_is_stopped_when_the_server_has_ended_the_attempt(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow", start_to_close_ms=2_000, maximum_attempts=1)
    running = execute(
        activity.next_attempt(),
        command="trap 'echo stopped; exit 3' TERM; echo ready; while true; do sleep 0.05; done",
        variables={"TEMPORAL_ACTIVITY_DEADLINE_MS": "2000"},
    )
    assert [running.line(), running.line()] == ["ready", "stopped"]
    assert running.ends() == GONE
    error = activity.failure()
    assert isinstance(error, TimeoutError)
    assert error.type == TimeoutType.START_TO_CLOSE
