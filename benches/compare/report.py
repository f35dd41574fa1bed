"""Formats the results: tables for the terminal and the documentation, and the charts."""

import re
from collections.abc import Iterator
from typing import Any

from compare import chart
from compare.goals import goals
from compare.measure import Spread
from compare.paths import CHARTS, PAGE
from compare.peers import GO_SDK, PEERS_BY_NAME, TONIC

Results = dict[str, Any]
BEGIN, END = "<!-- measured: written by `make bench` -->", "<!-- /measured -->"


def label(name: str) -> str:
    return PEERS_BY_NAME[name].label


def point_table(name: str, peers: dict[str, dict[str, Spread]]) -> Iterator[str]:
    yield f"**{name}**"
    yield ""
    yield "| | calls/s | CPU a call | p50 | p99 | memory | CPU / Go SDK | CPU / tonic |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for peer, found in peers.items():
        cpu = found["cpu_us"]
        ratios = (cpu[0] / peers[other]["cpu_us"][0] for other in (GO_SDK, TONIC))
        cells = [
            f"{found['rate'][0]:,.0f}",
            f"{cpu[0]:.1f} us ({cpu[1]:.1f} to {cpu[2]:.1f})",
            f"{found['p50_us'][0]:.0f} us",
            f"{found['p99_us'][0]:.0f} us",
            f"{found['rss_mb'][0]:.1f} MB",
            *(f"{ratio:.2f}" for ratio in ratios),
        ]
        yield f"| {label(peer)} | {' | '.join(cells)} |"
    yield ""


def cold_table(results: Results) -> Iterator[str]:
    yield "| from nothing to one acknowledged beat, and the end | wall | CPU | memory |"
    yield "|---|---:|---:|---:|"
    for peer, found in results["cold"].items():
        cells = [f"{found['wall_ms'][0]:.1f} ms", f"{found['cpu_ms'][0]:.1f} ms", f"{found['rss_mb'][0]:.1f} MB"]
        yield f"| {label(peer)} | {' | '.join(cells)} |"
    yield ""
    loading = {key: value[0] for key, value in results["loading"].items()}
    yield (
        f"Loading the library alone: {loading['us'] / 1000:.2f} ms, {loading['private_kb']:.0f} KB of private memory, "
        f"{loading['heap_bytes']:.0f} bytes of the heap, {loading['threads']:.0f} threads. "
        f"It is {results['library_bytes'] / 1e6:.2f} MB, stripped."
    )


def goal_table(results: Results) -> Iterator[str]:
    yield "| | goal | measured | |"
    yield "|---|---:|---:|---|"
    yield from (goal.row() for goal in goals(results))


def write_charts(results: Results) -> None:
    CHARTS.mkdir(parents=True, exist_ok=True)
    points = results["points"]
    callers = {name: point for name, point in points.items() if name.startswith("null") and name.endswith(" 64 bytes")}
    steps = [name.split()[1] for name in callers]
    common = [peer for peer in next(iter(callers.values())) if all(peer in point for point in callers.values())]
    for figure, title, unit in (
        ("cpu_us", "Processor time of a heartbeat", "microseconds of CPU a call, of the client alone"),
        ("rate", "Heartbeats per second", "calls/s"),
        ("p50_us", "Time of a heartbeat, median", "microseconds"),
    ):
        series = {label(peer): [tuple(point[peer][figure]) for point in callers.values()] for peer in common}
        drawn = chart.lines(title, unit, "callers at the same time", steps, series)
        (CHARTS / f"{figure.removesuffix('_us')}.svg").write_text(drawn)
    for figure, title, unit in (("cpu_ms", "Cold start: processor time", "ms"), ("rss_mb", "Cold start: memory", "MB")):
        values = {label(peer): tuple(found[figure]) for peer, found in results["cold"].items()}
        (CHARTS / f"cold-{figure.split('_')[0]}.svg").write_text(chart.bars(title, unit, values))


def write_page(results: Results) -> None:
    """Writes the tables between the marks of the documentation page."""
    rows = [
        BEGIN,
        "",
        f"Measured on {results['machine']}; the medians of {results['rounds']} runs.",
        "",
        *goal_table(results),
        "",
    ]
    rows += [line for name, peers in results["points"].items() for line in point_table(name, peers)]
    rows += [*cold_table(results), "", END]
    page = PAGE.read_text()
    marked = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    PAGE.write_text(marked.sub(lambda _: "\n".join(rows), page))
