"""Holds back a program that a parent starts, so that a test can end the parent in the meantime."""

from pathlib import Path

from harness.polling import wait_until
from integrations.journal import LIMIT_S


class HeldProgram:
    """A script with the name of a program, in `directory`, for the PATH. It runs the program after `release`."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.directory = folder / "held"
        self.directory.mkdir()
        self._is_started, self._may_run = folder / "is_started", folder / "may_run"
        script = f'touch {self._is_started}\nuntil [[ -e {self._may_run} ]]; do sleep 0.1; done\nexec {program} "$@"\n'
        held = self.directory / program.name
        held.write_text(f"#!/bin/bash\n{script}")
        held.chmod(0o755)

    def wait(self) -> None:
        """Waits until the parent has started it."""
        wait_until(self._is_started.exists, "the start of the program", LIMIT_S)

    def release(self) -> None:
        self._may_run.touch()
