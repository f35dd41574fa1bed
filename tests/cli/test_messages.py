"""What the program prints is in words, without constants of the C library. Colours are for terminals only."""

import os
import pty
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError

from harness.fixtures import StartActivity
from harness.program import Exec, StartProgram

USAGE, INVALID_ARGUMENT, CONFIG, TLS, NO_NAMESPACE = 64, 65, 66, 71, 74


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--tls-ca-path", "/nowhere"], CONFIG, "--tls-ca-path (/nowhere) can't be read"),
        (["--api-key", "x", "--api-key-path", "y"], CONFIG, "both --api-key and --api-key-path are given"),
        (
            ["--tls-cert-path", "x"],
            CONFIG,
            "--tls-cert-path is given without the certificate's key: give --tls-key-path",
        ),
        (["--address", ""], CONFIG, "--address is empty: leave it out for the default"),
        (["--metrics-address", "x"], CONFIG, "--metrics-address must be ip:port"),
        (["--proxy-basic-auth-user", "x"], CONFIG, "--proxy-target-host is missing"),
        (["--tls"], TLS, "set --tls=false (TEMPORAL_TLS=false)"),
        (["--namespace", "nowhere"], NO_NAMESPACE, "the namespace doesn't exist; the server says: "),
        (["--client-connect-timeout", "0s"], USAGE, "it must be at least 1ms"),
        (["--keepalive-interval", "500ms"], USAGE, "it must be at least 1s"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_mistake_is_reported_by_the_name_of_the_flag(
    flags: list[str], code: int, message: str, start_program: StartProgram
) -> None:
    running = start_program("work", "-t", "any", *flags, "--", "true")
    assert running.ends() == code
    assert message in running.errors()
    assert "options." not in running.errors()
    assert "THB_" not in running.errors()


@pytest.mark.parametrize("command", ["heartbeat", "status", "exec -- true"])
def test_missing_token_is_explained(command: str, start_program: StartProgram) -> None:
    running = start_program(*command.split())
    assert running.ends() == CONFIG
    assert running.errors().startswith("temporal-heartbeat: there is no task token: give --token-file, ")


def test_missing_dashes_are_explained(start_program: StartProgram) -> None:
    running = start_program("exec", "./solver")
    assert running.ends() == USAGE
    assert "The command to run follows after --" in running.errors()


def test_missing_interpreter_is_explained(start: StartActivity, execute: Exec, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/nowhere/sh\n")
    script.chmod(0o755)
    running = execute(start("workflow").next_attempt(), command=[str(script)])
    assert running.ends() == 127
    assert f"can't run {script}: the interpreter that its first line names doesn't exist" in running.errors()


@pytest.mark.parametrize("value", [["--json-file", "/dev/null"], [""]])
def test_empty_value_is_explained_without_constants(
    value: list[str], start: StartActivity, start_program: StartProgram
) -> None:
    start("workflow")
    running = start_program("heartbeat", *value)
    assert running.ends() == INVALID_ARGUMENT
    assert "is empty, which isn't JSON" in running.errors()
    assert "THB_" not in running.errors()


# ---- what is kept of the standard error ----


def test_failure_has_the_last_state_of_a_progress_bar(start: StartActivity, execute: Exec) -> None:
    """A progress bar of 40 KB, between other lines."""
    activity = start("workflow", maximum_attempts=1)
    script = r"""
        echo loading >&2
        i=0; while [ $i -lt 1000 ]; do i=$((i + 1)); printf '\r%s of 1000 [##########################]' $i; done >&2
        printf '\nthe disk is full\r\n' >&2
        exit 3
    """
    assert execute(activity.next_attempt(), command=script).ends() == 3
    error = activity.failure()
    assert isinstance(error, ApplicationError)
    assert error.message == "sh exited with code 3: the disk is full"
    bar = "1000 of 1000 [##########################]"
    assert error.details[0]["stderr"] == f"loading\n{bar}\nthe disk is full"


# ---- the end of exec ----


@pytest.mark.parametrize(
    ("flags", "script", "report"),
    [
        ([], "exit 0", "reported as completed with the exit code 0 as its result"),
        (["--result", "output"], "echo x", "reported as completed with the output as its result"),
        (["--result", "none"], "exit 0", "reported as completed without a result"),
        (["--result-file", "/dev/stdin"], "exit 0", "reported as failed with InvalidResult, not to be retried: "),
        ([], "echo why >&2; exit 3", "reported as failed with ExitCode: sh exited with code 3: why"),
        (
            ["--result", "bytes"],
            "head -c 2200000 /dev/zero",
            "reported as failed with ResultTooLarge, not to be retried",
        ),
    ],
    ids=lambda value: str(value)[:20],
)
def test_exec_says_what_it_reported(
    flags: list[str], script: str, report: str, start: StartActivity, execute: Exec
) -> None:
    running = execute(start("workflow").next_attempt(), *flags, command=script)
    running.rest()
    running.ends()
    assert report in running.errors().splitlines()[-1]


def test_quiet_exec_says_nothing(start: StartActivity, execute: Exec) -> None:
    activity = start("workflow")
    running = execute(activity.next_attempt(), "--quiet", command="exit 3")
    assert running.ends() == 3
    assert running.errors() == ""


# ---- colours ----


@pytest.mark.parametrize(
    ("variables", "is_coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
    ids=["terminal", "NO_COLOR", "dumb"],
)
def test_terminal_gets_colours_unless_they_are_turned_off(
    variables: dict[str, str], is_coloured: bool, start: StartActivity, execute: Exec
) -> None:
    # Long enough for the line with the progress, which a dumb terminal can't clear.
    command = "sleep 1.3; exit 3" if "TERM" in variables else "exit 3"
    ours, theirs = pty.openpty()
    running = execute(
        start("workflow").next_attempt(),
        command=command,
        terminal=theirs,
        variables={"TERM": "xterm", "NO_COLOR": ""} | variables,
    )
    assert running.ends() == 3
    said = os.read(ours, 65536)
    os.close(theirs)
    os.close(ours)
    assert b"reported as failed" in said
    assert (b"\x1b[31mtemporal-heartbeat:\x1b[0m" in said) == is_coloured
    if "TERM" in variables:
        assert b"\x1b" not in said


def test_output_without_a_terminal_has_no_colours(start: StartActivity, execute: Exec) -> None:
    running = execute(start("workflow").next_attempt(), command="exit 3", variables={"TERM": "xterm"})
    assert running.ends() == 3
    assert "\x1b" not in running.errors()
