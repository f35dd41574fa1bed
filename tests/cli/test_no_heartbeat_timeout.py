"""Without a heartbeat timeout the server doesn't notice a dead process. The user gets a warning, once."""

import signal

import pytest

from harness.activities import Kind
from harness.fixtures import StartActivity
from harness.program import Exec

WARNING = "it has no heartbeat timeout"


@pytest.mark.parametrize("variables", [{}, {"TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS": ""}], ids=["alone", "details"])
def test_exec_warns_once(variables: dict[str, str], kind: Kind, start: StartActivity, execute: Exec) -> None:
    activity = start(kind, heartbeat_timeout_ms=0)
    running = execute(activity.next_attempt(), "--cancel-poll", "100ms", command="sleep 1000", variables=variables)
    running.says(WARNING)
    running.kill(signal.SIGTERM)
    running.ends()
    assert running.errors().count(WARNING) == 1


def test_exec_does_not_warn_with_a_heartbeat_timeout(start: StartActivity, execute: Exec) -> None:
    running = execute(start("workflow").next_attempt(), command="exit 0", variables={"THB_LOG": "warn"})
    assert running.ends() == 0
    assert WARNING not in running.errors()


def test_log_has_a_warning(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow", heartbeat_timeout_ms=0)
    running = execute(activity.next_attempt(), "--quiet", command="exit 0", variables={"THB_LOG": "warn"})
    assert running.ends() == 0
    [line] = [line for line in running.errors().splitlines() if WARNING in line]
    assert " WARN " in line
    assert " no_heartbeat_timeout: " in line
