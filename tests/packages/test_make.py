"""`make help`: the list of targets."""

import re

from harness.paths import ROOT
from packages.builds import run

INCLUDED = ("examples/demo/demo.mk", "docs/site/site.mk", "tests/integrations/integrations.mk")
MAKEFILES = (ROOT / "Makefile", *(ROOT / name for name in INCLUDED), *ROOT.glob("packaging/*.mk"))


def test_help_lists_every_described_target_in_two_columns() -> None:
    text = "".join(file.read_text() for file in MAKEFILES)
    described = re.findall(r"^([^\s#:][^:\n]*):.*## (.*)$", text, flags=re.MULTILINE)
    text = run("make", "--no-print-directory", "help")
    assert [line for line in text.splitlines() if len(line) > 80] == []
    # A description continues in its column.
    listed = re.findall(r"^(  make (\S+) +)(\S.*(?:\n {8,}.*)*)", text, flags=re.MULTILINE)
    assert sorted((name, " ".join(what.split())) for _, name, what in listed) == sorted(described)
    assert len({len(before) for before, _, _ in listed}) == 1, "the descriptions begin in different columns"


def test_help_shows_the_targets_in_groups() -> None:
    groups = re.findall(r"^\S.*", run("make", "--no-print-directory", "help"), flags=re.MULTILINE)
    assert groups[0] == "Build"
    assert len(groups) == len(set(groups)) >= 6


def test_a_family_of_targets_is_described_completely() -> None:
    listed = run("make", "--no-print-directory", "help")
    for name in ("test-rust", "test-go", "test-python"):
        assert f"make {name} " in listed
