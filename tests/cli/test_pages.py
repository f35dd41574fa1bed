"""Help texts, completions, manual pages, and the progress line."""

import os
import pty
import re
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
    assert not re.search(r"\[env:\s", help), "a line may break before the name of the variable"


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
    assert done.stdout.split() == ["--stall-timeout", "--stall-by", "--stall-file", "--stall-action"]


def test_each_command_has_a_manual_page(start_program: StartProgram, tmp_path: Path) -> None:
    assert start_program("man", str(tmp_path / "man1")).ends() == 0
    pages = {path.name for path in (tmp_path / "man1").iterdir()}
    assert pages == {"temporal-heartbeat.1", *(f"temporal-heartbeat-{command}.1" for command in COMMANDS)}
    assert "Examples:" in (tmp_path / "man1" / "temporal-heartbeat-exec.1").read_text()


HEADINGS = {
    "exec": [
        "Arguments",
        "Options",
        "Task token (without a flag: from TEMPORAL_ACTIVITY_TASK_TOKEN)",
        "Activity by its ids, without a token",
        "Progress",
        "Hung commands",
        "Stopping",
        "The end",
        "Connection",
    ],
    "work": ["Arguments", "Options", "Tasks", "Progress", "Hung commands", "Stopping", "The end", "Connection"],
    "fail": [
        "Arguments",
        "Options",
        "Task token (without a flag: from TEMPORAL_ACTIVITY_TASK_TOKEN)",
        "Activity by its ids, without a token",
        "Connection",
    ],
}


@pytest.mark.parametrize("command", HEADINGS)
def test_help_groups_the_flags(command: str, start_program: StartProgram) -> None:
    help = start_program(command, "-h").rest().decode()
    sections = re.split(r"^(\S.*):$", help, flags=re.MULTILINE)
    assert sections[1::2] == HEADINGS[command]
    options = sections[sections.index("Options") + 1]
    assert ("--timeout" if command == "fail" else "--quiet") in options


def test_help_shows_defaults_and_names_flags(start_program: StartProgram) -> None:
    help = " ".join(start_program("exec", "--help").rest().decode().split())
    for flag, default in {
        "address": "127.0.0.1:7233",
        "namespace": "default",
        "client-connect-timeout": "10s",
        "retry-multiplier": "1.7",
        "profile": "`default`, if it exists",
        "grace": "10s",
    }.items():
        assert re.search(rf"--{flag} <[^-]*\[default: {re.escape(default)}\]", help), flag
    assert "Default:" not in help
    assert "tls.disabled" not in help


def test_short_help_has_the_common_flags_of_the_connection_only(start_program: StartProgram) -> None:
    short = start_program("status", "-h").rest().decode()
    assert "--address" in short
    assert "--keepalive-interval" not in short
    assert "--keepalive-interval" in start_program("status", "--help").rest().decode()


def test_help_of_status_explains_its_exit_code(start_program: StartProgram) -> None:
    help = " ".join(start_program("status", "--help").rest().decode().split())
    assert "76 the activity is over for this attempt: the activity has ended or timed out" in help


def test_manual_page_is_readable(start_program: StartProgram, tmp_path: Path) -> None:
    man = requires(shutil.which("man"), "man")
    assert start_program("man", str(tmp_path)).ends() == 0
    page = str(tmp_path / "temporal-heartbeat-exec.1")
    shown = subprocess.run(
        [man, page],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"MANWIDTH": "100", "MAN_KEEP_FORMATTING": ""},
    ).stdout
    assert "\n       temporal-heartbeat exec [OPTIONS] -- <COMMAND>...\n" in shown
    assert shown.count("Run a command for an activity that was handed over") == 1
    assert "The time between two checks (PINGs)." in " ".join(shown.split())
    assert "\n         127  the command doesn't exist\n       128+n" in shown


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
