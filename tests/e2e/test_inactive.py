"""The same program runs under Temporal and by hand, in each language."""

import functools
import shutil
import socket
import subprocess
import sys

import pytest

from harness.activities import Kind
from harness.build import compile_c, compile_cpp, run
from harness.fixtures import StartActivity
from harness.handoff_program import start_program
from harness.languages import library_environment, linked
from harness.paths import BUILD, ROOT
from harness.requires import requires
from harness.server import Server

BINDINGS = ROOT / "bindings"


@functools.cache
def example(language: str) -> list[str]:
    """Returns the command of an example, without the number of items."""
    program, folder = BUILD / f"by_hand_{language}", BINDINGS / language
    match language:
        case "c":
            compile_c(folder / "examples" / "by_hand.c", program, *linked())
        case "cpp":
            compile_cpp(folder / "examples" / "by_hand.cpp", program, *linked())
        case "go":
            go = requires(shutil.which("go"), "go")
            run([go, "-C", str(folder), "build", "-o", str(program), "./examples/byhand"])
            return [str(program), "-items"]
        case "python":
            return [sys.executable, str(folder / "examples" / "by_hand.py")]
    return [str(program)]


LANGUAGES = ["c", "cpp", "go", "python"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_program_runs_by_hand_and_opens_no_connection(language: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        environment = library_environment() | {
            "PYTHONPATH": str(BINDINGS / "python"),
            "TEMPORAL_ADDRESS": f"127.0.0.1:{listener.getsockname()[1]}",
            # Neither is read.
            "TEMPORAL_TLS_SERVER_CA_CERT_PATH": "/no/such/file",
            "TEMPORAL_CODEC_ENDPOINT": "no URL",
        }
        done = subprocess.run([*example(language), "3"], env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "item 0\nitem 1\nitem 2\n", "")
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("language", LANGUAGES)
def test_same_program_completes_its_activity(language: str, kind: Kind, server: Server, start: StartActivity) -> None:
    command = [*example(language), "3"]
    activity = start(kind)
    with start_program(command, activity.next_attempt(), server) as program:
        assert program.wait() == 0
    assert activity.result() == 3


@pytest.mark.parametrize("language", LANGUAGES)
def test_lost_token_is_an_error(language: str) -> None:
    # As from a script with `TEMPORAL_ACTIVITY_TASK_TOKEN=$TOKEN`, and without a TOKEN.
    environment = library_environment() | {"PYTHONPATH": str(BINDINGS / "python"), "TEMPORAL_ACTIVITY_TASK_TOKEN": ""}
    done = subprocess.run([*example(language), "3"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stdout == ""
    assert "TEMPORAL_ACTIVITY_TASK_TOKEN is empty" in done.stderr
