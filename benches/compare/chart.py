"""Draws charts as SVG, readable on light and on dark pages."""

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 210, 40, 44
# A palette for readers with colour blindness.
COLOURS = (
    "#0072b2",
    "#009e73",
    "#56b4e9",
    "#d55e00",
    "#e69f00",
    "#cc79a7",
    "#b07aa1",
    "#999999",
    "#8c6d31",
    "#5f5f5f",
    "#44aa99",
    "#882255",
)
GREY = "#8a8a8a"

# The points of a line from left to right: each has a value, the lowest value and the highest value.
Line = Sequence[tuple[float, float, float]]


def lines(title: str, unit: str, across: str, steps: Sequence[str], series: Mapping[str, Line]) -> str:
    """Draws values on a logarithmic scale over equal steps. The bars show the spread of the runs."""
    values = [value for line in series.values() for point in line for value in point if value > 0]
    low, high = _decade(min(values), math.floor), _decade(max(values), math.ceil)

    def x(step: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (step + 0.5) / len(steps)

    def y(value: float) -> float:
        part = (math.log10(max(value, 10**low)) - low) / (high - low)
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * part

    parts = [_text(LEFT, 20, title, weight="bold"), _text(LEFT, TOP - 6, unit, size=11, colour=GREY)]
    for power in range(low, high + 1):
        at = y(10**power)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="{GREY}" opacity=".35"/>'
        )
        parts.append(_text(LEFT - 6, at + 4, _short(10.0**power), anchor="end", size=11, colour=GREY))
    for step, name in enumerate(steps):
        parts.append(_text(x(step), HEIGHT - BOTTOM + 18, name, anchor="middle", size=11, colour=GREY))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, across, anchor="middle", size=11, colour=GREY))
    labels = _apart({name: y(line[-1][0]) for name, line in series.items()})
    for colour, (name, line) in zip(COLOURS, series.items(), strict=False):
        path = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, (value, _, _) in enumerate(line))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for step, (value, lowest, highest) in enumerate(line):
            parts.append(f'<circle cx="{x(step):.1f}" cy="{y(value):.1f}" r="3" fill="{colour}"/>')
            parts.append(_bar(x(step), y(lowest), y(highest), colour))
        parts.append(
            _text(WIDTH - RIGHT + 8, labels[name] + 4, f"{name}: {_short(line[-1][0])}", size=12, colour=colour)
        )
    return _svg(parts, HEIGHT)


def bars(title: str, unit: str, values: Mapping[str, tuple[float, float, float]]) -> str:
    """Draws one bar for each value, on a scale from zero."""
    row, left = 26, 190
    height = TOP + row * len(values) + 16
    widest = max(highest for _, _, highest in values.values())
    parts = [_text(12, 20, f"{title}, {unit}", weight="bold")]
    for at, (colour, (name, (value, _, _))) in enumerate(zip(COLOURS, values.items(), strict=False)):
        top = TOP + row * at
        width = max((WIDTH - left - 90) * value / widest, 1)
        parts.append(_text(left - 8, top + 14, name, anchor="end", size=12, colour=GREY))
        parts.append(f'<rect x="{left}" y="{top}" width="{width:.1f}" height="{row - 8}" fill="{colour}"/>')
        parts.append(_text(left + width + 6, top + 14, _short(value), size=12, colour=GREY))
    return _svg(parts, height)


def _svg(parts: Sequence[str], height: int) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">'
    return "\n".join([head, *parts, "</svg>\n"])


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 14, colour: str = GREY, weight: str = "normal"
) -> str:
    style = f'text-anchor="{anchor}" font-size="{size}" fill="{colour}" font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def _bar(x: float, y1: float, y2: float, colour: str) -> str:
    return f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y1:.1f}" y2="{y2:.1f}" stroke="{colour}" opacity=".6"/>'


def _decade(value: float, towards: object) -> int:
    return int(towards(math.log10(value)))  # type: ignore[operator]


def _short(value: float) -> str:
    if value >= 10_000:
        return f"{value / 1000:.0f} k"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _apart(wanted: Mapping[str, float], distance: float = 16) -> dict[str, float]:
    """Returns positions at which the labels don't overlap."""
    placed: dict[str, float] = {}
    last = -math.inf
    for name, y in sorted(wanted.items(), key=lambda item: item[1]):
        last = max(y, last + distance)
        placed[name] = last
    over = max(0.0, last - (HEIGHT - BOTTOM + 10))
    return {name: y - over for name, y in placed.items()}
