"""Compares Python's `track` over many items with the loop that it replaces. Fails if it costs more than the limit.

track.py [ITEMS]

No server is needed: records are made while the library tries to connect.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bindings" / "python"))

import temporal_heartbeat as thb  # noqa: E402

ITEMS = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
# A pair of short runs at a time: then other work on the machine hardly changes their ratio.
RUNS = 50
LIMIT = 1.2


def with_heartbeat(act: thb.Activity, items: range) -> None:
    for item in items:
        act.heartbeat(item)


def with_track(act: thb.Activity, items: range) -> None:
    for _ in thb.track(items, act, progress=False):
        pass


def seconds(loop: Callable[[thb.Activity, range], None]) -> float:
    with thb.Activity(b"of track", initial_details=[], heartbeat_timeout=86_400, close_timeout=0) as act:
        before = time.perf_counter()
        loop(act, range(ITEMS // RUNS))
        return time.perf_counter() - before


thb.connect("127.0.0.1:1", lazy=True)
times = [(seconds(with_heartbeat), seconds(with_track)) for _ in range(RUNS)]
thb.disconnect(timeout=0.1)
ratio = statistics.median(track / heartbeat for heartbeat, track in times)
for name, total in zip(("heartbeat", "track"), map(sum, zip(*times, strict=True)), strict=True):
    print(f"Python, {ITEMS} items with {name}: {total:.2f} s, {total / ITEMS * 1e9:.0f} ns each")
print(f"Python, track: {ratio:.2f} of the loop with heartbeat; the limit is {LIMIT}")
sys.exit(ratio > LIMIT)
