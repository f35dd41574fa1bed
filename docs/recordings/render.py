"""render.py CASTS PICTURES: draws the recorded terminals of a folder as animated SVGs, for light and dark pages.

The frames are below each other, and CSS moves them past the window. Equal lines are drawn once. A reader who prefers
reduced motion sees the last frame.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path

import pyte

# In seconds: a frame lasts at least this long, an idle time is shortened to this, and the last frame stays.
SHORTEST, LONGEST, LAST = 0.12, 2.0, 5.0

TITLES = {"demo": "make demo", "exec": "temporal-heartbeat exec", "work": "temporal-heartbeat work"}

SIZE, COLUMN, LINE = 14, 8.43, 19
BORDER, TITLE_BAR = 14, 34

# By name: on light pages, on dark pages.
COLORS = {
    "page": ("#ffffff", "#0d1117"),
    "edge": ("#d1d9e0", "#3d444d"),
    "bar": ("#f6f8fa", "#161b22"),
    "default": ("#1f2328", "#e6edf3"),
    "brightblack": ("#6e7781", "#8b949e"),
    "red": ("#cf222e", "#ff7b72"),
    "green": ("#1a7f37", "#3fb950"),
    "brown": ("#9a6700", "#d29922"),
    "blue": ("#0969da", "#58a6ff"),
    "magenta": ("#8250df", "#bc8cff"),
    "cyan": ("#1b7c83", "#39c5cf"),
    "white": ("#6e7781", "#b1bac4"),
}
MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace"


@dataclass(frozen=True)
class Run:
    """Characters of one line with the same look."""

    column: int
    text: str
    color: str
    bold: bool


Row = tuple[Run, ...]
Frame = tuple[Row, ...]


def frames(cast: Path) -> Iterator[tuple[float, Frame]]:
    """Yields each frame with its duration."""
    header, *lines = cast.read_text().splitlines()
    size = json.loads(header)
    screen = pyte.Screen(size["width"], size["height"])
    stream = pyte.Stream(screen)
    shown: Frame | None = None
    since, elapsed, before = 0.0, 0.0, 0.0
    for line in lines:
        at, _, text = json.loads(line)
        elapsed += min(at - before, LONGEST)
        before = at
        if shown is not None and elapsed - since >= SHORTEST:
            now = rows(screen)
            if now != shown:
                yield elapsed - since, shown
                shown, since = now, elapsed
        # The emulator has no faint text. Bright black is the usual replacement.
        stream.feed(text.replace("\x1b[2m", "\x1b[90m"))
        if shown is None:
            shown = rows(screen)
    if shown is not None:
        yield elapsed - since, shown
    yield LAST, rows(screen)


def rows(screen: pyte.Screen) -> Frame:
    return tuple(row(screen.buffer[number], screen.columns) for number in range(screen.lines))


def row(line: "pyte.screens.StaticDefaultDict[int, pyte.screens.Char]", columns: int) -> Row:
    found = []
    for (color, bold), cells in groupby(range(columns), lambda column: (line[column].fg, line[column].bold)):
        places = list(cells)
        text = "".join(line[column].data for column in places)
        start = len(text) - len(text.lstrip())
        if text.strip():
            found.append(Run(places[0] + start, text.strip(), color if color in COLORS else "default", bold))
    return tuple(found)


def draw(cast: Path, title: str) -> str:
    every = list(frames(cast))
    height = max(number + 1 for _, frame in every for number, line in enumerate(frame) if line)
    columns = max(run.column + len(run.text) for _, frame in every for line in frame for run in line)
    width = round(BORDER * 2 + max(columns, 76) * COLUMN)
    body = height * LINE + BORDER
    total = sum(seconds for seconds, _ in every)

    names: dict[Row, str] = {}
    strip, steps, elapsed = [], [], 0.0
    # A reader sees the first frame before the animation starts, so it is the first one with text.
    first = next(number for number, (_, frame) in enumerate(every) if any(frame))
    for number, (seconds, frame) in enumerate(every):
        if number == first:
            steps.append(f"0%{{transform:translateY({-number * body}px)}}")
        elif number > first:
            steps.append(f"{elapsed / total * 100:.3g}%{{transform:translateY({-number * body}px)}}")
        elapsed += seconds
        for line_number, line in enumerate(frame[:height]):
            if line:
                name = names.setdefault(line, f"r{len(names)}")
                strip.append(f'<use href="#{name}" y="{number * body + line_number * LINE}"/>')
    lines = [f'<g id="{name}">{"".join(map(drawn_run, line))}</g>' for line, name in names.items()]
    end = f"translateY({-(len(every) - 1) * body}px)"
    light, dark = ("".join(f"--{name}:{both[mode]};" for name, both in COLORS.items()) for mode in (0, 1))
    style = (
        f"svg{{{light}}}@media (prefers-color-scheme: dark){{svg{{{dark}}}}}"
        f"text{{font:{SIZE}px {MONO};white-space:pre;fill:var(--default)}}.b{{font-weight:700}}"
        ".page{fill:var(--page);stroke:var(--edge)}"
        + "".join(f".{name}{{fill:var(--{name})}}" for name in COLORS if name not in ("page", "edge", "bar", "default"))
        + f".strip{{transform:{end};animation:strip {total:.1f}s steps(1,end) infinite}}"
        f"@keyframes strip{{{''.join(steps)}100%{{transform:{end}}}}}"
        f".time{{transform-origin:0 0;animation:time {total:.1f}s linear infinite}}"
        "@keyframes time{from{transform:scaleX(0)}}"
        "@media (prefers-reduced-motion: reduce){.strip,.time{animation:none}}"
    )
    full = TITLE_BAR + body + BORDER
    dots = "".join(f'<circle cx="{18 + 18 * number}" cy="17" r="5.5" fill="var(--edge)"/>' for number in range(3))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {full}" width="{width}" height="{full}" '
            'role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{style}</style>",
            f'<rect x=".5" y=".5" width="{width - 1}" height="{full - 1}" rx="8" class="page"/>',
            f'<path d="M1 {TITLE_BAR}V8a7 7 0 0 1 7-7H{width - 8}a7 7 0 0 1 7 7V{TITLE_BAR}z" fill="var(--bar)"/>',
            f'<rect class="time" x="1" y="{TITLE_BAR - 2}" width="{width - 2}" height="2" fill="var(--green)"/>',
            dots,
            f'<text x="{width / 2}" y="22" text-anchor="middle" class="brightblack">{escape(title)}</text>',
            "<defs>",
            *lines,
            "</defs>",
            f'<svg x="{BORDER}" y="{TITLE_BAR + BORDER}" width="{width - 2 * BORDER}" height="{body}">',
            '<g class="strip">',
            *strip,
            "</g>",
            "</svg>",
            "</svg>\n",
        ]
    )


def drawn_run(run: Run) -> str:
    """Returns the text at a fixed width, so that the columns are below each other in every font."""
    classes = " ".join([*(["b"] if run.bold else []), *([run.color] if run.color != "default" else [])])
    look = f' class="{classes}"' if classes else ""
    length = f' textLength="{len(run.text) * COLUMN:.1f}" lengthAdjust="spacingAndGlyphs"' if len(run.text) > 1 else ""
    return f'<text x="{run.column * COLUMN:.1f}" y="{SIZE}"{look}{length}>{escape(run.text)}</text>'


def main() -> None:
    casts, pictures = map(Path, sys.argv[1:])
    for name, title in TITLES.items():
        (pictures / f"{name}.svg").write_text(draw(casts / f"{name}.cast", title))


if __name__ == "__main__":
    main()
