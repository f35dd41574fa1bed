"""The goals, and the measured values."""

from dataclasses import dataclass
from typing import Any

Results = dict[str, Any]


@dataclass(frozen=True)
class Goal:
    what: str
    wanted: float
    found: float
    # True if a higher value is better.
    at_least: bool = False
    unit: str = "x"

    @property
    def is_met(self) -> bool:
        return self.found >= self.wanted if self.at_least else self.found <= self.wanted

    def row(self) -> str:
        sign = "at least" if self.at_least else "at most"
        return f"| {self.what} | {sign} {self.wanted:g} {self.unit} | {self.found:.2f} {self.unit} |"


def goals(results: Results) -> list[Goal]:
    def ratio(point: str, figure: str, ours: str, theirs: str) -> float:
        peers = results["points"][point]
        found: float = peers[ours][figure][0] / peers[theirs][figure][0]
        return found

    def at(callers: int, server: str = "null") -> str:
        return f"{server}, {callers} callers, 64 bytes"

    cold, size = results["cold"], results["library_bytes"]
    found = []
    found += [
        Goal("CPU a call, 64 in flight of one C thread / Go SDK", 0.3, ratio(at(64), "cpu_us", "c-queue", "go-sdk")),
        Goal(
            "CPU a call, 64 in flight of one C thread / bare tonic", 0.75, ratio(at(64), "cpu_us", "c-queue", "tonic")
        ),
        Goal(
            "calls/s, 64 in flight of one C thread / Go SDK",
            3,
            ratio(at(64), "rate", "c-queue", "go-sdk"),
            at_least=True,
        ),
    ]
    for callers in (16, 64):
        found += [
            Goal(f"CPU a call, {callers} C threads / Go SDK", 0.5, ratio(at(callers), "cpu_us", "c", "go-sdk")),
            Goal(
                f"CPU a call, {callers} C threads / Go SDK, default",
                0.25,
                ratio(at(callers), "cpu_us", "c", "go-sdk-gzip"),
            ),
        ]
    found += [
        Goal("p50, one C thread / bare tonic on its own thread", 0.9, ratio(at(1), "p50_us", "c", "tonic")),
        Goal("p50, one C thread / Go SDK", 0.7, ratio(at(1), "p50_us", "c", "go-sdk")),
        Goal("CPU a call, 16 Python threads / Python SDK", 0.3, ratio(at(16), "cpu_us", "python", "python-sdk")),
        Goal("CPU a call, 64 tasks of asyncio / Python SDK", 0.2, ratio(at(64), "cpu_us", "python-aio", "python-sdk")),
        Goal("CPU a call, 64 goroutines / Go SDK", 0.5, ratio(at(64), "cpu_us", "go", "go-sdk")),
        Goal("p99, 64 goroutines / Go SDK", 1, ratio(at(64), "p99_us", "go", "go-sdk")),
        Goal("real server: calls/s, C / Go SDK", 1, ratio(at(16, "real"), "rate", "c", "go-sdk"), at_least=True),
        Goal("real server: CPU a call, C / Go SDK", 0.25, ratio(at(16, "real"), "cpu_us", "c", "go-sdk")),
        Goal("cold start: CPU, C / Go SDK", 0.2, cold["c"]["cpu_ms"][0] / cold["go-sdk"]["cpu_ms"][0]),
        Goal("cold start: memory, C", 5, cold["c"]["rss_mb"][0], unit="MB"),
    ]
    if at(16, "tls") in results["points"]:
        for callers in (16, 64):
            plain = ratio(at(callers), "cpu_us", "c", "go-sdk")
            secure = ratio(at(callers, "tls"), "cpu_us", "c", "go-sdk")
            found.append(
                Goal(f"CPU a call, {callers} C threads / Go SDK: with TLS / in plaintext", 1.2, secure / plain)
            )
    found.append(Goal("shared library, stripped", 3.1, size / 1e6, unit="MB"))
    return found
