"""Pictures that programs draw contain a digest of their sources. So a check needs none of the drawing tools."""

import subprocess
import sys

import pytest

from harness.paths import ROOT

CHARTS = sorted((ROOT / "docs" / "performance").glob("*.svg"))


@pytest.fixture
def charts_source(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "path", [str(ROOT / "benches"), *sys.path])
    from charts.source import source

    return source()


def test_charts_are_drawn_from_the_recorded_results(charts_source: str) -> None:
    assert len(CHARTS) >= 5
    stale = [path.name for path in CHARTS if f"<!-- {charts_source} -->" not in path.read_text()]
    assert stale == [], "run `make charts`"


def test_every_chart_is_on_the_page() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    assert [path.name for path in CHARTS if f"(performance/{path.name})" not in page] == []


def test_pictures_are_drawn_from_the_programs_beside_them() -> None:
    subprocess.run([sys.executable, ROOT / "docs" / "pictures", "--check"], check=True)


def test_every_picture_is_on_a_page() -> None:
    pages = "".join(page.read_text() for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
    drawn = [path for folder in ("pictures", "recordings") for path in (ROOT / "docs" / folder).glob("*.svg")]
    unused = [path.name for path in drawn if f"{path.parent.name}/{path.name})" not in pages]
    assert unused == []
