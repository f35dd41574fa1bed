"""`make check-release` runs these tests: they need the artefacts of `make release`, and some take minutes."""

import os

from release.table import pytest_terminal_summary as pytest_terminal_summary

collect_ignore_glob = [] if os.environ.get("THB_RELEASE") == "1" else ["test_*.py"]
