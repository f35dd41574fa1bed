"""Turns text in two columns, as comments have it, into Markdown.

NAME          The description, which may continue
              on further lines.
"""

import re
import textwrap


def table(text: str) -> str | None:
    """Returns the text as a table, or None if it isn't in columns of names and descriptions.

    If the first line has more than two columns, it is the head of the table. Lines at the end without a description
    become a paragraph.
    """
    lines = textwrap.dedent(text).splitlines()
    starts = [found.start() for found in re.finditer(r"(?:^|(?<=  ))\S", lines[0])] if lines else []
    if len(starts) > 2:
        return wide_table(lines, starts)
    rows: list[list[str]] = []
    for line in lines:
        found = re.match(r"(\S+(?: \S+)*)(?: {2,}(\S.*))?$", line)
        if found and not line.startswith(" "):
            if rows and rows[-1][0].endswith(",") and not rows[-1][1]:
                rows[-1] = [f"{rows[-1][0]} {found[1]}", found[2] or ""]
            else:
                rows.append([found[1], found[2] or ""])
        elif rows and line.startswith("  "):
            rows[-1][1] += " " + line.strip()
        else:
            return None
    if not rows or sum(bool(row[1]) for row in rows) < len(rows) / 2:
        return None
    after: list[str] = []
    while " " in rows[-1][0] and not rows[-1][1]:
        after.insert(0, rows.pop()[0])
    drawn = "".join(f"| {code(name)} | {cell(description)} |\n" for name, description in rows)
    return f"| | |\n|---|---|\n{drawn}\n{' '.join(after)}".strip()


def wide_table(lines: list[str], starts: list[int]) -> str:
    ends = [*starts[1:], None]
    rows: list[list[str]] = []
    for line in lines:
        cells = [line[start:end].strip() for start, end in zip(starts, ends, strict=True)]
        if cells[0]:
            rows.append(cells)
        else:
            rows[-1] = [" ".join(both).strip() for both in zip(rows[-1], cells, strict=True)]
    head, *body = rows
    drawn = [head, ["---"] * len(head), *([code(row[0]), *map(cell, row[1:])] for row in body)]
    return "\n".join(f"| {' | '.join(row)} |" for row in drawn)


def code(names: str) -> str:
    """Marks names of constants as code. Other text stays."""
    return ", ".join(f"`{name}`" if re.fullmatch(r"[A-Za-z_][\w.]*", name) else name for name in names.split(", "))


def cell(text: str) -> str:
    return text.replace("|", r"\|")


def markdown(text: str) -> str:
    """Returns text with indented blocks as Markdown: tables if they are in columns, otherwise code."""
    parts = re.split(r"\n((?: {2,}\S.*(?:\n|$))(?:(?: {2,}.*)?(?:\n|$))*)", f"\n{text.strip()}\n")
    out = []
    for number, part in enumerate(parts):
        if number % 2 == 0:
            out.append(part.strip())
        elif drawn := table(part.rstrip()):
            out.append(drawn)
        else:
            language = "c" if "#include" in part else "text"
            out.append(f"```{language}\n{textwrap.dedent(part).strip()}\n```")
    return "\n\n".join(part for part in out if part)
