"""Measures the time from a fresh environment to an acknowledged heartbeat, and prints it at the end of a run."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

PROPERTY = "way"

Way = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def way(record_property: Callable[[str, object], None]) -> Way:
    """Measures a reader's steps for one installation, from a fresh environment."""

    @contextmanager
    def way(name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        record_property(PROPERTY, (name, time.monotonic() - began))

    return way


def recorded(terminalreporter: pytest.TerminalReporter, name: str) -> list[tuple[Any, ...]]:
    """Returns the values of a property of all tests that passed."""
    reports = terminalreporter.getreports("passed")
    return sorted(tuple(value) for report in reports for key, value in report.user_properties if key == name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ways = recorded(terminalreporter, PROPERTY)
    if ways:
        terminalreporter.section("from a fresh environment to an acknowledged heartbeat")
        for name, seconds in ways:
            terminalreporter.write_line(f"{seconds:7.1f} s  {name}")
