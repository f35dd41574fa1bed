"""Prints the kills of the stages: how many resumed with nothing lost and nothing done twice at once, and how soon.

table.py STAGE...
"""

import json
import statistics
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "target" / "integrations" / "kills"
HEADINGS = ("engine", "version", "what was killed", "kills", "time to resume: median", "worst")

Row = tuple[str, ...]


def rows(stage: str) -> list[Row]:
    file = FOLDER / f"{stage}.jsonl"
    if not file.exists():
        return [(stage, "", "no kill was recorded", "", "", "")]
    groups: dict[Row, list[tuple[bool, float | None]]] = {}
    for line in file.read_text().splitlines():
        kill = json.loads(line)
        group = groups.setdefault((kill["engine"], kill["version"], kill["killed"]), [])
        group.append((kill["passed"], kill["seconds_to_resume"]))
    return [(*names, *figures(group)) for names, group in groups.items()]


def figures(group: list[tuple[bool, float | None]]) -> Row:
    seconds = [each for _, each in group if each is not None]
    passed = f"{sum(passed for passed, _ in group)} of {len(group)}"
    if not seconds:
        return (passed, "", "")
    return (passed, f"{statistics.median(seconds):.1f} s", f"{max(seconds):.1f} s")


def main(stages: list[str]) -> None:
    table = [HEADINGS, *(row for stage in stages for row in rows(stage))]
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    table.insert(1, tuple("-" * width for width in widths))
    print()
    for row in table:
        print("|", " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)), "|")


if __name__ == "__main__":
    main(sys.argv[1:])
