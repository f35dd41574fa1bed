"""The table of a run: artefacts, how they were built, where they ran, and the time up to an acknowledged heartbeat."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from packages.stopwatch import recorded
from release.platforms import Platform

PROPERTY = "artefact"

HEAD = ("artefact", "built by", "size", "used by", "ran on", "time")

Measured = Callable[[Platform, Path, str], AbstractContextManager[None]]


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Measured:
    """Measures a user's steps with one artefact, and adds a row to the table."""

    @contextmanager
    def measured(platform: Platform, artefact: Path, user: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        seconds = time.monotonic() - began
        size = f"{artefact.stat().st_size / 2**20:.1f} MiB"
        built = f"zig, {platform.compiler}"
        record_property(PROPERTY, (artefact.name, built, size, user, platform.system, f"{seconds:.1f} s"))

    return measured


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = recorded(terminalreporter, PROPERTY)
    if rows:
        terminalreporter.section("from nothing to an acknowledged heartbeat")
        for row in (HEAD, ("---",) * len(HEAD), *rows):
            terminalreporter.write_line(f"| {' | '.join(row)} |")
