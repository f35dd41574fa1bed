"""`make help`: the list of targets."""

import re

from harness.paths import ROOT
from packages.builds import run

INCLUDED = ("examples/demo/demo.mk", "docs/site/site.mk")
MAKEFILES = (ROOT / "Makefile", *(ROOT / name for name in INCLUDED), *ROOT.glob("packaging/*.mk"))


def test_help_lists_every_described_target_in_two_columns() -> None:
    text = "".join(file.read_text() for file in MAKEFILES)
    described = re.findall(r"^([^\s#:][^:\n]*):.*## (.*)$", text, flags=re.MULTILINE)
    lines = run("make", "--no-print-directory", "help").splitlines()
    listed = [re.fullmatch(r"(  make (\S+) +)(\S.*)", line) for line in lines]
    assert all(listed), lines
    assert sorted((line[2], line[3]) for line in listed if line) == sorted(described)
    assert len({len(line[1]) for line in listed if line}) == 1, "the descriptions begin in different columns"


def test_a_family_of_targets_is_described_completely() -> None:
    listed = run("make", "--no-print-directory", "help")
    for name in ("test-rust", "test-go", "test-python"):
        assert f"make {name} " in listed
