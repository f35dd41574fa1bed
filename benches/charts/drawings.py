"""The charts."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from charts.numbers import GAIN_FIGURES, GAIN_ROWS, number
from charts.style import GRID, INK, MUTED, PEERS, figure, panel, placeholder
from compare.peers import OURS, PEERS_BY_NAME

Results = dict[str, Any]

CALLERS = (1, 4, 16, 64, 256)
# The programs of one language, ours first. C has no SDK, so its panel has bare tonic and the Go SDK.
LANGUAGES = {
    "C": ("c", "c-queue", "tonic", "go-sdk"),
    "Go": ("go", "go-sdk", "go-sdk-gzip"),
    "Python": ("python", "python-aio", "python-sdk", "python-sdk-gzip"),
}
# In the panel of a language, its name needn't be repeated.
SHORT = {
    "c": "threads",
    "c-queue": "one thread with a queue",
    "go": "goroutines",
    "python": "threads",
    "python-aio": "asyncio",
    "tonic": "bare tonic (Rust)",
    "go-sdk": "Go SDK",
    "go-sdk-gzip": "Go SDK, default (gzip)",
    "python-sdk": "Python SDK",
    "python-sdk-gzip": "Python SDK, default (gzip)",
}
LABELS = {peer.name: peer.label for peer in PEERS_BY_NAME.values()} | {"c-queue": "C, with a queue"}
BOLD = "bold: temporal-heartbeat"
MARKED = "bold and solid: temporal-heartbeat; dashed: other clients"


def at(results: Results, callers: int) -> Mapping[str, Mapping[str, Sequence[float]]]:
    found: Mapping[str, Mapping[str, Sequence[float]]] = results["points"][f"null, {callers} callers, 64 bytes"]
    return found


def gain(results: Results) -> Figure:
    """What a user gains: this project and the SDK of the same language, with 64 heartbeats in flight."""
    point = at(results, 64)
    rows = GAIN_ROWS
    names = ("Go, this library", "Go SDK", "Python, this library", "Python SDK")
    drawn = figure("What a heartbeat costs", "64 heartbeats in flight, without compression; lower is better", 10, 3.4)
    panels: Sequence[Axes] = drawn.subplots(1, 3)
    drawn.subplots_adjust(left=0.2, right=0.965, top=0.6, bottom=0.03, wspace=0.25)
    places = [0, 1, 2.5, 3.5]
    for axes, (key, title, unit, scale) in zip(panels, GAIN_FIGURES, strict=True):
        panel(axes, title, unit)
        values = [point[peer][key][0] / scale for peer in rows]
        axes.barh(places, values, height=0.82, color=[placeholder(PEERS[peer]) for peer in rows])
        for place, peer, value in zip(places, rows, values, strict=True):
            weight = "bold" if peer in OURS else "normal"
            axes.annotate(
                number(value), (value, place), (5, 0), textcoords="offset points", va="center", fontweight=weight
            )
        axes.set_xlim(0, max(values) * 1.18)
        axes.invert_yaxis()
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        axes.set_yticks(places, names if axes is panels[0] else [""] * len(rows))
        mark_ours(axes, rows)
    return drawn


def by_callers(results: Results, key: str, title: str, better: str, ticks: Sequence[float]) -> Figure:
    """A figure of each program by the number of callers, one panel for each language, with the spread of the runs."""
    drawn = figure(title, f"{better}; log scale; {MARKED}", 11, 5.4)
    panels: Sequence[Axes] = drawn.subplots(1, len(LANGUAGES), sharey=True)
    drawn.subplots_adjust(left=0.075, right=0.985, top=0.6, bottom=0.11, wspace=0.1)
    steps = range(len(CALLERS))
    for axes, (language, peers) in zip(panels, LANGUAGES.items(), strict=True):
        panel(axes)
        axes.text(0, 1.46, language, transform=axes.transAxes, fontsize=14, fontweight="bold", va="top")
        for peer in peers:
            spreads = [at(results, callers)[peer][key] for callers in CALLERS]
            lowest, highest = ([spread[side] for spread in spreads] for side in (1, 2))
            axes.fill_between(steps, lowest, highest, color=placeholder(PEERS[peer]), alpha=0.15, linewidth=0)
            line(axes, list(steps), [spread[0] for spread in spreads], peer)
        axes.set_yscale("log")
        axes.grid(axis="y")
        axes.set_yticks(ticks, [number(tick) for tick in ticks])
        axes.minorticks_off()
        axes.set_xticks(list(steps), [str(callers) for callers in CALLERS])
        axes.set_xlim(-0.25, len(CALLERS) - 0.75)
    panels[1].set_xlabel("calls in flight at the same time")
    for axes in panels:
        legend(axes)
    return drawn


def line(axes: Axes, steps: Sequence[float], values: Sequence[float], peer: str) -> None:
    ours = peer in OURS
    axes.plot(
        steps,
        values,
        color=placeholder(PEERS[peer]),
        linewidth=2.8 if ours else 1.6,
        linestyle="-" if ours else (0, (4, 2)),
        marker="o",
        markersize=6 if ours else 4,
        label=SHORT[peer],
        zorder=3 if ours else 2,
    )


def legend(axes: Axes) -> None:
    drawn = axes.legend(
        loc="upper left", bbox_to_anchor=(-0.02, 1.34), frameon=False, handlelength=2.4, labelspacing=0.3, borderpad=0
    )
    ours = {SHORT[peer] for peer in OURS}
    for text in drawn.get_texts():
        text.set_color(placeholder(INK))
        if text.get_text() in ours:
            text.set_fontweight("bold")


def latency(results: Results) -> Figure:
    """The median and the 99th percentile of the time of a heartbeat, one row for each program."""
    rows = (
        "c",
        "c-queue",
        "tonic",
        "go",
        "go-sdk",
        "go-sdk-gzip",
        "python",
        "python-aio",
        "python-sdk",
        "python-sdk-gzip",
    )
    counts = (1, 16, 64)
    drawn = figure(
        "Time until a heartbeat is acknowledged, in microseconds",
        f"from the median (dot) to the 99th percentile (bar); lower is better; log scale; {BOLD}",
        11,
        5.2,
    )
    panels: Sequence[Axes] = drawn.subplots(1, len(counts))
    drawn.subplots_adjust(left=0.225, right=0.985, top=0.79, bottom=0.07, wspace=0.12)
    for axes, callers in zip(panels, counts, strict=True):
        panel(axes, "1 caller" if callers == 1 else f"{callers} callers")
        for row, peer in enumerate(rows):
            p50, p99 = (at(results, callers)[peer][key][0] for key in ("p50_us", "p99_us"))
            colour, ours = placeholder(PEERS[peer]), peer in OURS
            axes.plot([p50, p99], [row, row], color=colour, linewidth=3.2 if ours else 1.6, solid_capstyle="butt")
            axes.plot([p50], [row], "o", color=colour, markersize=8 if ours else 5.5)
            axes.plot([p99], [row], "|", color=colour, markersize=12, markeredgewidth=2.4)
        axes.set_xscale("log")
        axes.set_xlim(45, 16_000)
        axes.set_xticks([100, 1000, 10_000], ["100", "1,000", "10,000"])
        name_rows(axes, rows, is_first=axes is panels[0])
    return drawn


def cold(results: Results) -> Figure:
    """The cost of a process that sends one heartbeat, one row for each program."""
    found = results["cold"]
    rows = sorted(found, key=lambda peer: (peer not in OURS, found[peer]["cpu_ms"][0]))
    drawn = figure(
        "Cold start: connect, send one heartbeat, end",
        f"lower is better; log scale; {BOLD}",
        11,
        5.1,
    )
    panels: Sequence[Axes] = drawn.subplots(1, 2)
    drawn.subplots_adjust(left=0.225, right=0.95, top=0.75, bottom=0.07, wspace=0.12)
    figures = (
        ("cpu_ms", "Processor time", "milliseconds", (1, 4000)),
        ("rss_mb", "Memory", "megabytes of the process", (2, 300)),
    )
    for axes, (key, title, unit, limits) in zip(panels, figures, strict=True):
        panel(axes, title, unit)
        for row, peer in enumerate(rows):
            value, colour, ours = found[peer][key][0], placeholder(PEERS[peer]), peer in OURS
            axes.plot([limits[0], value], [row, row], color=colour, linewidth=3.2 if ours else 1.6)
            axes.plot([value], [row], "o", color=colour, markersize=8 if ours else 5.5)
            axes.annotate(
                number(value),
                (value, row),
                (9, 0),
                textcoords="offset points",
                va="center",
                fontweight="bold" if ours else "normal",
            )
        axes.set_xscale("log")
        axes.set_xlim(*limits)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        name_rows(axes, rows, is_first=axes is panels[0])
    return drawn


def name_rows(axes: Axes, rows: Sequence[str], *, is_first: bool) -> None:
    """Gives each program its row, and names the rows at the first panel."""
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    axes.grid(axis="x")
    axes.set_ylim(len(rows) - 0.5, -0.6)
    axes.set_yticks(range(len(rows)), [LABELS[peer] for peer in rows] if is_first else [])
    mark_ours(axes, rows)


def mark_ours(axes: Axes, rows: Sequence[str]) -> None:
    axes.spines["left"].set_color(placeholder(GRID))
    for peer, text in zip(rows, axes.get_yticklabels(), strict=False):
        text.set_color(placeholder(INK if peer in OURS else MUTED))
        text.set_fontweight("bold" if peer in OURS else "normal")


def all_charts(results: Results) -> dict[str, Figure]:
    """Returns the charts by the names of their files, without the ending."""
    return {
        "gain": gain(results),
        "cpu": by_callers(
            results,
            "cpu_us",
            "Processor time per heartbeat, in microseconds",
            "lower is better",
            (5, 10, 20, 50, 100, 200),
        ),
        "rate": by_callers(
            results,
            "rate",
            "Heartbeats per second",
            "higher is better",
            (5_000, 10_000, 20_000, 50_000, 100_000, 200_000),
        ),
        "latency": latency(results),
        "cold": cold(results),
    }
