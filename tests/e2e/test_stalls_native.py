"""The examples that hang: the failure of the activity shows the function."""

import functools
import json
import os
import shutil
import sys

import pytest
from temporalio.exceptions import ApplicationError

from harness.build import compile_c, compile_cpp, run
from harness.fixtures import StartActivity
from harness.handoff_program import SERVER_TIMEOUT_MS, start_program
from harness.languages import linked
from harness.paths import BUILD, DRIVERS, ROOT
from harness.process import SILENCE_LIMIT_S
from harness.requires import requires
from harness.server import Server

ROUNDS = 100 if os.environ.get("THB_SLOW") == "1" else 3

# What the message says, and the function of the first stack.
SHOWN = {
    "c": ("no progress at item 2", "stalled_c(wait_for_the_table+"),
    "cpp": ("no progress", "wait_for_the_table() in "),
    "go": ("waits for the result", "main.receiveResult"),
    "python": ("waits for the result of item 2", "in receive_result"),
}
# These end their hung process themselves.
WITH_WATCHDOG = ("c", "cpp")


@functools.cache
def example(language: str) -> list[str]:
    if language == "python":
        return [sys.executable, str(ROOT / "bindings/python/examples/stalled.py")]
    program, folder = BUILD / f"stalled_{language}", ROOT / "bindings" / language
    match language:
        case "c":
            compile_c(folder / "examples" / "stalled.c", program, *linked(), "-rdynamic", "-pthread")
        case "cpp":
            compile_cpp(folder / "examples" / "stalled.cpp", program, *linked(), "-rdynamic", "-pthread")
        case "go":
            go = requires(shutil.which("go"), "go")
            run([go, "-C", str(folder), "build", "-o", str(program), "./examples/stalled"])
    return [str(program)]


@functools.cache
def hanging() -> str:
    return str(compile_cpp(DRIVERS / "hanging.cpp", BUILD / "hanging_cpp", *linked(), "-rdynamic", "-pthread"))


@pytest.mark.parametrize("language", SHOWN)
def test_failure_shows_the_function_that_hangs(language: str, server: Server, start: StartActivity) -> None:
    program = example(language)
    status, culprit = SHOWN[language]
    for _ in range(ROUNDS):
        activity = start("workflow", maximum_attempts=1, heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
        with start_program(program, activity.next_attempt(), server) as hung:
            error = activity.failure(SILENCE_LIMIT_S)
            if language in WITH_WATCHDOG:
                assert hung.wait() == 1
        assert isinstance(error, ApplicationError)
        assert (error.type, error.non_retryable) == ("Stalled", False)
        assert status in error.message
        assert error.failure
        [first, *_] = error.failure.stack_trace.split("\n\n")
        assert culprit in first, error.failure.stack_trace


@pytest.mark.parametrize("is_encrypted", [False, True])
def test_library_reads_the_stack_that_a_handler_writes(
    is_encrypted: bool, server: Server, start: StartActivity
) -> None:
    activity = start("workflow", maximum_attempts=1, heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
    options = {"require_encoded": is_encrypted}
    with start_program([hanging(), json.dumps(options), "item 42"], activity.next_attempt(), server):
        error = activity.failure(SILENCE_LIMIT_S)
    assert isinstance(error, ApplicationError)
    assert (error.type, error.non_retryable) == ("Stalled", False)
    assert error.failure
    if is_encrypted:
        assert "left out, because they would be readable" in error.message
        assert "item 42" not in str(error.failure)
        assert error.failure.stack_trace == ""
    else:
        assert "status: item 42" in error.message
        assert "hanging_cpp(_Z18wait_for_the_tablev+" in error.failure.stack_trace
