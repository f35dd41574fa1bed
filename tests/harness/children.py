"""A process of Python that does what a scenario's lines say, and tells of it line by line."""

import base64
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Mapping
from typing import Any

from harness.languages import library_environment
from harness.paths import ROOT
from harness.worker import Attempt

# Nothing that a child has to say takes longer; one that is silent for so long is killed.
PATIENCE = 30.0

HEAD = """
    import asyncio, json, os, select, signal, sys, time
    import temporal_heartbeat as thb
    from temporal_heartbeat import aio

    def say(*words):
        print(json.dumps(words), flush=True)

    thb.connect()
    say("ready")
    os.environ.update(json.loads(sys.stdin.readline()))
"""


class Child:
    """It is connected when it is made, so that its start takes nothing of an attempt's time, and does its lines from
    `takes` on. What they `say(...)` arrives here as `hears()`."""

    def __init__(self, lines: str, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(HEAD) + textwrap.dedent(lines)],
            env=library_environment() | {"PYTHONPATH": str(ROOT / "bindings" / "python")} | dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def takes(self, attempt: Attempt, **variables: str) -> None:
        """Hands the attempt over, with more of the variables of the hand-off beside the token."""
        self.takes_over(TASK_TOKEN=base64.b64encode(attempt.token).decode(), **variables)

    def takes_over(self, **handed_over: str) -> None:
        """Hands over what stands in these variables alone."""
        self._write(json.dumps({f"TEMPORAL_ACTIVITY_{name}": value for name, value in handed_over.items()}))

    def hears(self) -> list[Any]:
        """What the child says next."""
        assert self._process.stdout
        watchdog = threading.Timer(PATIENCE, self._process.kill)
        watchdog.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watchdog.cancel()
        assert line, f"the child ended, or was silent for {PATIENCE:.0f} s"
        said: list[Any] = json.loads(line)
        return said

    def tells(self) -> None:
        """Gives the child a line to read."""
        self._write("")

    def freezes(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaws(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def ends(self) -> None:
        """Waits until it has ended by itself, and well."""
        assert self._process.wait(PATIENCE) == 0

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            pipe.close()

    def _write(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
