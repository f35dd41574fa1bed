"""How long each way takes from nothing to an acknowledged beat. A run prints it at its end."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

PROPERTY = "way"

Way = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def way(record_property: Callable[[str, object], None]) -> Way:
    """Times what a reader does on one way, from nothing."""

    @contextmanager
    def way(name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        record_property(PROPERTY, (name, time.monotonic() - began))

    return way


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = terminalreporter.getreports("passed")
    ways = sorted(tuple(value) for report in reports for key, value in report.user_properties if key == PROPERTY)
    if ways:
        terminalreporter.section("from nothing to an acknowledged beat")
        for name, seconds in ways:
            terminalreporter.write_line(f"{seconds:7.1f} s  {name}")
