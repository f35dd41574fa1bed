"""Paths of the benchmarks."""

import sys
from pathlib import Path

BENCHES = Path(__file__).resolve().parents[1]
ROOT = BENCHES.parent
PEERS = BENCHES / "peers"
BUILD = ROOT / "target" / "benches"
LIBRARY = ROOT / "target" / "release" / "libtemporal_heartbeat.so"
PYTHON_PACKAGE = ROOT / "bindings" / "python"
VENV_PYTHON = sys.executable

# The last recorded results, for the documentation and for `make bench-check`.
RECORDED = BENCHES / "results" / "recorded.json"
CHARTS = ROOT / "docs" / "performance"
PAGE = ROOT / "docs" / "performance.md"

NULL_SERVER = BUILD / "release" / "null_server"
LOAD = BUILD / "c" / "load"
LAUNCH = BUILD / "c" / "launch"
