"""A program that speaks JSON, a line at a time, and ends at the end of its input."""

import contextlib
import json
import subprocess
import threading
from collections.abc import Sequence
from typing import Any

from interop.programs import environment

# No answer takes longer, however busy the machine; a program that is silent for so long is killed.
SILENCE_LIMIT = 120.0


class Process:
    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def write(self, value: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()

    def read(self) -> Any:
        """The next line; None at the end."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        return json.loads(line) if line else None

    def read_soon(self) -> Any:
        watchdog = threading.Timer(SILENCE_LIMIT, self._process.kill)
        watchdog.start()
        try:
            answer = self.read()
        finally:
            watchdog.cancel()
        assert answer is not None, f"{self._process.args!r} died, or was silent for {SILENCE_LIMIT:.0f} s"
        return answer

    def close(self) -> int:
        """Ends it, and returns its exit status. Nobody reads any more."""
        assert self._process.stdout
        status = self.end()
        self._process.stdout.close()
        return status

    def end(self) -> int:
        """Ends it by the end of its input. What it printed last may still be read."""
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            status = self._process.wait(SILENCE_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        return status
