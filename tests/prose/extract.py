"""Extracts the prose of a file: comments, docstrings, messages (string literals that are sentences) and Markdown."""

import bisect
import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import NamedTuple


class Paragraph(NamedTuple):
    """Text with the line breaks of the file, so that a position in it has a line number."""

    line: int
    group: str
    text: str


class Syntax(NamedTuple):
    """How a language writes comments and strings."""

    token: re.Pattern[str]
    markers: re.Pattern[str]
    """What begins a line of a comment, without being text."""


# A string with fewer words is a name or data.
MESSAGE_WORDS = 5
CODE_INDENT = 4

_STRING = r'"(?:\\.|[^"\\\n])*"'
_MULTILINE_STRING = r'"(?:\\[\s\S]|[^"\\])*"'
_CHARACTER = r"'(?:\\[^'\n]*|[^'\\\n])'"
_C_COMMENT = r"/\*[\s\S]*?\*/|//[^\n]*"


def _syntax(tokens: list[str], markers: str) -> Syntax:
    return Syntax(re.compile("|".join(tokens)), re.compile(markers, re.MULTILINE))


_C_MARKERS = r"^[ \t]*(?://[/!]?|/\*\*?|\*(?!/))|\*/"
_C = _syntax([_C_COMMENT, _STRING, _CHARACTER], _C_MARKERS)
_RUST = _syntax([_C_COMMENT, r'\bb?r(#*)"[\s\S]*?"\1', _MULTILINE_STRING, _CHARACTER], _C_MARKERS)
_SCRIPT = _syntax([_C_COMMENT, _STRING, r"'(?:\\.|[^'\\\n])*'", r"`[^`]*`"], _C_MARKERS)
_HASH = _syntax([r'"""[\s\S]*?"""', _STRING, r"'(?:\\.|[^'\\\n])*'", r"(?<!\S)#[^\n]*"], r"^[ \t]*#+")
_LUA = _syntax([r"--[^\n]*", _STRING, r"'(?:\\.|[^'\\\n])*'"], r"^[ \t]*--")

SYNTAXES = (
    dict.fromkeys((".c", ".h", ".hpp", ".cpp", ".proto", ".java"), _C)
    | dict.fromkeys((".go", ".js", ".mjs", ".ts", ".php"), _SCRIPT)
    | dict.fromkeys((".py", ".rb", ".pl", ".sh", ".mk", ".toml", ".yml", "Makefile"), _HASH)
    | {".rs": _RUST, ".lua": _LUA}
)


def is_known(path: PurePath) -> bool:
    return path.suffix == ".md" or _key(path) in SYNTAXES


def paragraphs(path: PurePath, source: str) -> Iterator[Paragraph]:
    if path.suffix == ".md":
        return _split(1, "Markdown", _without_code_blocks(source))
    return _of_program(SYNTAXES[_key(path)], source)


def _key(path: PurePath) -> str:
    return path.suffix or path.name


def _without_code_blocks(source: str) -> str:
    return re.sub(
        r"^[ \t]*```[\s\S]*?^[ \t]*```", lambda block: "\n" * block[0].count("\n"), source, flags=re.MULTILINE
    )


def _of_program(syntax: Syntax, source: str) -> Iterator[Paragraph]:
    """Joins comments on successive lines, because sentences continue on the next line."""
    starts = [0, *(found.end() for found in re.finditer("\n", source))]
    joined, joined_at, last = "", 0, 0
    for token in syntax.token.finditer(source):
        text, line = token[0], bisect.bisect(starts, token.start())
        before = source[starts[line - 1] : token.start()]
        if not syntax.markers.match(text):
            yield from _of_string(line, before, text)
            continue
        is_alone = before.strip() == ""
        if not (joined and is_alone and line == last + 1):
            yield from _split(joined_at, "comment", joined)
            joined, joined_at = "", line
        joined += syntax.markers.sub("", text) + "\n"
        # A comment beside code ends here.
        last = line + text.count("\n") if is_alone else 0
    yield from _split(joined_at, "comment", joined)


def _of_string(line: int, before: str, text: str) -> Iterator[Paragraph]:
    if text.startswith('"""'):
        # Other strings of several lines are programs or data.
        if before.strip() == "":
            yield from _split(line, "docstring", text.strip('"'))
        return
    if not text.startswith(("'", '"')):
        return
    # After a backslash, Rust continues the string on the next line. Other line breaks end a sentence.
    said = re.sub(r"(?<!\\)\n", "\x00\n", text[1:-1]).replace("\\\n", " \n").replace("\\n", " \x00")
    if len(re.findall(r"[A-Za-z']{2,}", said)) >= MESSAGE_WORDS:
        yield from _split(line, "message", re.sub(r"%[-.\d]*[a-z]", "X", said))


def _split(first: int, group: str, text: str) -> Iterator[Paragraph]:
    """Splits at empty lines, list items and table rows. Omits indented code."""
    text = re.sub(r"`[^`]*`|\{[^{}]*\}", lambda code: "X" + "\n" * code[0].count("\n"), text)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    found, at = "", first
    for number, line in enumerate(text.split("\n"), first):
        margin = 1 if group == "comment" else 0
        is_code = len(line) - len(line.lstrip()) >= CODE_INDENT + margin and not found.strip() and group != "docstring"
        begins = re.match(r"\s*(?:[-*+] |\d+\. |\||#|$)", line)
        if begins or not found:
            if found.strip():
                yield Paragraph(at, group, found)
            found, at = "", number
        found += "\n" if is_code else line + "\n"
    if found.strip():
        yield Paragraph(at, group, found)
