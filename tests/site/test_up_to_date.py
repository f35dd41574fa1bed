"""What is cheap to check of the site: that its pictures are up to date, and that no page is missing.

Charts contain a digest of their sources. So the check needs none of the drawing tools.
"""

import json
import re
import subprocess
import sys

import pytest

from harness.markdown import UNTESTED, CodeBlock, code_blocks, is_excerpt, links
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


def test_figures_in_the_text_of_the_first_chart_are_the_recorded_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader who can't see the chart reads this text."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "benches"), *sys.path])
    from charts.numbers import GAIN_FIGURES, GAIN_ROWS, number
    from compare.paths import RECORDED

    point = json.loads(RECORDED.read_text())["points"]["null, 64 callers, 64 bytes"]
    wanted = [number(point[row][key][0] / scale) for key, _, _, scale in GAIN_FIGURES for row in GAIN_ROWS]
    for page in ("performance.md", "site/index.md"):
        text = " ".join((ROOT / "docs" / page).read_text().split())
        found = re.search(r"!\[(What a heartbeat costs[^\]]*)\]", text)
        assert found
        # The first two numbers are those of the heartbeats in flight and of the percentile.
        numbers = [word for word in re.findall(r"(?<!\w)\d[\d.,]*\d|(?<!\w)\d", found[1]) if word not in ("64", "99")]
        assert numbers == wanted, page


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


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    settings = (ROOT / "docs" / "site" / "mkdocs.yml").read_text()
    paths = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "guide").glob("*.md")]
    pages = [path.relative_to(ROOT / "docs").as_posix().replace("README", "index") for path in paths]
    assert [page for page in pages if f" {page}\n" not in settings] == []


def test_blocks_of_the_first_page_are_excerpts_or_are_in_the_readme() -> None:
    page, readme = ROOT / "docs" / "site" / "index.md", (ROOT / "README.md").read_text()
    blocks = [block for block in code_blocks(page) if block.language not in UNTESTED]
    assert len(blocks) >= 8
    assert [block for block in blocks if not is_excerpt_or_in(block, readme)] == []


def is_excerpt_or_in(block: CodeBlock, readme: str) -> bool:
    return is_excerpt(block) if block.role == "excerpt" else block.code in readme


def test_links_of_the_first_page_have_targets() -> None:
    page = ROOT / "docs" / "site" / "index.md"
    assert [link for link in links(page) if not (page.parent / link.partition("#")[0]).exists()] == []
