"""SIGTERM to `exec`, as from Kubernetes: the attempt ends in time, even if the command ignores signals or hangs."""

import os
import signal
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError

from harness.activities import Kind
from harness.fixtures import StartActivity
from harness.polling import wait_until
from harness.program import Exec, is_alive
from harness.proxy import Proxy

# Prints its process id, records progress, and doesn't end.
DEAF = "trap '' TERM; echo $$; echo '{\"item\": 41}'; while true; do sleep 0.05; done"


def test_command_that_ignores_sigterm_is_killed_and_its_progress_is_kept(
    kind: Kind, start: StartActivity, execute: Exec
) -> None:
    activity = start(kind)
    running = execute(activity.next_attempt(), "--grace", "300ms", "--progress-json", command=DEAF)
    child = int(running.line())
    running.line()
    running.kill(signal.SIGTERM)
    assert running.ends() == 128 + signal.SIGKILL
    assert not is_alive(child)
    assert "SIGTERM is forwarded to the command, which is killed after 300ms (--grace)" in running.errors()
    assert activity.next_attempt().details == [{"item": 41}]


def test_failure_says_that_the_command_was_terminated(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow", maximum_attempts=1)
    running = execute(activity.next_attempt(), "--grace", "300ms", command=DEAF)
    running.line()
    running.kill(signal.SIGTERM)
    running.ends()
    error = activity.failure()
    assert isinstance(error, ApplicationError)
    assert error.type == "Terminated"
    assert not error.non_retryable
    assert "SIGTERM" in error.message


def test_frozen_command_receives_sigterm(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow", maximum_attempts=1)
    script = "trap 'echo stopping; exit 7' TERM; echo $$; kill -STOP $$; while true; do sleep 0.05; done"
    running = execute(activity.next_attempt(), command=script)
    running.line()
    running.kill(signal.SIGTERM)
    assert running.line() == "stopping"
    assert running.ends() == 7


def test_sigterm_during_the_report_leaves_time_for_it(
    start: StartActivity, execute: Exec, proxy: Proxy, tmp_path: Path
) -> None:
    activity = start("workflow")
    script = f"echo $$; until [ -e {tmp_path}/go ]; do sleep 0.05; done"
    running = execute(activity.next_attempt(), command=script, variables={"TEMPORAL_ADDRESS": proxy.address})
    child = int(running.line())
    proxy.become_a_black_hole()
    (tmp_path / "go").touch()
    wait_until(lambda: not is_alive(child), "the command has ended")
    running.kill(signal.SIGTERM)
    proxy.heal()
    assert running.ends() == 0
    assert activity.result() == 0


@pytest.mark.skipif(os.environ.get("THB_SLOW") != "1", reason="make check-slow")
def test_terminated_exec_exits_in_time_without_a_server(start: StartActivity, execute: Exec, proxy: Proxy) -> None:
    activity = start("workflow")
    address = {"TEMPORAL_ADDRESS": proxy.address}
    running = execute(activity.next_attempt(), "--grace", "300ms", command=DEAF, variables=address)
    running.line()
    proxy.become_a_black_hole()
    running.kill(signal.SIGTERM)
    running.process.wait(20)
    running.says("couldn't be reported to the server")
