"""Runs the programs alternately, several times, and computes the medians."""

import json
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from compare.paths import LAUNCH, LIBRARY, LOAD
from compare.peers import Peer, environment
from compare.servers import Target, target

# The duration of one program's run, without its warm-up.
SECONDS = 0.7
# A program that takes longer is treated as hung.
PATIENCE = 60

# The median, the lowest and the highest value of several runs.
Spread = tuple[float, float, float]


@dataclass(frozen=True)
class Point:
    """The parameters of a measurement. Only one differs from the base point."""

    axis: str
    server: str = "null"
    callers: int = 16
    size: int = 64

    @property
    def name(self) -> str:
        return f"{self.server}, {self.callers} callers, {self.size} bytes"

    @property
    def is_base(self) -> bool:
        return (self.server, self.callers, self.size) == ("null", 16, 64)

    def takes(self, peer: Peer) -> bool:
        return (self.is_base or not peer.only_base) and (self.server == "null" or not peer.only_null)


POINTS = (
    *(Point("callers", callers=callers) for callers in (1, 4, 16, 64, 256)),
    *(Point("details", size=size) for size in (0, 4096, 256 * 1024)),
    *(Point("tls", "tls", callers) for callers in (1, 16, 64)),
    Point("real", "real"),
)
# The fewest points that show whether something became slower.
CHECK_POINTS = (
    Point("callers", callers=1),
    Point("callers"),
    Point("callers", callers=64),
    Point("details", size=4096),
)


def spread(values: Sequence[float]) -> Spread:
    return statistics.median(values), min(values), max(values)


def measure(point: Point, peers: Sequence[Peer], rounds: int) -> dict[str, dict[str, Spread]]:
    """Returns the spread of each figure by peer. Each round runs all peers, so that a busy moment affects all."""
    peers = [peer for peer in peers if point.takes(peer)]
    runs: dict[str, list[dict[str, float]]] = {peer.name: [] for peer in peers}
    with target(point.server) as server:
        for _ in range(rounds):
            for peer in peers:
                runs[peer.name].append(_run(peer, server, point))
    return {name: {key: spread([run[key] for run in found]) for key in found[0]} for name, found in runs.items()}


def _run(peer: Peer, server: Target, point: Point) -> dict[str, float]:
    command = _command(peer, server, point.callers, point.size, SECONDS)
    done = subprocess.run(command, env=environment(peer), capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode != 0 or not done.stdout:
        raise SystemExit(f"{peer.name} failed ({point.name}):\n{done.stderr}")
    said = json.loads(done.stdout.splitlines()[-1])
    calls = said["calls"]
    return {
        "rate": calls / said["seconds"],
        "cpu_us": said["cpu_s"] / calls * 1e6,
        "p50_us": said["p50_us"],
        "p99_us": said["p99_us"],
        "rss_mb": said["rss_mb"],
    }


def _command(peer: Peer, server: Target, callers: int, size: int, seconds: float) -> list[str]:
    arguments = [server.address, server.tokens, callers, size, seconds, *([server.ca] if server.ca else [])]
    return [*peer.command, *map(str, arguments)]


def cold_start(peers: Sequence[Peer], rounds: int) -> dict[str, dict[str, Spread]]:
    """Measures a whole process that sends one acknowledged heartbeat."""
    runs: dict[str, list[dict[str, float]]] = {peer.name: [] for peer in peers if peer.has_cold_start}
    with target("null") as server:
        for _ in range(rounds):
            for peer in peers:
                if peer.has_cold_start:
                    runs[peer.name].append(_once(_command(peer, server, 1, 64, 0), peer))
    return {name: {key: spread([run[key] for run in found]) for key in found[0]} for name, found in runs.items()}


def _once(command: list[str], peer: Peer) -> dict[str, float]:
    launch = [str(LAUNCH), *command]
    done = subprocess.run(launch, env=environment(peer), capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{peer.name} failed in the cold start:\n{done.stderr}")
    used: dict[str, float] = json.loads(done.stdout)
    return used


def loading(rounds: int) -> dict[str, Spread]:
    """Measures the cost of a library that is loaded and never called."""
    runs = [json.loads(subprocess.check_output([LOAD, LIBRARY], text=True)) for _ in range(rounds)]
    return {key: spread([run[key] for run in runs]) for key in runs[0]}
