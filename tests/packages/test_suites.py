"""Tests of the program that runs all suites."""

from pathlib import Path

import pytest

import suites

FAILS_ONCE = """
from pathlib import Path

def test_fails_once(request):
    marker = Path(__file__).with_name("marker")
    again = marker.exists()
    marker.touch()
    assert again
"""
FAILS = "def test_fails():\n    assert False\n"


@pytest.mark.parametrize(
    ("tests", "last_lines"),
    [(FAILS_ONCE, ["0 passed, 0 failed"]), (FAILS_ONCE + FAILS, ["0 passed, 1 failed"])],
    ids=["unstable", "unstable and failed"],
)
def test_failed_tests_are_repeated_and_listed(
    tests: str,
    last_lines: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "test_planted.py").write_text(tests)
    monkeypatch.setattr(suites, "SUITES", {"planted": lambda: suites.pytest(tmp_path)})
    status = suites.main([])
    printed = capfd.readouterr().out
    assert printed.splitlines()[-1:] == last_lines
    assert "Unstable: 1" in printed
    assert "  test_planted::test_fails_once\n" in printed
    assert status == (1 if FAILS in tests else 0)
