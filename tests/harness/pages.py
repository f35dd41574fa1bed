"""Pages of documentation: what stands in their boxes, and what a reader is to do with it.

<!-- file: NAME -->         the box is a file that the reader writes
<!-- excerpt: PATH -->      it is a piece of a file of this repository, letter by letter
```sh                       the reader runs it
```text, ```console         nothing to do: a picture, what a command prints, a command that isn't for here
"""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from harness.paths import ROOT

FENCE = re.compile(r"(?:^<!-- (file|excerpt): (\S+) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# What isn't run.
SHOWN = ("text", "console")


@dataclass(frozen=True)
class Box:
    role: str  # "file", "excerpt", or ""
    name: str
    language: str
    code: str


def boxes(page: Path) -> list[Box]:
    return [Box(*(part or "" for part in found)) for found in FENCE.findall(page.read_text())]


def files(page: Path) -> dict[str, str]:
    return {box.name: box.code for box in boxes(page) if box.role == "file"}


def commands(page: Path) -> str:
    """All that the reader runs, from the top of the page to its end."""
    return "".join(box.code for box in boxes(page) if box.language == "sh")


def loose(page: Path) -> list[str]:
    """Boxes of which nobody knows whether they are true."""
    return [box.code for box in boxes(page) if not box.role and box.language not in ("sh", *SHOWN)]


def is_excerpt(box: Box) -> bool:
    """However deep it is indented there."""
    text = textwrap.dedent(box.code)
    source = (ROOT / box.name).read_text()
    depths = {len(line) - len(line.lstrip()) for line in source.splitlines() if line.strip()}
    tab = "\t" if "\n\t" in source else " "
    return box.code in source or any(textwrap.indent(text, tab * depth) in source for depth in depths)


def links(page: Path) -> list[str]:
    """Those within the repository, with their anchors."""
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """Of its headings, as forges make them."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    slugs: list[str] = []
    for heading in headings:
        slug = re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading).lower()).strip().replace(" ", "-")
        slugs.append(f"{slug}-{slugs.count(slug)}" if slug in slugs else slug)
    return set(slugs)


def options_of(page: Path) -> set[str]:
    """The names that docs/options.md lists."""
    return set(re.findall(r"^\* \*\*`([a-z_.]+)`\*\* \(", page.read_text(), flags=re.MULTILINE))
