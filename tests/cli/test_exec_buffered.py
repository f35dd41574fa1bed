"""Programs buffer their output to a pipe, up to some kilobytes. `exec` needs each line at once."""

import hashlib
import signal
from pathlib import Path

from temporalio.exceptions import ApplicationError

from harness.fixtures import StartActivity
from harness.polling import wait_until
from harness.program import Exec

# Prints one line, and keeps running.
STEP = ["python3", "-c", "import time; print('step\t1'); time.sleep(1000)"]
STEPS = ("--cancel-poll", "200ms", "--progress-pattern", r"step\t(\d+)")
# Makes Python buffer its output, as other programs do.
BUFFERED = {"PYTHONUNBUFFERED": ""}


def test_progress_of_python_is_seen_at_once(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow")
    running = execute(activity.next_attempt(), *STEPS, command=STEP)
    wait_until(lambda: activity.heartbeat_details() == [1], "the progress is recorded")
    running.kill(signal.SIGTERM)
    running.ends()


def test_pseudo_terminal_shows_progress_at_once_and_changes_no_byte(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow")
    running = execute(activity.next_attempt(), *STEPS, "--pty", command=STEP, variables=BUFFERED)
    wait_until(lambda: activity.heartbeat_details() == [1], "the progress is recorded")
    running.kill(signal.SIGTERM)
    running.ends()
    assert running.rest() == b"step\t1\n"


def test_pseudo_terminal_passes_a_large_result(start: StartActivity, execute: Exec, tmp_path: Path) -> None:
    activity = start("workflow")
    data = bytes(range(256)) * 4096
    (tmp_path / "data").write_bytes(data)
    running = execute(activity.next_attempt(), "--result", "bytes", "--pty", command=f"cat {tmp_path}/data; test -t 1")
    assert running.rest() == data
    assert running.ends() == 0
    assert hashlib.sha256(activity.result()).digest() == hashlib.sha256(data).digest()


def test_work_whose_output_is_held_back_is_reported_before_it_is_stopped(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow", maximum_attempts=1)
    flags = [*STEPS, "--stall-timeout", "2s"]
    running = execute(activity.next_attempt(), *flags, command=STEP, variables=BUFFERED)
    running.says("no line has matched --progress-pattern yet")
    assert running.process.poll() is None
    running.ends()
    error = activity.failure()
    assert isinstance(error, ApplicationError)
    assert error.type == "Stalled"
    assert "--pty" in error.message


def test_pattern_that_never_matched_is_reported(start: StartActivity, execute: Exec) -> None:
    running = execute(start("workflow").next_attempt(), *STEPS, command="echo step")
    assert running.ends() == 0
    assert "no line has matched --progress-pattern\n" in running.errors()


def test_progress_file_that_never_existed_is_reported(start: StartActivity, execute: Exec, tmp_path: Path) -> None:
    running = execute(start("workflow").next_attempt(), "--progress-file", str(tmp_path / "none"), command="exit 0")
    assert running.ends() == 0
    assert f"{tmp_path}/none" in running.errors()
