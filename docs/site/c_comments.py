"""A filter of Doxygen: prints the header with Doxygen's comments instead of plain ones.

Text that is indented in a comment is a table of names and descriptions, or an example, so it keeps its lines.
"""

import re
import sys
from pathlib import Path


def converted(header: str) -> str:
    header = re.sub(r"\A/\* (.*?)\n \*/", manual, header, flags=re.DOTALL)
    return re.sub(r"(?:^//(?: .*)?\n)+", comment, header, flags=re.MULTILINE)


def manual(found: re.Match[str]) -> str:
    """Makes the comment at the top a page."""
    lines = [line.removeprefix(" *").removeprefix(" ") for line in found[1].splitlines()]
    return "/** @file\n" + "\n".join(blocks(lines)) + "\n*/"


def comment(found: re.Match[str]) -> str:
    lines = [line.removeprefix("//").removeprefix(" ") for line in found[0].splitlines()]
    return "/**\n" + "\n".join(blocks(lines)) + "\n*/\n"


def blocks(lines: list[str]) -> list[str]:
    """Returns the lines, with marks around those that are indented."""
    out: list[str] = []
    inside = False
    for number, line in enumerate(lines):
        following = next((later for later in lines[number:] if later.strip()), "")
        indented = following.startswith("  ") and (line.startswith("  ") or (inside and not line.strip()))
        if indented != inside:
            out.append("@verbatim" if indented else "@endverbatim\n")
            inside = indented
        if line.startswith("Returns"):
            out.append("")
        out.append(line if inside else escaped(line))
    if inside:
        out.append("@endverbatim")
    return out


def escaped(line: str) -> str:
    return re.sub(r"([\\@<>&#%])", r"\\\1", line)


if __name__ == "__main__":
    print(converted(Path(sys.argv[1]).read_text()), end="")
