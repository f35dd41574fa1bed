"""Holds back a program that a parent starts, so that a test can end the parent in the meantime."""

import os
import signal
import time
from pathlib import Path

from harness.polling import wait_until
from harness.process import Process
from integrations.journal import LIMIT_S


class HeldProgram:
    """A script with the name of a program, in `directory`, for the PATH. `outlive_sigterm` lets it run the program."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.directory = folder / "held"
        self.directory.mkdir()
        self._is_started, self._may_run = folder / "is_started", folder / "may_run"
        script = f'touch {self._is_started}\nuntil [[ -e {self._may_run} ]]; do sleep 0.1; done\nexec {program} "$@"\n'
        held = self.directory / program.name
        held.write_text(f"#!/bin/bash\n{script}")
        held.chmod(0o755)

    def outlive_sigterm(self, parent: Process) -> None:
        """Ends the parent by SIGTERM when it has started the program. The parent must wait for the program."""
        wait_until(self._is_started.exists, "the start of the program", LIMIT_S)
        os.kill(parent.pid, signal.SIGTERM)
        time.sleep(0.5)  # the parent may end in this time, which it mustn't
        self._may_run.touch()
        assert parent.wait() == 0
