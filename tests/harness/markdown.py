"""Pages of documentation: their code blocks, and how each block is tested.

<!-- file: NAME -->         the block is a file that the reader writes
<!-- excerpt: PATH -->      the block is an excerpt of a file of this repository
```sh                       the reader runs the block
```text, ```console         not tested: a diagram, the output of a command, a command for another machine
"""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from harness.paths import ROOT

FENCE = re.compile(r"(?:^<!-- (file|excerpt): (\S+) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# The languages of blocks that aren't tested.
UNTESTED = ("text", "console")


@dataclass(frozen=True)
class CodeBlock:
    role: str  # "file", "excerpt", or ""
    name: str
    language: str
    code: str


def code_blocks(page: Path) -> list[CodeBlock]:
    return [CodeBlock(*(part or "" for part in found)) for found in FENCE.findall(page.read_text())]


def files(page: Path) -> dict[str, str]:
    return {block.name: block.code for block in code_blocks(page) if block.role == "file"}


def commands(page: Path) -> str:
    """Returns all commands of the page, in order."""
    return "".join(block.code for block in code_blocks(page) if block.language == "sh")


def uncovered(page: Path) -> list[str]:
    """Returns the blocks that no test covers."""
    return [block.code for block in code_blocks(page) if not block.role and block.language not in ("sh", *UNTESTED)]


def is_excerpt(block: CodeBlock) -> bool:
    """Returns whether the file contains the block, at any indentation."""
    text = textwrap.dedent(block.code)
    source = (ROOT / block.name).read_text()
    depths = {len(line) - len(line.lstrip()) for line in source.splitlines() if line.strip()}
    tab = "\t" if "\n\t" in source else " "
    return block.code in source or any(textwrap.indent(text, tab * depth) in source for depth in depths)


def links(page: Path) -> list[str]:
    """Returns the links within the repository, with their anchors."""
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """Returns the anchors of the headings, in the form that forges generate."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    slugs: list[str] = []
    for heading in headings:
        slug = re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading).lower()).strip().replace(" ", "-")
        slugs.append(f"{slug}-{slugs.count(slug)}" if slug in slugs else slug)
    return set(slugs)


def options_of(page: Path) -> set[str]:
    """Returns the names that docs/options.md lists."""
    return set(re.findall(r"^\* \*\*`([a-z_.]+)`\*\* \(", page.read_text(), flags=re.MULTILINE))
