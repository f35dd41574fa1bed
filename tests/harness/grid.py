"""A pytest plugin that prints the table of scenarios: a row for each, a column for each language, a mark for each cell.

A cell that isn't proven fails the run where all is required (THB_REQUIRE_ALL=1).
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

import pytest

from harness.activities import KINDS
from harness.languages import LANGUAGES
from harness.needs import NOT_THERE
from harness.table import TABLE, Table

PROPERTY = "cell"


class Mark(IntEnum):
    """What is known of a cell; where several tests make one, the greatest counts."""

    PASSED = 0
    NOT_THERE = 1
    MISSING = 2
    FAILED = 3

    def __str__(self) -> str:
        return "✓·?✗"[self]


LEGEND = (
    f"Each cell: an activity of a {KINDS[0]}, and a {KINDS[1]} one.",
    f"{Mark.PASSED} passed   {Mark.FAILED} failed   {Mark.MISSING} not proven   "
    f"{Mark.NOT_THERE} the server has nothing like it",
)


@dataclass(frozen=True, order=True)
class Cell:
    row: str
    language: str
    kind: str

    def __str__(self) -> str:
        return f"{self.row}, {self.language}, {self.kind}"


@dataclass
class Grid:
    table: Table
    marks: dict[Cell, Mark] = field(default_factory=dict)
    reasons: dict[Cell, str] = field(default_factory=dict)

    @property
    def cells(self) -> list[Cell]:
        rows = [row for rows in self.table.values() for row in rows]
        return [Cell(row, language, kind) for row in rows for language in LANGUAGES for kind in KINDS]

    def record(self, cell: Cell, mark: Mark, reason: str = "") -> None:
        if mark >= self.marks.get(cell, Mark.PASSED):
            self.marks[cell] = mark
            self.reasons[cell] = reason

    def unproven(self) -> list[Cell]:
        return [cell for cell in self.cells if self.mark(cell) in (Mark.MISSING, Mark.FAILED)]

    def mark(self, cell: Cell) -> Mark:
        return self.marks.get(cell, Mark.MISSING)

    def lines(self) -> Iterator[str]:
        width = max(len(cell.row) for cell in self.cells) + 4
        yield from LEGEND
        yield "\n" + " " * width + "".join(f"{language:>8}" for language in LANGUAGES)
        for theme, rows in self.table.items():
            yield theme
            for row in rows:
                cells = ["".join(str(self.mark(Cell(row, language, kind))) for kind in KINDS) for language in LANGUAGES]
                yield f"  {row.replace('_', ' '):{width - 2}}" + "".join(f"{cell:>8}" for cell in cells)

    def why(self) -> Iterator[str]:
        """The reasons of all that didn't pass, those of many cells once."""
        by_reason: dict[str, list[Cell]] = {}
        for cell in self.cells:
            if mark := self.mark(cell):
                by_reason.setdefault(f"{mark} {self.reasons.get(cell, 'not in this run')}", []).append(cell)
        for reason, cells in by_reason.items():
            yield f"{reason}: {cells[0]}" + (f" and {len(cells) - 1} more" if len(cells) > 1 else "")


class Plugin:
    def __init__(self, table: Table = TABLE) -> None:
        self._grid = Grid(table)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Notes each item's cell where its report carries it, from whatever process runs it."""
        for item in items:
            if isinstance(item, pytest.Function) and (cell := self._cell(item)):
                item.user_properties.append((PROPERTY, f"{cell.row},{cell.language},{cell.kind}"))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name == PROPERTY and (outcome := _outcome(report)):
                mark, reason = outcome
                self._grid.record(Cell(*str(value).split(",")), mark, reason)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._grid.marks:
            terminalreporter.section("scenarios")
            for line in (*self._grid.lines(), "", *self._grid.why()):
                terminalreporter.write_line(line)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        required = os.environ.get("THB_REQUIRE_ALL") == "1"
        if required and self._grid.marks and self._grid.unproven() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _cell(self, item: pytest.Function) -> Cell | None:
        row = item.originalname.removeprefix("test_")
        if not any(row in rows for rows in self._grid.table.values()):
            return None
        chosen = item.callspec.params
        return Cell(row, str(chosen["language"]), str(chosen["kind"]))


def _outcome(report: pytest.TestReport) -> tuple[Mark, str] | None:
    if report.failed:
        return Mark.FAILED, "failed"
    if report.skipped:
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        said = reason.removeprefix("Skipped: ")
        return (Mark.NOT_THERE if said.startswith(NOT_THERE) else Mark.MISSING), said
    return (Mark.PASSED, "") if report.when == "call" else None
