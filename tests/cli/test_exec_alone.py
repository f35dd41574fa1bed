"""`exec --when-absent run`: without an activity the command runs, and no server is needed."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from harness.activities import Kind
from harness.fixtures import StartActivity
from harness.orphans import ORPHANS, PROCESS_1, SUBREAPER
from harness.program import Exec, StartProgram, children_of
from harness.requires import missing

CONFIG = 66
ALONE = ("exec", "--when-absent", "run")
NOTICE = "there is no activity in the environment, so the command runs without heartbeats (--when-absent run)\n"


def needs_process_namespaces() -> None:
    if subprocess.run([*PROCESS_1, "true"], capture_output=True, check=False).returncode:
        missing("process namespaces (root)")


def test_command_runs_and_no_connection_is_opened(start_program: StartProgram) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        variables = {
            "TEMPORAL_ADDRESS": f"127.0.0.1:{listener.getsockname()[1]}",
            "TEMPORAL_TLS_SERVER_CA_CERT_PATH": "/no/such/file",
        }
        command = ("sh", "-c", "read line; echo $line; exit 7")
        running = start_program(*ALONE, "--progress-json", "--", *command, stdin=b"41\n", variables=variables)
        assert running.line() == "41"
        assert running.ends() == 7
        assert running.errors() == f"temporal-heartbeat: sh: {NOTICE}"
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_quiet_program_prints_nothing(start_program: StartProgram) -> None:
    running = start_program(*ALONE, "--quiet", "--", "true")
    assert (running.ends(), running.errors()) == (0, "")


def test_command_gets_the_signals(start_program: StartProgram) -> None:
    running = start_program(*ALONE, "--", "sh", "-c", "trap 'exit 5' TERM; echo ready; while true; do sleep 0.05; done")
    running.line()
    running.kill(signal.SIGTERM)
    assert running.ends() == 5


def test_command_that_a_signal_ends(start_program: StartProgram) -> None:
    running = start_program(*ALONE, "--", "sh", "-c", "kill -KILL $$")
    assert running.ends() == -signal.SIGKILL


def test_first_process_of_a_container_forwards_sigterm(start_program: StartProgram) -> None:
    needs_process_namespaces()
    running = start_program(*ALONE, "--", "sh", "-c", "echo ready; exec sleep 600", launcher=PROCESS_1)
    running.line()
    [child] = children_of(running.pid)
    os.kill(child, signal.SIGTERM)
    assert running.ends() == 128 + signal.SIGTERM


@pytest.mark.parametrize("launcher", [PROCESS_1, SUBREAPER], ids=["process 1", "subreaper"])
def test_adopted_processes_are_reaped(launcher: list[str], start_program: StartProgram, tmp_path: Path) -> None:
    if launcher == PROCESS_1:
        needs_process_namespaces()
    running = start_program(*ALONE, "--", "sh", "-c", ORPHANS, str(tmp_path), launcher=launcher)
    assert running.line() == "reaped"
    assert running.ends() == 3


@pytest.mark.parametrize("launcher", [[], PROCESS_1], ids=["usual process", "process 1"])
def test_unknown_command(launcher: list[str], start_program: StartProgram) -> None:
    if launcher:
        needs_process_namespaces()
    running = start_program(*ALONE, "--", "/nowhere/no-such-command", launcher=launcher)
    assert running.ends() == 127
    assert "can't run /nowhere/no-such-command: there is no such file" in running.errors()


@pytest.mark.parametrize(
    ("name", "value"), [("TASK_TOKEN", ""), ("TASK_TOKEN", "?"), ("ID", ""), ("RUN_ID", "r"), ("ATTEMPT", "second")]
)
def test_broken_variable_is_an_error(name: str, value: str, start_program: StartProgram) -> None:
    variable = f"TEMPORAL_ACTIVITY_{name}"
    running = start_program(*ALONE, "--", "echo", "started", variables={variable: value})
    assert running.rest() == b""
    assert running.ends() == CONFIG
    assert variable in running.errors()


def test_empty_input_is_no_absent_activity(start_program: StartProgram) -> None:
    running = start_program(*ALONE, "--token-stdin", "--", "echo", "started", stdin=b"")
    assert running.ends() == CONFIG


def test_same_command_completes_an_activity(kind: Kind, start: StartActivity, execute: Exec) -> None:
    activity = start(kind)
    running = execute(activity.next_attempt(), "--when-absent", "run", "--result", "output", command="echo 41")
    assert running.ends() == 0
    assert activity.result() == "41"
