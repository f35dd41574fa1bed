"""The command-line program under test, run as a user runs it."""

import base64
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from harness.languages import library_environment
from harness.paths import ROOT
from harness.requires import requires
from harness.server import NAMESPACE
from harness.worker import Attempt

# A program that runs longer is killed. Programs that print 10 GB run with THB_SLOW=1.
RUN_LIMIT_S = 600.0 if os.environ.get("THB_SLOW") == "1" else 60.0


def program() -> Path:
    """Returns the program that THB_PROGRAM names, by default the result of `make program`."""
    path = Path(os.environ.get("THB_PROGRAM") or ROOT / "target" / "debug" / "temporal-heartbeat")
    return requires(path if path.exists() else None, f"the program at {path} (make program)")


def environment(address: str) -> dict[str, str]:
    variables = library_environment() | {"TEMPORAL_ADDRESS": address, "TEMPORAL_NAMESPACE": NAMESPACE}
    # With it, the output of Python commands wouldn't be buffered as usual.
    variables.pop("PYTHONUNBUFFERED", None)
    return variables


def encoded(token: bytes) -> str:
    """Encodes a token as a parent does in the hand-off."""
    return base64.b64encode(token).decode()


class Program:
    """A running program in a separate session, as under a supervisor. Its output is collected while it runs."""

    def __init__(
        self,
        arguments: Sequence[str],
        variables: Mapping[str, str],
        stdin: bytes | None = None,
        inherit: Sequence[int] = (),
        terminal: int | None = None,
        launcher: Sequence[str] = (),
    ) -> None:
        """Starts the program, by a launcher if there is one. With a terminal, its output is written there."""
        self.process = subprocess.Popen(
            [*launcher, str(program()), *arguments],
            env=dict(variables),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=terminal or subprocess.PIPE,
            stderr=terminal or subprocess.PIPE,
            pass_fds=inherit,
            start_new_session=True,
            restore_signals=not launcher,
        )
        self._watchdog = threading.Timer(RUN_LIMIT_S, self.process.kill)
        self._watchdog.daemon = True
        self._watchdog.start()
        self._errors: list[bytes] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        if self.process.stderr:
            self._reader.start()
        if stdin is not None:
            assert self.process.stdin
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(stdin)
                self.process.stdin.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self) -> str:
        """Returns the next line of its standard output."""
        assert self.process.stdout
        line: bytes = self.process.stdout.readline()
        assert line, f"it ended, or was silent for {RUN_LIMIT_S:.0f} s; stderr: {self.errors()}"
        return line.decode().rstrip("\n")

    def rest(self) -> bytes:
        """Returns the rest of its standard output."""
        assert self.process.stdout
        return bytes(self.process.stdout.read())

    def errors(self) -> str:
        """Returns its standard error so far."""
        with self._changed:
            return b"".join(self._errors).decode(errors="replace")

    def says(self, text: str) -> None:
        """Waits until its standard error contains the text."""
        with self._changed:
            self._changed.wait_for(lambda: text in self.errors() or not self._reader.is_alive(), RUN_LIMIT_S)
        assert text in self.errors(), f"its stderr doesn't contain {text!r}"

    def kill(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)

    def ends(self) -> int:
        """Waits until it has ended. Returns its exit code, or the negative number of a signal."""
        code = self.process.wait(RUN_LIMIT_S)
        if self.process.stderr:
            self._reader.join(RUN_LIMIT_S)
        return code

    def close(self) -> None:
        self._watchdog.cancel()
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _read_errors(self) -> None:
        assert self.process.stderr
        with self.process.stderr as stderr:
            while data := os.read(stderr.fileno(), 65536):
                with self._changed:
                    self._errors.append(data)
                    self._changed.notify_all()


class StartProgram(Protocol):
    """Starts the program against the server of the run, with these arguments and additional variables."""

    def __call__(
        self,
        *arguments: str,
        variables: Mapping[str, str] = ...,
        stdin: bytes | None = ...,
        inherit: Sequence[int] = ...,
        terminal: int | None = ...,
        launcher: Sequence[str] = ...,
    ) -> Program: ...


class Exec(Protocol):
    """Starts `exec` for an attempt. Arguments: flags, then the command, a shell script or a list of words."""

    def __call__(
        self,
        attempt: Attempt,
        *flags: str,
        command: str | Sequence[str],
        variables: Mapping[str, str] = ...,
        stdin: bytes | None = ...,
        terminal: int | None = ...,
        launcher: Sequence[str] = ...,
    ) -> Program: ...


def parent_of(pid: int) -> int:
    """Returns the parent of a process, or 0 if the process has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


def children_of(pid: int) -> list[int]:
    """Returns the child processes of a process, or [] if the process has ended."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, thread.read_text().split())
    return found


def is_alive(pid: int) -> bool:
    """Returns whether the process runs. A zombie doesn't count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False
