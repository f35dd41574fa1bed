"""Compares, records and checks.

python -m compare [--record] [--rounds N] [--only TEXT]     measures all points, or those with TEXT in their name
python -m compare --check                                   measures a few points, and reports what became slower
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from compare import peers, report
from compare.goals import goals
from compare.measure import CHECK_POINTS, POINTS, cold_start, loading, measure
from compare.paths import BUILD, LIBRARY, RECORDED

ROUNDS = 5
CHECK_ROUNDS = 7
COLD_ROUNDS = 11
# Twice the typical difference between the median ratios of two runs of the same code.
TOLERANCE = 1.25

CHECKED = ("c", peers.GO_SDK, peers.TONIC)


def main() -> None:
    parser = argparse.ArgumentParser(prog="compare")
    parser.add_argument(
        "--record", action="store_true", help="keep the results, and write the tables into the documentation"
    )
    parser.add_argument("--check", action="store_true", help="compare with the recorded results")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", default="", help="measure only the points with this text in their name")
    arguments = parser.parse_args()
    if os.getloadavg()[0] > 1:
        print("warning: this machine is busy; only the ratios are meaningful", file=sys.stderr)
    peers.build()
    if arguments.check:
        sys.exit(check())
    compare(arguments.rounds, arguments.only, arguments.record)


def compare(rounds: int, only: str, record: bool) -> None:
    began = time.monotonic()
    every = list(peers.PEERS_BY_NAME.values())
    results: dict[str, Any] = {"machine": machine(), "rounds": rounds, "points": {}}
    for point in POINTS:
        if only in point.name:
            found = results["points"][point.name] = measure(point, every, rounds)
            print("\n".join(report.point_table(point.name, found)), flush=True)
    if only:
        return
    results["cold"] = cold_start(every, COLD_ROUNDS)
    results["loading"] = loading(COLD_ROUNDS)
    results["library_bytes"] = stripped_size()
    print("\n".join([*report.cold_table(results), "", *report.goal_tables(results)]))
    (BUILD / "results.json").write_text(json.dumps(results, indent=1))
    if record:
        RECORDED.write_text(json.dumps(results, indent=1) + "\n")
        report.write_page(results)
    print(
        f"\n{time.monotonic() - began:.0f} s; {sum(goal.is_met for goal in goals(results))} goals met", file=sys.stderr
    )


def check() -> int:
    """Returns the number of figures that are worse than the recorded ones by more than the tolerance.

    A figure counts only if it is worse relative to every peer. Otherwise the peer itself may have changed.
    """
    recorded = json.loads(RECORDED.read_text())["points"]
    worse = 0
    for point in CHECK_POINTS:
        before, now = recorded[point.name], measure(point, peers.named(CHECKED), CHECK_ROUNDS)
        # Concurrent callers wait for each other, and the duration depends on the system's scheduler.
        for figure in ("cpu_us", "p50_us") if point.callers == 1 else ("cpu_us",):
            ratios = {peer: (_ratio(before, figure, peer), _ratio(now, figure, peer)) for peer in CHECKED[1:]}
            slower = all(new > old * TOLERANCE for old, new in ratios.values())
            worse += slower
            said = "; ".join(f"/ {peer} {new:.2f}, was {old:.2f}" for peer, (old, new) in ratios.items())
            print(f"{'SLOWER' if slower else 'ok':6}  {point.name}: {figure} {said}", flush=True)
    return worse


def _ratio(found: dict[str, Any], figure: str, peer: str) -> float:
    ratio: float = found["c"][figure][0] / found[peer][figure][0]
    return ratio


def stripped_size() -> int:
    stripped = BUILD / "stripped.so"
    subprocess.run(["strip", "-o", stripped, LIBRARY], check=True)
    return stripped.stat().st_size


def machine() -> str:
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    name = model.partition(":")[2].strip() or platform.machine()
    return f"{os.cpu_count()} processors ({name}), Linux {platform.release()}, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
