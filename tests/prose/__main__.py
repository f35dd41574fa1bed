"""Prints each word and sentence that the project's rules for prose advise against, and fails if there is one.

    cd tests && python3 -m prose [FILE...]      # default: all files of the project

A comment `prose: allow WORD` on the same line or on the line before allows the word there.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from .extract import is_known, paragraphs
from .rules import Finding, findings

ROOT = Path(__file__).resolve().parents[2]
# The list of words to avoid, bad examples, and a copy of the C header.
EXCLUDED = {
    "tests/prose/rules.py",
    "tests/prose/test_prose.py",
    "bindings/go/internal/abi/temporal_heartbeat.h",
}


def check(path: Path) -> Iterator[Finding]:
    source = path.read_text(errors="replace")
    lines = source.lower().splitlines()
    for paragraph in paragraphs(path, source):
        for found in findings(paragraph):
            around = "\n".join(lines[max(found.line - 2, 0) : found.line])
            if found.what.lower() not in re.findall(r"prose: allow ([\w ]*\w)", around):
                yield found


def project_files() -> Iterator[Path]:
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    for name in listed.splitlines():
        path = ROOT / name
        if is_known(path) and path.is_file() and name not in EXCLUDED:
            yield path


def main() -> None:
    count = 0
    for path in map(Path, sys.argv[1:]) if sys.argv[1:] else project_files():
        for found in sorted(check(path)):
            print(f"{os.path.relpath(path, ROOT)}:{found.line}: {found.what}: {found.advice}")
            count += 1
    if count:
        sys.exit(f"{count} findings: rewrite the sentence, or allow a word with a comment `prose: allow WORD`")


if __name__ == "__main__":
    main()
