"""Draws SVG pictures with the colors of light and of dark pages."""

from collections.abc import Sequence
from html import escape

# By name: on light pages, on dark pages.
COLORS = {
    "ink": ("#1f2328", "#e6edf3"),
    "muted": ("#59636e", "#9da7b1"),
    "line": ("#8c959f", "#6e7681"),
    "panel": ("#f6f8fa", "#161b22"),
    "edge": ("#d1d9e0", "#3d444d"),
    "blue": ("#0969da", "#58a6ff"),
    "blue-fill": ("#ddf4ff", "#0c2d6b"),
    "green": ("#1a7f37", "#3fb950"),
    "green-fill": ("#dafbe1", "#0f3d1c"),
    "red": ("#cf222e", "#ff7b72"),
    "red-fill": ("#ffebe9", "#5d1114"),
    "amber": ("#9a6700", "#d29922"),
    "amber-fill": ("#fff8c5", "#4b3200"),
}
FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"

Point = tuple[float, float]


class Picture:
    """A picture of a fixed size. Coordinates are in pixels, from the top left corner."""

    def __init__(self, width: int, height: int, description: str) -> None:
        self.width, self.height = width, height
        self._description = description
        self._parts: list[str] = []

    def text(
        self,
        at: Point,
        text: str,
        *,
        color: str = "ink",
        size: float = 15,
        anchor: str = "start",
        bold: bool = False,
        mono: bool = False,
    ) -> None:
        """Writes text. Lines that are separated by a newline are written below each other."""
        style = f'font-size="{size:g}" text-anchor="{anchor}" fill="var(--{color})"'
        style += ' font-weight="600"' if bold else ""
        style += ' class="mono"' if mono else ""
        for number, line in enumerate(text.split("\n")):
            y = at[1] + number * size * 1.3
            self._parts.append(f'<text x="{at[0]:g}" y="{y:g}" {style}>{escape(line)}</text>')

    def box(
        self,
        at: Point,
        size: Point,
        *,
        fill: str = "panel",
        edge: str = "edge",
        radius: float = 8,
        dashed: bool = False,
    ) -> None:
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self._parts.append(
            f'<rect x="{at[0]:g}" y="{at[1]:g}" width="{size[0]:g}" height="{size[1]:g}" rx="{radius:g}" '
            f'fill="{"none" if fill == "none" else f"var(--{fill})"}" stroke="var(--{edge})" stroke-width="1.5"{dash}/>'
        )

    def labelled_box(
        self, at: Point, size: Point, title: str, lines: str = "", *, fill: str = "panel", edge: str = "edge"
    ) -> None:
        """Draws a box with a title in bold and further lines in its center."""
        self.box(at, size, fill=fill, edge=edge)
        count = lines.count("\n") + 1 if lines else 0
        middle, top = at[0] + size[0] / 2, at[1] + size[1] / 2 - count * 9 + 5
        self.text((middle, top), title, anchor="middle", bold=True)
        if lines:
            self.text((middle, top + 19), lines, anchor="middle", size=13.5, color="muted")

    def line(
        self,
        points: Sequence[Point],
        *,
        color: str = "line",
        width: float = 1.5,
        dashed: bool = False,
        arrow: bool = False,
    ) -> None:
        """Draws a line through the points. With `arrow`, it ends in the head of an arrow."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="var(--{color})" stroke-width="{width:g}"{dash}/>'
        )
        if arrow:
            self._head(points[-2], points[-1], color)

    def _head(self, before: Point, end: Point, color: str) -> None:
        dx, dy = end[0] - before[0], end[1] - before[1]
        length = (dx * dx + dy * dy) ** 0.5
        x, y = dx / length, dy / length
        left = (end[0] - 9 * x - 4.5 * y, end[1] - 9 * y + 4.5 * x)
        right = (end[0] - 9 * x + 4.5 * y, end[1] - 9 * y - 4.5 * x)
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in (end, left, right))
        self._parts.append(f'<polygon points="{path}" fill="var(--{color})"/>')

    def dot(self, at: Point, radius: float, color: str) -> None:
        self._parts.append(f'<circle cx="{at[0]:g}" cy="{at[1]:g}" r="{radius:g}" fill="var(--{color})"/>')

    def cross(self, at: Point, color: str = "red", size: float = 6) -> None:
        x, y = at
        self.line([(x - size, y - size), (x + size, y + size)], color=color, width=3)
        self.line([(x - size, y + size), (x + size, y - size)], color=color, width=3)

    def badge(self, at: Point, text: str, color: str = "blue") -> None:
        """Draws a number in a circle."""
        self.dot(at, 11, color)
        self.text((at[0], at[1] + 4.5), text, anchor="middle", size=13, bold=True, color="page")

    def svg(self) -> str:
        light, dark = (
            "".join(f"--{name}:{colors[mode]};" for name, colors in {**COLORS, "page": ("#fff", "#0d1117")}.items())
            for mode in (0, 1)
        )
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" role="img" font-family="{FONT}">'
        )
        style = (
            f"<style>svg{{{light}}}@media (prefers-color-scheme: dark){{svg{{{dark}}}}}"
            f".mono{{font-family:{MONO}}}</style>"
        )
        return "\n".join([head, f"<title>{escape(self._description)}</title>", style, *self._parts, "</svg>\n"])
