"""The look of all charts: one colour for each peer, readable on light and on dark pages."""

import re
from dataclasses import dataclass
from io import StringIO
from typing import Any

import matplotlib

matplotlib.use("svg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Look:
    """A colour on light and on dark pages. Its name is a CSS variable in the chart."""

    name: str
    light: str
    dark: str


INK = Look("ink", "#1f2328", "#e6edf3")
MUTED = Look("muted", "#59636e", "#9da7b1")
GRID = Look("grid", "#d8dee4", "#3b434c")
# Solid colours are this project's programs, in blue and green. Dashed ones are other clients.
PEERS = {
    "c": Look("c", "#0969da", "#58a6ff"),
    "c-queue": Look("c-queue", "#6639ba", "#bc8cff"),
    "python": Look("python", "#1a7f37", "#3fb950"),
    "python-aio": Look("python-aio", "#4d7c0f", "#a3d14b"),
    "go": Look("go", "#0e7490", "#39c5cf"),
    "go-sdk": Look("go-sdk", "#bc4c00", "#f0883e"),
    "go-sdk-gzip": Look("go-sdk-gzip", "#d4a72c", "#e3b341"),
    "python-sdk": Look("python-sdk", "#bf3989", "#f778ba"),
    "python-sdk-gzip": Look("python-sdk-gzip", "#cf222e", "#ff7b72"),
    "java-sdk": Look("java-sdk", "#7d4e00", "#c69026"),
    "tonic": Look("tonic", "#59636e", "#9da7b1"),
    "wire": Look("wire", "#8c959f", "#6e7681"),
}
LOOKS = (INK, MUTED, GRID, *PEERS.values())
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def placeholder(look: Look) -> str:
    """Returns the colour that stands for the look until `svg` replaces it by a CSS variable."""
    return f"#0f0f{LOOKS.index(look):02x}"


matplotlib.rcParams.update(
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "temporal-heartbeat",
        "font.size": 12,
        "axes.edgecolor": placeholder(GRID),
        "axes.labelcolor": placeholder(MUTED),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "grid.color": placeholder(GRID),
        "xtick.color": placeholder(GRID),
        "ytick.color": placeholder(GRID),
        "xtick.labelcolor": placeholder(MUTED),
        "ytick.labelcolor": placeholder(MUTED),
        "text.color": placeholder(INK),
    }
)


def figure(title: str, subtitle: str, width: float, height: float) -> Figure:
    """Returns a figure of that size in inches, with its title and, below it, the unit, the scale and what is better."""
    drawn = Figure(figsize=(width, height))
    drawn.text(0.012, 1 - 0.24 / height, title, fontsize=16, fontweight="bold", va="center")
    drawn.text(0.012, 1 - 0.54 / height, subtitle, color=placeholder(MUTED), va="center")
    return drawn


def panel(axes: Axes, title: str = "", unit: str = "") -> None:
    axes.set_facecolor("none")
    axes.tick_params(length=0)
    if title:
        axes.set_title(title, loc="left", fontsize=13, fontweight="bold", pad=22 if unit else 6)
    if unit:
        axes.annotate(
            unit, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", color=placeholder(MUTED)
        )


def svg(drawn: Figure, source: str) -> str:
    """Returns the figure as SVG. `source` identifies the data and the program that drew it."""
    out = StringIO()
    nothing: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    drawn.savefig(out, format="svg", transparent=True, metadata=nothing)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    for look in LOOKS:
        text = text.replace(placeholder(look), f"var(--{look.name})")
    text = re.sub(r"(font: [^';\"]*?\d+px) [^;\"]*", lambda found: f"{found[1]} {FONT}", text)
    text = re.sub(r' (?:width|height)="[0-9.]+pt"', "", text, count=2)
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    light, dark = (
        "".join(f"--{look.name}:{colour};" for look, colour in ((look, getattr(look, mode)) for look in LOOKS))
        for mode in ("light", "dark")
    )
    style = f"<style>svg{{{light}}}@media (prefers-color-scheme: dark){{svg{{{dark}}}}}</style>"
    head = text.index(">") + 1
    return f"{text[:head]}\n <!-- {source} -->\n {style}{text[head:]}"
