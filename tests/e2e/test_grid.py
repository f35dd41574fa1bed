"""The grid itself: the content of a cell, and that a missing cell fails the run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.grid import Cell, Grid, Mark
from harness.paths import TESTS
from harness.requires import UNSUPPORTED

TABLE = {"Theme": ("something_works",), "Other theme": ("another_thing_works", "the_last_thing_works")}
ROWS = ("something_works", "another_thing_works", "the_last_thing_works")
MARKS = len(ROWS) * 5

SCENARIOS = """
import pytest
from harness.requires import missing, unsupported

@pytest.mark.parametrize("kind", ["workflow", "standalone"])
@pytest.mark.parametrize("language", ["c", "cpp", "python", "go", "rust"])
def test_{row}(language, kind):
    {body}
"""

CONFTEST = """
from harness.grid import Plugin

def pytest_configure(config):
    config.pluginmanager.register(Plugin({table}))
"""


def run(folder: Path, body: str, *options: str, required: bool) -> tuple[int, str]:
    """Runs pytest on a generated file in which each row of the table is a test with this body."""
    text = "\n".join(SCENARIOS.format(row=row, body=body) for row in ROWS)
    (folder / "test_rows.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]")
    (folder / "conftest.py").write_text(CONFTEST.format(table=TABLE))
    environment = os.environ | {"PYTHONPATH": str(TESTS), "THB_REQUIRE_ALL": "1" if required else "0"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_passing_run_is_a_full_grid_with_one_or_several_processes(tmp_path: Path) -> None:
    status, said = run(tmp_path, "pass", "-n", "2", required=True)
    assert status == 0, said
    assert said.count("✓✓") == MARKS
    assert "??" not in said


@pytest.mark.parametrize("required", [True, False])
def test_missing_cell_is_named_and_fails_when_all_are_required(tmp_path: Path, required: bool) -> None:
    row = ROWS[1]
    status, said = run(tmp_path, "pass", "--deselect", f"test_rows.py::test_{row}[go-standalone]", required=required)
    assert status == (1 if required else 0), said
    assert f"? not in this run: {row}, go, standalone" in said
    assert said.count("✓?") == 1


def test_unsupported_cells_are_marked_and_not_missing(tmp_path: Path) -> None:
    body = "kind == 'standalone' and unsupported('standalone activities')"
    status, said = run(tmp_path, body, required=True)
    assert status == 0, said
    assert said.count("✓·") == MARKS
    assert f"· {UNSUPPORTED}standalone activities: " in said


def test_failed_and_skipped_tests_are_marked(tmp_path: Path) -> None:
    body = "assert kind == 'workflow' or missing('a moon')"
    status, said = run(tmp_path, body, required=False)
    assert status == 0, said
    assert said.count("✓?") == MARKS
    assert "? SKIPPED: needs a moon: " in said
    status, said = run(tmp_path, body, required=True)
    assert status == 1
    assert said.count("✓✗") == MARKS


def test_cell_shows_its_worst_test() -> None:
    cell = Cell(ROWS[0], "c", "workflow")
    for marks in ([Mark.PASSED, Mark.FAILED, Mark.PASSED], [Mark.MISSING, Mark.PASSED]):
        grid = Grid(TABLE)
        for mark in marks:
            grid.record(cell, mark, str(mark))
        assert grid.mark(cell) == max(marks)
