"""`make check-release` runs these tests: they need the artefacts of `make release`, and some take minutes."""

import os

import pytest

from release.artefacts import ARTEFACTS
from release.table import pytest_terminal_summary as pytest_terminal_summary

WANTED = os.environ.get("THB_RELEASE") == "1"

collect_ignore_glob = [] if WANTED else ["test_*.py"]


def pytest_sessionstart() -> None:
    if WANTED and not (ARTEFACTS / "SHA256SUMS").exists():
        pytest.exit(f"{ARTEFACTS} has no artefacts: run `make release`, or `make release SNAPSHOT=1`", returncode=2)
