"""Formats the results as tables for the terminal and the documentation."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from compare.goals import goals
from compare.measure import Spread
from compare.paths import PAGE
from compare.peers import GO_SDK, PEERS_BY_NAME, TONIC

Results = dict[str, Any]


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
            f"{cpu[0]:.1f} µs ({cpu[1]:.1f} to {cpu[2]:.1f})",
            f"{found['p50_us'][0]:.0f} µs",
            f"{found['p99_us'][0]:.0f} µs",
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


def goal_tables(results: Results) -> Iterator[str]:
    """Returns two tables: the goals that are met, and those that aren't."""
    every = goals(results)
    for is_met, title in ((True, "Met"), (False, "Not met")):
        found = [goal for goal in every if goal.is_met is is_met]
        yield f"**{title}: {len(found)} of {len(every)}**"
        yield ""
        yield "| | goal | measured |"
        yield "|---|---:|---:|"
        yield from (goal.row() for goal in found)
        yield ""


def write_page(results: Results) -> None:
    """Writes the tables between the marks of the documentation page."""
    page = replace_block(PAGE.read_text(), "goals", list(goal_tables(results)))
    figures = [f"Measured on {results['machine']}; the medians of {results['rounds']} runs.", ""]
    figures += [line for name, peers in results["points"].items() for line in point_table(name, peers)]
    PAGE.write_text(replace_block(page, "measured", [*figures, *cold_table(results), ""]))


def replace_block(page: str, name: str, lines: Sequence[str]) -> str:
    begin, end = f"<!-- {name}: written by `make bench` -->", f"<!-- /{name} -->"
    marked = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
    return marked.sub(lambda _: "\n".join([begin, "", *lines, end]), page)
