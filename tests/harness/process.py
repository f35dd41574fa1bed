"""A program that is handed an activity, and read line by line."""

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

# A program that says nothing for so long is stopped.
PATIENCE = 60.0


class Process(AbstractContextManager["Process"]):
    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._watchdog = threading.Timer(PATIENCE, self._kill_all)
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

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """Kills it, and the processes that it has started."""
        self._kill_all()
        self._process.wait()

    def _kill_all(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._watchdog.cancel()
        assert self._process.stdout
        self._process.stdout.close()
