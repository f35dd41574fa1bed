"""Cancellation, pause, reset and signals reach the command. Neither it nor its children outlive `exec`."""

import os
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError, CancelledError

from harness.activities import Kind
from harness.fixtures import StartActivity
from harness.polling import wait_until
from harness.program import Exec, StartProgram, encoded, is_alive

GONE = 76

# A short poll interval: the server doesn't push a pause or a reset of a workflow's activity.
OFTEN = ("--cancel-poll", "200ms")

# Only a long poll shows a cancellation before the next heartbeat, after 48 s.
HEARTBEAT_TIMEOUT_MS = 60_000
FOLLOWING = ("--cancel-poll", "60s")
AT_ONCE_S = 20.0

# Prints its process id when its trap is set, and works until it is stopped.
WORKS = "trap 'echo stopping; exit 7' TERM; echo $$; while true; do sleep 0.05; done"
# These two start no further process: a shell in the middle of vfork can't be frozen before its new process runs.
WAITS = "trap 'echo stopping; exit 7' TERM; sleep 1000 & echo $$; wait"
TALKS = "echo $$; (while true; do echo; sleep 0.05; done) & wait"
DEAF = "trap '' TERM; echo $$; while true; do sleep 0.05; done"


def test_cancellation_stops_the_command_and_is_reported(kind: Kind, start: StartActivity, execute: Exec) -> None:
    activity = start(kind)
    running = execute(activity.next_attempt(), *OFTEN, command=WORKS)
    running.line()
    activity.request_cancel()
    assert running.line() == "stopping"
    assert running.ends() == 7
    assert isinstance(activity.failure(), CancelledError)
    assert "the activity was cancelled" in running.errors()


def test_cancellation_reaches_the_command_at_once_with_its_reason(
    kind: Kind, start: StartActivity, execute: Exec
) -> None:
    activity = start(kind, heartbeat_timeout_ms=HEARTBEAT_TIMEOUT_MS)
    running = execute(activity.next_attempt(), *FOLLOWING, command=WORKS)
    running.line()
    requested = time.monotonic()
    activity.request_cancel("too expensive")
    assert running.line() == "stopping"
    assert time.monotonic() - requested < AT_ONCE_S
    assert running.ends() == 7
    assert "is being stopped: the activity was cancelled: too expensive" in running.errors()
    assert "reported as cancelled: too expensive" in running.errors()
    failure = activity.failure()
    assert isinstance(failure, CancelledError)
    [details] = failure.details
    assert details["cancel_reason"] == "too expensive"


def test_reason_of_a_cancellation_before_the_start_is_named(start: StartActivity, execute: Exec) -> None:
    activity = start("standalone")
    attempt = activity.next_attempt()
    activity.request_cancel("too late")
    running = execute(attempt, command="true")
    assert running.ends() == 10
    assert "cancellation was requested before the command was started: too late" in running.errors()


