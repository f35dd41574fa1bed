"""The tables of docs/values.md, which these tests check row by row."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.paths import ROOT
from interop.payload_format import normalized

LANGUAGES = ("Python", "Go", "TypeScript", "Java")

# The columns of the second table, in its order.
DETAILS = "the last attempt's heartbeat details"
FAILURE = "a failure's details"
TIMEOUT = "a timeout's last heartbeat details"


@dataclass(frozen=True)
class Reading:
    """The expected reading in a language: shown values, or a failure with this text."""

    shown: tuple[str, ...]
    failure: str | None = None


@dataclass(frozen=True, eq=False)
class Row:
    value: str
    writers: tuple[str, ...]
    stored: tuple[str, ...]
    reads: dict[str, Reading]

    @property
    def name(self) -> str:
        return f"{self.value} of {'+'.join(self.writers)}".replace(" ", "-")

    def read_by(self, language: str, what: str = DETAILS) -> list[str]:
        """Returns the values that the language reads from this row, in that place."""
        reading = self.reads[language]
        assert reading.failure is None, reading
        if what == FAILURE and not self.stored:
            return []  # a failure without details: the reader of a single value gets undefined or null
        return list(reading.shown[:1] if SEVERAL[what][language] == "first" else reading.shown)


def written_by(language: str, by: str) -> list[Row]:
    """Returns what the language's "SDK" or "binding" writes."""
    return [row for row in ROWS if language in row.writers or f"{language} {by}" in row.writers]


def _cells(title: str) -> Iterator[list[str]]:
    text = (ROOT / "docs" / "values.md").read_text(encoding="utf-8")
    section = text.split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    for line in lines[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def _spans(cell: str) -> tuple[str, ...]:
    spans = tuple(re.findall("`([^`]+)`", cell))
    assert spans or cell == "nothing", cell
    return spans


def _reading(cell: str) -> Reading:
    spans = _spans(cell)
    return Reading((), spans[0]) if cell.startswith("fails:") else Reading(tuple(map(normalized, spans)))


def _row(value: str, writers: str, stored: str, *reads: str) -> Row:
    readings = dict(zip(LANGUAGES, map(_reading, reads), strict=True))
    return Row(value, tuple(writers.split(", ")), _spans(stored), readings)


ROWS = [_row(*cells) for cells in _cells("How values are stored, and read")]
SEVERAL = {what: dict(zip(LANGUAGES, cells, strict=True)) for what, *cells in _cells("Several values")}
