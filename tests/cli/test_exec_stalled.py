"""`exec --stall-action`: what a hung command was doing, in the failure or on the standard error."""

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError

from harness.activities import ExternalActivity
from harness.fixtures import StartActivity
from harness.freezer import freezer
from harness.handoff_program import SERVER_TIMEOUT_MS
from harness.network import mount_namespace
from harness.polling import wait_until
from harness.process import SILENCE_LIMIT_S
from harness.program import Exec

ROUNDS = 100 if os.environ.get("THB_SLOW") == "1" else 3

FAIL = ["--stall-timeout", "300ms", "--stall-action", "fail", "--grace", "500ms"]


def stalled(activity: ExternalActivity) -> tuple[str, str]:
    """Returns the message and the stack trace of the failure."""
    error = activity.failure(SILENCE_LIMIT_S)
    assert isinstance(error, ApplicationError)
    assert (error.type, error.non_retryable) == ("Stalled", False)
    assert error.failure
    return error.message, error.failure.stack_trace


@pytest.fixture
def silent_pipe(tmp_path: Path) -> Iterator[Path]:
    """A pipe into which this process could write, but never does."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    yield pipe
    os.close(writer)


def test_pipeline_that_waits_for_input_is_in_the_failure(
    start: StartActivity, execute: Exec, silent_pipe: Path
) -> None:
    for _ in range(ROUNDS):
        activity = start("workflow", maximum_attempts=1, heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
        running = execute(activity.next_attempt(), *FAIL, command=f"cat <{silent_pipe} | sort | wc -l")
        assert running.ends() == 128 + signal.SIGTERM
        message, processes = stalled(activity)
        assert re.search(r"; cat \(pid \d+\) waits for input from a pipe$", message), message
        first, *others = processes.splitlines()
        assert re.search(r"^cat .*: state S, wchan \w*pipe_read, \d\.\d\d s of CPU time$", first), processes
        text = "\n".join(others)
        assert re.search(r"sort \(pid \d+\) waits for output of cat \(pid \d+\)", text), processes
        assert re.search(r"sh \(pid \d+\) waits for a child process", text), processes


def test_process_that_spins_is_in_the_failure(start: StartActivity, execute: Exec) -> None:
    for _ in range(ROUNDS):
        activity = start("workflow", maximum_attempts=1, heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
        command = "sleep 1000 & a_secret=1 sh -c 'while :; do :; done' with an argument"
        running = execute(activity.next_attempt(), *FAIL, command=command, variables={"OTHER": "a_secret"})
        assert running.ends() == 128 + signal.SIGTERM
        message, processes = stalled(activity)
        assert re.search(r"; sh \(pid \d+\) spins \(\d+ % of a core\)$", message), message
        assert re.search(r"^sh \(pid \d+\) spins .*: state R", processes), processes
        assert re.search(r"sleep \(pid \d+\) waits: state S, wchan", processes), processes
        assert "secret" not in processes
        assert "argument" not in processes


def test_output_of_on_stall_is_in_the_failure(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow", maximum_attempts=1)
    dump = r"echo dump of {pid}; cat /proc/{pid}/comm; env | grep -c TASK_TOKEN; printf '\033[2J\n' >&2; exit 3"
    running = execute(activity.next_attempt(), *FAIL, "--on-stall", dump, command="sleep 1000 & wait")
    assert running.ends() == 128 + signal.SIGTERM
    _, report = stalled(activity)
    shown = (
        r"^sleep \(pid (\d+)\) .*\nsh .* waits for a child process.*\n\n"
        r"--on-stall: exit code 3\ndump of \1\nsleep\n0\n\\u\{1b\}\[2J$"
    )
    assert re.search(shown, report), report


def test_sigterm_ends_the_examination(start: StartActivity, execute: Exec, tmp_path: Path) -> None:
    activity = start("workflow", maximum_attempts=1)
    command = "trap 'echo stopped >&2; exit 3' TERM; sleep 1000 & wait"
    dump = f"touch {tmp_path}/began; sleep 1000"
    running = execute(activity.next_attempt(), *FAIL, "--on-stall", dump, command=command)
    wait_until((tmp_path / "began").exists, "the examination")
    running.kill(signal.SIGTERM)
    assert running.ends() == 3
    # After the whole examination it would be Stalled.
    error = activity.failure(SILENCE_LIMIT_S)
    assert isinstance(error, ApplicationError)
    assert (error.type, error.message) == ("ExitCode", "sh exited with code 3: stopped")


def test_command_whose_processes_are_hidden_hangs_too(start: StartActivity, execute: Exec) -> None:
    launcher = mount_namespace()
    activity = start("workflow", maximum_attempts=1)
    command = "mount -t tmpfs none /proc && sleep 1000"
    running = execute(activity.next_attempt(), *FAIL, command=command, launcher=launcher)
    assert running.ends() == 128 + signal.SIGTERM
    message, report = stalled(activity)
    assert "pid" not in message
    assert report == "(/proc shows no process of the command)"


SLOW = pytest.mark.skipif(os.environ.get("THB_SLOW") != "1", reason="make check-slow")


@SLOW
@pytest.mark.parametrize("is_left", [False, True])
def test_on_stall_is_bounded_in_size_and_time(is_left: bool, start: StartActivity, execute: Exec) -> None:
    activity = start("workflow", maximum_attempts=1)
    # The kernel ends `yes` when nothing reads its output any more.
    dump = "setsid yes & sleep 0.1" if is_left else "yes | head -c 100000000; sleep 987654 & wait"
    began = time.monotonic()
    running = execute(activity.next_attempt(), *FAIL, "--on-stall", dump, command="sleep 1000")
    assert running.ends() == 128 + signal.SIGTERM
    assert (time.monotonic() - began > 10) == (not is_left)
    _, report = stalled(activity)
    assert f"--on-stall: {'exit code 0' if is_left else 'it was killed after 10 s'}\ny\ny\n" in report
    assert 24_000 < len(report) < 30_000
    assert not any("987654" in arguments for arguments in arguments_of_processes())


@SLOW
def test_thousand_processes_are_examined_soon(start: StartActivity, execute: Exec, silent_pipe: Path) -> None:
    activity = start("workflow", maximum_attempts=1)
    command = f"i=0; while [ $i -lt 1000 ]; do cat <{silent_pipe} & i=$((i+1)); done; echo started; wait"
    running = execute(activity.next_attempt(), "--stall-timeout", "5s", *FAIL[2:], command=command)
    assert running.line() == "started"
    began = time.monotonic()
    assert running.ends() == 128 + signal.SIGTERM
    assert time.monotonic() - began < 15
    message, report = stalled(activity)
    assert re.search(r"; cat \(pid \d+\) waits for input from a pipe$", message), message
    assert report.endswith("\n(and 937 more processes)")


def arguments_of_processes() -> Iterator[str]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/cmdline") as arguments:
                    yield arguments.read()
            except OSError:
                continue


def test_warning_shows_the_processes_and_lets_the_command_run_on(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow", maximum_attempts=1)
    flags = ["--stall-timeout", "300ms", "--stall-action", "warn", "--result", "output"]
    running = execute(activity.next_attempt(), *flags, command="sleep 2; echo done")
    assert running.ends() == 0
    assert activity.result() == "done"
    assert re.search(r"no sign of life \(no output\) for .*; --stall-timeout is 300ms", running.errors())
    assert re.search(r"^temporal-heartbeat:   sleep \(pid \d+\) waits: state S", running.errors(), re.MULTILINE)


def test_default_reports_nothing(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow", maximum_attempts=1)
    running = execute(activity.next_attempt(), "--stall-timeout", "300ms", command="sleep 1000")
    assert running.ends() == 128 + signal.SIGTERM
    message, stack_trace = stalled(activity)
    assert "pid" not in message
    assert stack_trace == ""


def test_processes_of_an_encrypted_activity_are_left_out(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow", maximum_attempts=1)
    flags = [*FAIL, "--result", "none", "--require-encoded"]
    running = execute(activity.next_attempt(), *flags, command="sleep 1000")
    assert running.ends() == 128 + signal.SIGTERM
    error = activity.failure(SILENCE_LIMIT_S)
    assert isinstance(error, ApplicationError)
    assert "sleep (pid" not in str(error.failure)
    assert not error.details


@contextmanager
def frozen(pid: int, *, group: bool = False) -> Iterator[None]:
    send = os.killpg if group else os.kill
    send(pid, signal.SIGSTOP)
    yield
    send(pid, signal.SIGCONT)


def test_frozen_command_does_not_hang(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow", maximum_attempts=1)
    flags = ["--stall-timeout", "1s", "--stall-action", "fail"]
    running = execute(activity.next_attempt(), *flags, command="echo $$; sleep 0.2; echo $$")
    child = int(running.line())
    with frozen(child, group=True):
        time.sleep(3)
    assert running.ends() == 0, running.errors()
    assert activity.result() == 0


def test_frozen_exec_does_not_blame_its_command(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow", maximum_attempts=1)
    flags = ["--stall-timeout", "2s", "--stall-action", "fail"]
    running = execute(activity.next_attempt(), *flags, command="echo $$; sleep 0.5; echo $$")
    child = int(running.line())
    with frozen(running.pid), frozen(child, group=True):
        time.sleep(4)
    assert running.ends() == 0
    assert activity.result() == 0


@pytest.mark.parametrize("is_exec_frozen", [False, True], ids=["command", "exec and command"])
def test_frozen_container_does_not_hang(is_exec_frozen: bool, start: StartActivity, execute: Exec) -> None:
    activity = start("workflow", maximum_attempts=1)
    flags = ["--stall-timeout", "3s", "--stall-action", "fail"]
    with freezer() as group:
        command = ["sh", "-c", "echo $$; sleep 0.5; echo $$"]
        launcher = group.launcher
        given = {"command": command, "launcher": launcher} if is_exec_frozen else {"command": [*launcher, *command]}
        running = execute(activity.next_attempt(), *flags, **given)
        running.line()
        group.freeze()
        time.sleep(4)
        group.thaw()
        assert running.ends() == 0, running.errors()
    assert activity.result() == 0
