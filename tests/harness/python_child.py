"""Runs Python code in a child process, to test features that only the Python binding has."""

import base64
import json
import sys
import textwrap
from collections.abc import Mapping
from typing import Any, Protocol

from harness.languages import library_environment
from harness.paths import ROOT
from harness.process import Process
from harness.worker import Attempt

HEAD = """
    import asyncio, json, os, select, signal, sys, time
    import temporal_heartbeat as thb
    from temporal_heartbeat import aio

    def report(*values):
        print(json.dumps(values), flush=True)

    thb.connect()
    report("ready")
    os.environ.update(json.loads(sys.stdin.readline()))
"""


class PythonChild(Process):
    """A process that runs lines with the library, and reports values.

    It connects before the hand-off, so that the start of the process doesn't use up the attempt's time. The lines
    run after the hand-off.
    """

    def __init__(self, lines: str, environment: Mapping[str, str]) -> None:
        super().__init__(
            [sys.executable, "-c", textwrap.dedent(HEAD) + textwrap.dedent(lines)],
            library_environment() | {"PYTHONPATH": str(ROOT / "bindings" / "python")} | dict(environment),
        )

    def hand_over(self, attempt: Attempt, **variables: str) -> None:
        """Hands over the token and further variables of the hand-off."""
        variables["TASK_TOKEN"] = base64.b64encode(attempt.token).decode()
        self.write_line(json.dumps({f"TEMPORAL_ACTIVITY_{name}": value for name, value in variables.items()}))

    def receive(self) -> list[Any]:
        """Returns the child's next report."""
        values: list[Any] = json.loads(self.read_line())
        return values


class StartChild(Protocol):
    """Starts a child that runs these lines, connected to the server."""

    def __call__(self, lines: str) -> PythonChild: ...
