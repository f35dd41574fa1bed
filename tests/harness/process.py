"""A child process that communicates with a test line by line."""

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

# A process that needs longer to print an expected line, or to exit, is killed. The limit allows for a busy machine.
SILENCE_LIMIT_S = 120.0


class Process(AbstractContextManager["Process"]):
    """A process in a separate session. Leaving the `with` block kills it and its child processes."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        inherit: Sequence[int] = (),
        cwd: Path | None = None,
        merge_stderr: bool = False,
    ) -> None:
        self._process = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=cwd,
            pass_fds=inherit,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merge_stderr else None,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    @property
    def pid(self) -> int:
        return self._process.pid

    def write_line(self, line: str) -> None:
        self._stdin.write(line + "\n")
        self._stdin.flush()

    def read_line(self) -> str:
        """Returns the next line with its line break. Fails when the process exits, or prints nothing in time."""
        with self._killed_when_late():
            line = self._stdout.readline()
        assert line.endswith("\n"), f"{self._process.args!r} exited, or printed nothing for {SILENCE_LIMIT_S:.0f} s"
        return line

    def read_lines(self) -> Iterator[str]:
        """Returns all lines until the process exits, however long that takes."""
        return iter(self._stdout)

    def expect(self, pattern: str) -> "re.Match[str]":
        """Reads up to the first line that matches the pattern."""
        printed = []
        with self._killed_when_late():
            for line in self._stdout:
                printed.append(line)
                if found := re.search(pattern, line):
                    return found
        raise AssertionError(f"the process exited and never printed {pattern!r}:\n{''.join(printed)}")

    def wait(self) -> int:
        """Waits until the process exits without being stopped, and returns its exit status."""
        with self._killed_when_late():
            rest = self._stdout.read()
            status = self._process.wait()
        if status != 0:
            print(rest)
        return status

    def close_stdin(self) -> int:
        """Closes the standard input, waits for the exit, and returns the status. Output can still be read."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        with self._killed_when_late():
            return self._process.wait()

    def close(self) -> int:
        """Closes the standard input and returns the exit status. The output can't be read any more."""
        try:
            return self.close_stdin()
        finally:
            self._stdout.close()

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kills the process and its child processes by SIGKILL, like the kernel when memory runs out."""
        self._kill_session()
        self._process.wait()

    def __exit__(self, *_: object) -> None:
        self.kill()
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        self._stdout.close()

    @contextlib.contextmanager
    def _killed_when_late(self) -> Iterator[None]:
        watchdog = threading.Timer(SILENCE_LIMIT_S, self._kill_session)
        watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()

    def _kill_session(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
