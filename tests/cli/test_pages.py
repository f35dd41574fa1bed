"""Help texts, completions, manual pages, and the progress line."""

import os
import pty
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.fixtures import StartActivity
from harness.program import Exec, StartProgram
from harness.requires import requires

COMMANDS = ("exec", "work", "heartbeat", "details", "complete", "fail", "cancelled", "status", "completions")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_text(command: str, start_program: StartProgram) -> None:
    running = start_program(command, "--help")
    help = running.rest().decode()
    assert running.ends() == 0
    assert "Usage: temporal-heartbeat " + command in help
    assert ("--address" in help) == (command != "completions")


def test_bash_completes_commands_and_flags(start_program: StartProgram, tmp_path: Path) -> None:
    bash = requires(shutil.which("bash"), "bash")
    file = tmp_path / "completions"
    file.write_bytes(start_program("completions", "bash").rest())
    complete = (
        f"source {file}; COMP_WORDS=(temporal-heartbeat exec --stall-); COMP_CWORD=2; "
        "function=$(complete -p temporal-heartbeat | sed 's/.*-F \\([^ ]*\\).*/\\1/'); "
        '$function temporal-heartbeat --stall- exec; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run([bash, "-c", complete], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["--stall-timeout", "--stall-by", "--stall-file"]


def test_each_command_has_a_manual_page(start_program: StartProgram, tmp_path: Path) -> None:
    assert start_program("man", str(tmp_path / "man1")).ends() == 0
    pages = {path.name for path in (tmp_path / "man1").iterdir()}
    assert pages == {"temporal-heartbeat.1", *(f"temporal-heartbeat-{command}.1" for command in COMMANDS)}
    assert "Examples:" in (tmp_path / "man1" / "temporal-heartbeat-exec.1").read_text()


def read(terminal: int, until: bytes) -> bytes:
    said = b""
    while until not in said:
        said += os.read(terminal, 4096)
    return said


def test_progress_line_is_shown_on_a_terminal(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow")
    ours, theirs = pty.openpty()
    script = "echo begins; echo 41; sleep 2.5; echo ends"
    running = execute(activity.next_attempt(), "--progress-json", command=script, terminal=theirs)
    os.close(theirs)
    said = read(ours, b"ends\r\n")
    assert running.ends() == 0
    os.close(ours)
    assert b"begins\r\n41\r\n" in said
    assert "sh, attempt 1 · 1s · 41".encode() in said
    # The progress line is erased before each line of the command.
    assert b"\r\x1b[Kends\r\n" in said


def test_no_progress_line_without_a_terminal_or_when_quiet(start: StartActivity, execute: Exec) -> None:
    running = execute(start("workflow").next_attempt(), command="sleep 1.5")
    assert running.ends() == 0
    assert "\r" not in running.errors()
    ours, theirs = pty.openpty()
    running = execute(start("workflow").next_attempt(), "--quiet", command="sleep 1.5; echo ends", terminal=theirs)
    os.close(theirs)
    assert read(ours, b"ends\r\n") == b"ends\r\n"
    assert running.ends() == 0
    os.close(ours)
