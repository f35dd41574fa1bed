"""The examples that hang: the failure of the activity shows the function."""

import functools
import os
import shutil
import sys

import pytest
from temporalio.exceptions import ApplicationError

from harness.build import compile_cpp, run
from harness.fixtures import StartActivity
from harness.handoff_program import start_program
from harness.languages import linked
from harness.paths import BUILD, ROOT
from harness.requires import requires
from harness.server import Server

ROUNDS = 100 if os.environ.get("THB_SLOW") == "1" else 3

# The status and the function of the first stack.
SHOWN = {
    "cpp": ("status: item 2", "wait_for_the_table"),
    "go": ("waits for the result", "main.receiveResult"),
    "python": ("waits for the result of item 2", "in receive_result"),
}


@functools.cache
def example(language: str) -> list[str]:
    if language == "python":
        return [sys.executable, str(ROOT / "bindings/python/examples/stalled.py")]
    program, folder = BUILD / f"stalled_{language}", ROOT / "bindings" / language
    if language == "cpp":
        compile_cpp(folder / "examples" / "stalled.cpp", program, *linked(), "-rdynamic", "-pthread")
    else:
        go = requires(shutil.which("go"), "go")
        run([go, "-C", str(folder), "build", "-o", str(program), "./examples/stalled"])
    return [str(program)]


@pytest.mark.parametrize("language", SHOWN)
def test_failure_shows_the_function_that_hangs(language: str, server: Server, start: StartActivity) -> None:
    program = example(language)
    status, culprit = SHOWN[language]
    for _ in range(ROUNDS):
        activity = start("workflow", maximum_attempts=1)
        with start_program(program, activity.next_attempt(), server):
            error = activity.failure()
        assert isinstance(error, ApplicationError)
        assert (error.type, error.non_retryable) == ("Stalled", False)
        assert status in error.message
        assert error.failure
        [first, *_] = error.failure.stack_trace.split("\n\n")
        assert culprit in first, error.failure.stack_trace
