"""The check of the prose finds what it must find, in each kind of file, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.paths import TESTS
from prose.__main__ import check

HALF = "the server answers the call that the client sends, and " * 2
LONG = HALF * 2


def findings(folder: Path, name: str, text: str) -> list[tuple[int, str]]:
    path = folder / name
    path.write_text(text)
    return [(found.line, found.what) for found in check(path)]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.rs", "fn a() {}\n/// Sends\n/// it anew.\n", 3),
        ("a.rs", "/* One.\n * Sends it anew. */\n", 2),
        ("a.rs", "let a = '\"'; // Sends it anew.\n", 1),
        ("a.rs", 'let a = "the server sends the \\\n    answer anew";\n', 2),
        ("a.c", "// One.\n\n// Sends it anew.\n", 3),
        ("a.go", 'log.Print("the server sends it anew")\n', 1),
        ("a.py", 'def a():\n    """Sends it.\n\n    Then sends it anew.\n    """\n', 4),
        ("a.py", "a = 1  # Sends it anew.\n", 1),
        ("a.sh", "echo $#\n# Sends it anew.\n", 2),
        ("Makefile", "a: b ## send it anew\n", 1),
        ("a.lua", "-- Sends it anew.\n", 1),
        ("a.md", "# Title\n\n```\ncode\n```\n\n| a | sends it anew |\n", 7),
    ],
)
def test_word_to_avoid_is_found_in_its_line(tmp_path: Path, name: str, text: str, line: int) -> None:
    assert findings(tmp_path, name, text) == [(line, "anew")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.rs", f"// One.\n// {HALF}\n// {HALF}\n"),
        ("a.py", f'"""One.\n\n{LONG}"""\n'),
        ("a.go", f'\n\nlog.Print("{LONG}")\n'),
        ("a.md", f"One.\n\n{LONG}\n"),
    ],
)
def test_long_sentence_is_found_where_it_begins(tmp_path: Path, name: str, text: str) -> None:
    line = 2 if name == "a.rs" else 3
    assert findings(tmp_path, name, text) == [(line, "40 words")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.rs", 'let anew = b"anew"; // Uses `anew`.\n'),
        ("a.rs", "fn a<'a>(b: &'a str) {} // One.\n"),
        ("a.py", 'PROGRAM = """\n# It sends it anew.\n"""\n'),
        ("a.md", "```\nsend it anew\n```\n\n    send it anew\n"),
        ("a.md", "".join(f"- {HALF}\n" for _ in range(3))),
        ("a.md", f"{HALF}. {HALF}; {HALF}\n"),
        ("a.rs", "// prose: allow anew\n// Sends it anew.\n"),
        ("a.md", "Sends it anew. <!-- prose: allow anew -->\n"),
    ],
)
def test_code_lists_and_allowed_words_are_no_findings(tmp_path: Path, name: str, text: str) -> None:
    assert findings(tmp_path, name, text) == []


def test_finding_is_printed_with_its_place_and_fails_the_check(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("One.\n\nSends it anew.\n")
    command = [sys.executable, "-m", "prose", str(tmp_path / "a.md")]
    ran = subprocess.run(command, cwd=TESTS, capture_output=True, text=True)
    assert ran.stdout.rstrip().endswith("a.md:3: anew: use 'again'")
    assert (ran.returncode, ran.stderr.startswith("1 findings")) == (1, True)
