"""`exec` stops a hung command so that it is retried, leaves a working one alone, and waits for an absent server."""

import re
import signal
import subprocess
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError

from harness.fixtures import StartActivity
from harness.polling import wait_until
from harness.program import Exec
from harness.proxy import Proxy
from harness.server import Server

UNAVAILABLE, GONE = 69, 76

# Each command shows activity for longer than the timeout, and then hangs.
HANGS = {
    "output": "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.2; done; sleep 1000",
    "file": "for i in 1 2 3 4 5 6 7 8; do echo $i >> {file}; sleep 0.2; done; sleep 1000",
    "cpu": "timeout 1.6 sh -c 'while :; do :; done'; sleep 1000",
    "progress": "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.2; done; while :; do echo still here; sleep 0.1; done",
}


@pytest.mark.parametrize("sign", HANGS)
def test_command_that_hangs_is_retried(sign: str, start: StartActivity, execute: Exec, tmp_path: Path) -> None:
    file = str(tmp_path / "file")
    flags = ["--stall-timeout", "1200ms", "--stall-by", sign, "--grace", "500ms"]
    flags += {"file": ["--stall-file", file], "progress": ["--progress-json"]}.get(sign, [])
    activity = start("workflow", maximum_attempts=2)
    running = execute(activity.next_attempt(), *flags, command="date +%s.%N; " + HANGS[sign].replace("{file}", file))
    running.line()
    assert running.ends() == 128 + signal.SIGTERM
    assert re.search(r"no sign of life \(.+\) for 1\.[2-9]s; --stall-timeout is 1\.2s", running.errors())
    second = execute(activity.next_attempt(), *flags, command="sleep 1000")
    assert second.ends() == 128 + signal.SIGTERM
    error = activity.failure()
    assert isinstance(error, ApplicationError)
    assert error.type == "Stalled"


def test_command_that_waits_is_left_alone_without_a_stall_timeout(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow", heartbeat_timeout_ms=3_000)
    running = execute(activity.next_attempt(), command="sleep 4.5")
    assert running.ends() == 0
    assert activity.result() == 0


# ---- the server is unreachable ----


def test_absent_server_for_half_a_lease_has_no_effect(start: StartActivity, execute: Exec, server: Server) -> None:
    activity = start("workflow", heartbeat_timeout_ms=6_000)
    with Proxy(server.port) as up:
        attempt = activity.next_attempt()
        running = execute(attempt, "--address", up.address, command="echo ready; sleep 4")
        running.line()
    with pytest.raises(subprocess.TimeoutExpired):
        running.process.wait(3.0)
    with Proxy(server.port, up.port):
        assert running.ends() == 0
        assert "reported as completed" in running.errors()
        assert running.errors().count("\n") == 1
        assert activity.result() == 0


def test_absent_server_for_two_leases_stops_the_command(start: StartActivity, execute: Exec, server: Server) -> None:
    activity = start("workflow", heartbeat_timeout_ms=3_000)
    attempt = activity.next_attempt()
    with Proxy(server.port) as up:
        running = execute(attempt, "--address", up.address, "--end-timeout", "20s", command="echo ready; sleep 1000")
        running.line()
    running.says("no heartbeat got through for as long as the heartbeat timeout")
    why = r"the server acknowledges no heartbeat, the last one [\d.]+s ago; the heartbeat timeout is 3s: \w+"
    assert re.search(why, running.errors())
    activity.next_attempt()
    with Proxy(server.port, up.port):
        assert running.ends() == GONE
        assert "couldn't be reported to the server" in running.errors()


def test_lost_lease_can_be_ignored(start: StartActivity, execute: Exec, server: Server) -> None:
    activity = start("workflow", heartbeat_timeout_ms=3_000)
    attempt = activity.next_attempt()
    flags = ["--on-lease-lost", "ignore"]
    with Proxy(server.port) as up:
        running = execute(attempt, "--address", up.address, *flags, command="echo ready; sleep 1000")
        running.line()
    activity.next_attempt()
    assert running.process.poll() is None
    with Proxy(server.port, up.port):
        running.says("the activity is over for this attempt")
        assert running.ends() == GONE


def test_outcome_is_reported_when_the_server_is_back(
    start: StartActivity, execute: Exec, server: Server, tmp_path: Path
) -> None:
    activity = start("workflow")
    with Proxy(server.port) as up:
        attempt = activity.next_attempt()
        command = f"echo ready; until test -e {tmp_path}/go; do sleep 0.05; done"
        running = execute(attempt, "--address", up.address, command=command)
        running.line()
    (tmp_path / "go").touch()
    running.says("the server hasn't acknowledged the end yet; retrying for up to 5m (--end-timeout)")
    assert running.process.poll() is None
    with Proxy(server.port, up.port):
        assert running.ends() == 0
        assert activity.result() == 0


def test_outcome_that_is_not_reported_in_time_is_an_error(
    start: StartActivity, execute: Exec, server: Server, tmp_path: Path
) -> None:
    activity = start("workflow")
    with Proxy(server.port) as up:
        running = execute(
            activity.next_attempt(),
            "--address",
            up.address,
            "--end-timeout",
            "500ms",
            command=f"echo ready; until test -e {tmp_path}/go; do sleep 0.05; done",
        )
        running.line()
    (tmp_path / "go").touch()
    assert running.ends() == UNAVAILABLE
    assert "couldn't be reported to the server" in running.errors()


def test_signal_ends_the_wait_for_an_absent_server(
    start: StartActivity, execute: Exec, server: Server, tmp_path: Path
) -> None:
    activity = start("workflow")
    with Proxy(server.port) as up:
        command = f"echo $$; until test -e {tmp_path}/go; do sleep 0.05; done"
        running = execute(activity.next_attempt(), "--address", up.address, command=command)
        child = int(running.line())
    (tmp_path / "go").touch()
    wait_until(lambda: not Path(f"/proc/{child}").exists(), "the command has ended")
    running.kill(signal.SIGTERM)
    # UNAVAILABLE: the signal came before the program had seen the end of the command.
    assert running.ends() in (-signal.SIGTERM, UNAVAILABLE)
