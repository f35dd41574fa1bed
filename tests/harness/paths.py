"""Where things are."""

import os
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
DRIVERS = TESTS / "drivers"
INCLUDE = ROOT / "include"
PROTO = ROOT / "proto"

# Everything that the tests build goes here: out of the sources and out of git.
BUILD = ROOT / "target" / "e2e"

# The virtual environment's programs, also when it was not activated.
VENV_BIN = Path(sys.executable).parent


def library() -> Path:
    """The shared library under test."""
    default = ROOT / "target" / "release" / "libtemporal_heartbeat.so"
    return Path(os.environ.get("TEMPORAL_HEARTBEAT_LIBRARY") or default)
