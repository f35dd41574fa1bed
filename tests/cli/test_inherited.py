"""What the program inherits: signals from its parent, and processes when it is process 1 of a container."""

import signal
import subprocess
from pathlib import Path

import pytest

from harness.fixtures import StartActivity
from harness.orphans import ORPHANS, PROCESS_1, SUBREAPER, after
from harness.program import Exec
from harness.requires import missing

IGNORES_SIGCHLD = after("signal.signal(signal.SIGCHLD, signal.SIG_IGN)")
BLOCKS_SIGTERM = after("signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])")


def test_parent_that_ignores_sigchld(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow")
    # The command, too, needs the exit status of its child.
    running = execute(activity.next_attempt(), command="sh -c 'exit 4'; echo $?", launcher=IGNORES_SIGCHLD)
    assert running.line() == "4"
    assert running.ends() == 0
    assert activity.result() == 0


def test_parent_that_blocks_sigterm(start: StartActivity, execute: Exec) -> None:
    script = "trap 'echo stopping; exit 7' TERM; echo ready; while true; do sleep 0.05; done"
    running = execute(start("workflow").next_attempt(), command=script, launcher=BLOCKS_SIGTERM)
    running.line()
    running.kill(signal.SIGTERM)
    assert running.line() == "stopping"
    assert running.ends() == 7


@pytest.mark.parametrize("launcher", [PROCESS_1, SUBREAPER], ids=["process 1", "subreaper"])
def test_adopted_processes_are_reaped(launcher: list[str], start: StartActivity, execute: Exec, tmp_path: Path) -> None:
    if launcher == PROCESS_1 and subprocess.run([*launcher, "true"], capture_output=True, check=False).returncode:
        missing("process namespaces (root)")
    words = ["sh", "-c", ORPHANS, str(tmp_path)]
    running = execute(start("workflow").next_attempt(), command=words, launcher=launcher)
    assert running.line() == "reaped"
    assert running.ends() == 3
