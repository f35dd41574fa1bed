"""Runs the measurements of the Python programs. See ../README.md."""

import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

WARM_UP_S = 0.3


@dataclass
class Task:
    """The arguments of a program."""

    address: str
    tokens: list[bytes]
    callers: int
    details: bytes
    seconds: float
    ca: bytes | None = None
    ca_path: str | None = None

    def token(self, caller: int) -> bytes:
        return self.tokens[caller % len(self.tokens)]


def task() -> Task:
    if not 6 <= len(sys.argv) <= 7:
        raise SystemExit(f"usage: {sys.argv[0]} ADDRESS TOKENS CALLERS BYTES SECONDS [CA]")
    address, tokens, callers, size, seconds, *ca = sys.argv[1:]
    lines = Path(tokens).read_text(encoding="ascii").split()
    details = b"x" * int(size)
    found = Task(address, [bytes.fromhex(line) for line in lines], int(callers), details, float(seconds))
    if ca:
        found.ca_path, found.ca = ca[0], Path(ca[0]).read_bytes()
    return found


@dataclass
class Measurement:
    """State that the callers share: whether to continue, and the times of the measured calls."""

    measuring: bool = False
    ending: bool = False
    times_ns: list[list[int]] = field(default_factory=list)

    def begin(self) -> None:
        self._began, self._cpu = time.monotonic(), time.process_time()
        self.measuring = True

    def end(self) -> None:
        self.measuring = False
        self._cpu, self._took = time.process_time() - self._cpu, time.monotonic() - self._began
        self.ending = True

    def report(self) -> None:
        """Prints the results. Prints nothing if each caller sent one heartbeat."""
        times = [ns / 1000 for caller in self.times_ns for ns in caller]
        if not times:
            return
        cuts = statistics.quantiles(times, n=100)
        result = {
            "calls": len(times),
            "seconds": self._took,
            "cpu_s": self._cpu,
            "p50_us": cuts[49],
            "p99_us": cuts[98],
            "rss_mb": peak_memory_mb(),
        }
        print(json.dumps(result))


def peak_memory_mb() -> float:
    """Returns the memory peak. Doesn't use getrusage, because its peak includes that of the parent process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024
