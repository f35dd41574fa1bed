"""A program that is handed an activity, and read line by line."""

import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

# A program that says nothing for so long is stopped.
PATIENCE = 60.0


class Process(AbstractContextManager["Process"]):
    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._watchdog = threading.Timer(PATIENCE, self._process.kill)
        self._watchdog.start()

    def says(self, pattern: str) -> "re.Match[str]":
        """Waits for a line in which the pattern is found."""
        assert self._process.stdout
        said = []
        for line in self._process.stdout:
            said.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"the program ended, and never said {pattern!r}:\n{''.join(said)}")

    def ends(self) -> int:
        """Waits for its end, and gives its exit status."""
        assert self._process.stdout
        rest = self._process.stdout.read()
        status = self._process.wait(PATIENCE)
        if status != 0:
            print(rest)
        return status

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._watchdog.cancel()
        assert self._process.stdout
        self._process.stdout.close()
