"""Ends with an error unless the checkout may be released: no local changes, and a CHANGELOG that describes the version.

    packaging/release_ready.py VERSION
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


def main() -> None:
    version = sys.argv[1]
    found = list(problems(version))
    for problem in found:
        print(f"make release: {problem}", file=sys.stderr)
    if found:
        sys.exit("make release: this isn't a release yet. SNAPSHOT=1 builds packages with the name of a snapshot.")


def problems(version: str) -> Iterator[str]:
    changed = git("status", "--porcelain").splitlines()
    if changed:
        yield f"the checkout has local changes; commit them first: {', '.join(line[3:] for line in changed[:5])}"
    wrong = [tag for tag in git("tag", "--points-at", "HEAD").split() if tag.startswith("v") and tag != f"v{version}"]
    if wrong:
        yield f"the tag {wrong[0]} isn't v{version}, the version of Cargo.toml"
    changes = Path("CHANGELOG.md").read_text()
    sections = dict(re.findall(r"^## \[?([^\s\]]+).*\n((?:(?!## ).*\n?)*)", changes, re.MULTILINE))
    if not sections.get(version, "").strip():
        yield f"CHANGELOG.md has no section `## {version} - DATE` that describes the version of Cargo.toml"
    if sections.get("Unreleased", "").strip():
        yield f"CHANGELOG.md has changes in the section Unreleased; move them to the section {version}"


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


main()
