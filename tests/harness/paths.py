"""Paths of the project's files."""

import os
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
DRIVERS = TESTS / "drivers"
INCLUDE = ROOT / "include"
PROTO = ROOT / "proto"

# The folder for everything that the tests build, outside of the sources and of git.
BUILD = ROOT / "target" / "e2e"

# The programs of the virtual environment, which needn't be activated.
VENV_BIN = Path(sys.executable).parent


def library() -> Path:
    """Returns the path of the shared library under test."""
    default = ROOT / "target" / "release" / "libtemporal_heartbeat.so"
    return Path(os.environ.get("TEMPORAL_HEARTBEAT_LIBRARY") or default)