def test_reason_of_a_pause_is_named(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow", heartbeat_timeout_ms=2_000)
    running = execute(activity.next_attempt(), command=WAITS)
    running.line()
    activity.pause("maintenance")
    running.says("paused: maintenance (by ")
    running.kill(signal.SIGTERM)
    assert running.ends() == 7


def test_heartbeats_show_a_cancellation_without_long_polls(start: StartActivity, execute: Exec) -> None:
    activity = start("standalone", heartbeat_timeout_ms=HEARTBEAT_TIMEOUT_MS)
    running = execute(activity.next_attempt(), "--follow-server", "never", *OFTEN, command=WORKS)
    running.line()
    activity.request_cancel("unknown")
    assert running.line() == "stopping"
    assert running.ends() == 7
    assert isinstance(activity.failure(), CancelledError)


def test_command_that_ignores_sigterm_is_killed_after_its_grace(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow")
    running = execute(activity.next_attempt(), *OFTEN, "--grace", "300ms", command=DEAF)
    child = int(running.line())
    activity.request_cancel()
    assert running.ends() == 128 + signal.SIGKILL
    assert not is_alive(child)
    assert isinstance(activity.failure(), CancelledError)


def test_cancellation_can_be_ignored(start: StartActivity, execute: Exec, tmp_path: Path) -> None:
    activity = start("workflow")
    flags = (*OFTEN, "--on-cancel", "ignore")
    running = execute(activity.next_attempt(), *flags, command=f"until test -e {tmp_path}/go; do sleep 0.05; done")
    activity.request_cancel()
    running.says("cancellation was requested; the command continues (--on-cancel ignore)")
    (tmp_path / "go").touch()
    assert running.ends() == 0
    assert activity.result() == 0


@pytest.mark.parametrize("name", ["INT", "USR1"])
def test_stop_signal_can_be_chosen(name: str, start: StartActivity, execute: Exec) -> None:
    activity = start("standalone")
    script = f"trap 'echo got {name}; exit 0' {name}; echo ready; while true; do sleep 0.05; done"
    running = execute(activity.next_attempt(), *OFTEN, "--stop-signal", name, command=script)
    running.line()
    activity.request_cancel()
    assert running.line() == f"got {name}"
    assert running.ends() == 0
    assert isinstance(activity.failure(), CancelledError)


def test_pause_freezes_the_command_and_not_the_heartbeats(kind: Kind, start: StartActivity, execute: Exec) -> None:
    """The pause is longer than the heartbeat timeout, so the attempt would time out without a pulse."""
    activity = start(kind, heartbeat_timeout_ms=2_000)
    flags = (*OFTEN, "--on-pause", "freeze", "--stall-timeout", "1s", "--stall-by", "output")
    running = execute(activity.next_attempt(), *flags, command=TALKS)
    child = int(running.line())
    activity.pause()
    running.says("the activity is paused; the command is frozen (--on-pause freeze)")
    wait_until(lambda: state(child) == "T", "the command is frozen")
    with pytest.raises(subprocess.TimeoutExpired):
        running.process.wait(3.0)
    assert state(child) == "T"
    activity.unpause()
    running.says("the activity is no longer paused; the command continues")
    wait_until(lambda: state(child) in "RS", "the command continues")
    running.kill(signal.SIGTERM)
    assert running.ends() == 128 + signal.SIGTERM


def test_reset_stops_the_attempt_and_the_next_one_starts(kind: Kind, start: StartActivity, execute: Exec) -> None:
    activity = start(kind)
    running = execute(activity.next_attempt(), *OFTEN, command=WORKS)
    running.line()
    activity.reset()
    assert running.line() == "stopping"
    assert running.ends() == 7
    assert execute(activity.next_attempt(), command="true").ends() == 0
    assert activity.result() == 0


def test_ended_activity_stops_the_command_and_nothing_is_reported(
    kind: Kind, start: StartActivity, execute: Exec
) -> None:
    activity = start(kind)
    running = execute(activity.next_attempt(), *OFTEN, command=WORKS)
    running.line()
    activity.terminate()
    assert running.line() == "stopping"
    assert running.ends() == GONE
    assert "nothing reported, because the activity is over for this attempt" in running.errors()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_to_exec_are_forwarded_to_the_command(
    number: signal.Signals, start: StartActivity, execute: Exec
) -> None:
    activity = start("standalone", maximum_attempts=1)
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo got {name}; exit 5' {name}; echo ready; while true; do sleep 0.05; done"
    running = execute(activity.next_attempt(), command=script)
    running.line()
    running.kill(number)
    assert running.line() == f"got {name}"
    assert running.ends() == 5
    assert isinstance(activity.failure(), ApplicationError)


def test_stop_from_a_terminal_freezes_the_command_and_not_the_heartbeats(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow", heartbeat_timeout_ms=3_000)
    running = execute(activity.next_attempt(), command=WAITS)
    child = int(running.line())
    running.kill(signal.SIGTSTP)
    wait_until(lambda: state(child) == "T", "the command is frozen")
    with pytest.raises(subprocess.TimeoutExpired):
        running.process.wait(4.5)  # longer than the heartbeat timeout
    running.kill(signal.SIGCONT)
    wait_until(lambda: state(child) in "RS", "the command continues")
    running.kill(signal.SIGTERM)
    assert running.ends() == 7


# ---- never lost ----

# The command and a grandchild print their process ids and keep running.
FAMILY = "sh -c 'echo $$; sleep 1000' & echo $$; echo item 41; wait"


def test_remaining_grandchildren_are_killed(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow")
    running = execute(activity.next_attempt(), "--progress-json", command="sleep 1000 & echo $!; exit 0")
    grandchild = int(running.line())
    assert running.ends() == 0
    assert not is_alive(grandchild)
    assert activity.result() == 0


def test_grandchild_outside_the_process_group_does_not_delay_the_exit(start: StartActivity, execute: Exec) -> None:
    activity = start("standalone")
    running = execute(activity.next_attempt(), "--result", "output", command="setsid sleep 1000 & echo $!; exit 0")
    grandchild = int(running.line())
    try:
        assert running.ends() == 0
        assert activity.result() == str(grandchild)
    finally:
        os.kill(grandchild, signal.SIGKILL)


def test_command_dies_with_exec_and_the_retry_resumes(kind: Kind, start: StartActivity, execute: Exec) -> None:
    activity = start(kind, heartbeat_timeout_ms=2_000)
    flags = ("--progress-pattern", r"^item (\d+)", "--result", "output")
    first = execute(activity.next_attempt(), *flags, command=FAMILY)
    said = [first.line() for _ in range(3)]
    members = [int(pid) for pid in said if pid.isdigit()]
    assert all(map(is_alive, members))
    wait_until(lambda: activity.heartbeat_details() == [41], "the progress is recorded")
    first.kill()
    wait_until(lambda: not any(map(is_alive, members)), "the command and its grandchild die with exec")
    second = execute(activity.next_attempt(), *flags, command='echo "$TEMPORAL_ACTIVITY_DETAILS_JSON"')
    assert second.ends() == 0
    assert activity.result() == "41"


def test_files_die_with_exec(start: StartActivity, execute: Exec, start_program: StartProgram) -> None:
    attempt = start("workflow").next_attempt()
    token = {"TEMPORAL_ACTIVITY_TASK_TOKEN": encoded(attempt.token)}
    assert start_program("heartbeat", "41", variables=token).ends() == 0
    running = execute(attempt, command='echo "$TEMPORAL_ACTIVITY_DETAILS_FILE"; sleep 1000')
    file = Path(running.line())
    assert file.read_text() == "41"
    assert file.parent.stat().st_mode & 0o777 == 0o700
    running.kill()
    wait_until(lambda: not file.parent.exists(), "the temporary directory is removed")


def test_command_dies_with_exec_at_any_moment(start: StartActivity, execute: Exec) -> None:
    """Kills `exec` after different times, including the moment at which the command starts."""
    activity = start("workflow", heartbeat_timeout_ms=60_000)
    attempt = activity.next_attempt()
    mark = f"1000.{os.getpid()}"
    for tick in range(12):
        running = execute(attempt, command=["sleep", mark])
        guardian = guardian_of(running.pid)
        # The delays cover the duration of a start on slow and fast machines.
        with pytest.raises(subprocess.TimeoutExpired):
            running.process.wait(tick * 0.004)
        running.kill()
        running.ends()
        wait_until(partial(is_dead, guardian), "the guardian has exited")
        wait_until(lambda: not running_with(mark), "the command is dead")


def is_dead(pid: int) -> bool:
    return not is_alive(pid)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def children(pid: int) -> list[int]:
    """Returns the processes that the main thread has started. The first one is the guardian."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def guardian_of(pid: int) -> int:
    wait_until(lambda: bool(children(pid)) and guards(children(pid)[0]), "exec has started its guardian")
    return children(pid)[0]


def guards(pid: int) -> bool:
    try:
        return b"guard" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def running_with(word: str) -> bool:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:1] == [b"sleep"] and word.encode() in words and is_alive(int(process.name)):
            return True
    return False
