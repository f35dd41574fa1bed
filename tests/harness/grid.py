"""A pytest plugin that prints the scenarios that every language must pass as a grid.

A row is a scenario of TABLE: a test of e2e/ with the arguments `language` and `kind`. A column is a language. An
unproven cell fails the run with THB_REQUIRE_ALL=1.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import pytest

from harness.activities import KINDS
from harness.languages import LANGUAGES
from harness.requires import UNSUPPORTED

# Scenarios by theme.
Table = Mapping[str, Sequence[str]]

TABLE: Table = {
    "Heartbeats": (
        "details_are_read_back_with_attempt_time_and_timeout",
        "newest_details_replace_the_older_ones",
        "details_are_empty_before_the_first_heartbeat",
        "heartbeat_without_details_erases_them",
        "details_at_the_limit_are_sent_and_the_activity_continues",
        "details_one_byte_over_the_limit_are_refused_and_the_activity_continues",
    ),
    "Resuming": (
        "killed_child_resumes_after_last_item",
        "silent_child_times_out_with_its_last_details",
    ),
    "Cancellation": (
        "cancellation_before_the_first_beat_is_seen_by_it",
        "cancellation_between_beats_is_a_signal_until_it_is_reported",
        "cancellation_after_the_last_beat_is_never_seen",
        "cancellation_may_be_reported_without_a_beat_and_without_details",
        "cancellation_without_a_request_is_refused_and_the_activity_continues",
        "completion_wins_over_a_cancellation",
        "failure_after_a_cancellation_is_not_retried",
        "cancellation_is_no_signal_after_the_end",
    ),
    "Pause": (
        "pause_is_a_signal_until_the_unpause_and_progress_is_kept",
        "pause_of_a_later_attempt_is_a_signal",
        "pause_and_cancellation_are_signalled_together_or_cancellation_alone",
        "unpause_may_remove_the_progress",
    ),
    "Reset": (
        "reset_of_the_first_attempt_is_a_signal_and_its_progress_is_kept",
        "reset_of_the_first_attempt_may_remove_the_progress",
        "reset_of_a_later_attempt_keeps_its_progress",
        "reset_of_a_later_attempt_may_remove_the_progress",
    ),
    "Completion and failure": (
        "workflow_gets_the_result",
        "final_failure_reaches_the_workflow_with_all_fields",
        "retryable_failure_starts_the_next_attempt",
        "failure_sets_the_delay_of_the_next_attempt",
        "progress_sent_with_a_failure_reaches_the_next_attempt",
        "result_one_byte_over_the_limit_is_refused_and_a_smaller_one_completes",
    ),
    "Stale tokens": (
        "superseded_attempt_can_neither_beat_nor_end_its_successor",
        "timed_out_attempt_can_neither_beat_nor_end_its_successor",
        "calls_for_a_completed_activity_are_refused",
        "calls_for_a_terminated_activity_are_refused",
        "calls_for_an_activity_ended_elsewhere_are_refused",
        "details_of_an_ended_activity_are_kept_only_if_it_is_standalone",
        "token_of_another_namespace_is_refused",
    ),
    "Server and network faults": (
        "call_outlasts_a_server_that_is_killed_and_started_again",
        "call_outlasts_a_rate_limit",
        "heartbeat_is_retried_and_never_in_doubt",
        "lost_request_is_retried_and_never_in_doubt",
        "lost_answer_leaves_the_ending_in_doubt",
        "ending_stays_in_doubt_after_a_timeout",
    ),
}

PROPERTY = "cell"


class Mark(IntEnum):
    """The result of a cell. If several tests belong to a cell, the greatest counts."""

    PASSED = 0
    UNSUPPORTED = 1
    MISSING = 2
    FAILED = 3

    def __str__(self) -> str:
        return "✓·?✗"[self]


LEGEND = (
    f"Each cell: an activity of a {KINDS[0]}, and a {KINDS[1]} one.",
    f"{Mark.PASSED} passed   {Mark.FAILED} failed   {Mark.MISSING} not proven   "
    f"{Mark.UNSUPPORTED} the server doesn't support it",
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
        """Yields the reasons of all cells that didn't pass, each reason once."""
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
        """Stores each item's cell in the properties of its report, because another process may run the test."""
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
        return (Mark.UNSUPPORTED if said.startswith(UNSUPPORTED) else Mark.MISSING), said
    return (Mark.PASSED, "") if report.when == "call" else None
