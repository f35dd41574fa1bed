"""Every page of the site in a real browser. `make check-site` builds the site and runs this test."""

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.paths import ROOT
from harness.requires import requires

PROGRAM = ROOT / "tests" / "site" / "browser"
SITE = ROOT / "target" / "site"


@pytest.fixture(scope="module")
def driver() -> Path:
    """Returns the folder with the pinned driver of the browser."""
    npm = requires(shutil.which("npm"), "npm")
    folder = SITE / "browser"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(PROGRAM / "package.json", folder)
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--silent")
    subprocess.run([npm, "install", *quiet], cwd=folder, check=True)
    return folder


def test_every_page_search_phone_dark_colors_and_keyboard(driver: Path) -> None:
    node = requires(shutil.which("node"), "node")
    chromium = requires(shutil.which("chromium") or shutil.which("chromium-browser"), "chromium")
    found = subprocess.run(
        [node, PROGRAM / "browser.mjs", SITE / "html", chromium, SITE / "screenshots"],
        cwd=driver,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=900,
    ).stdout.splitlines()
    pages, *problems = found
    assert int(pages.split()[0]) > 50
    assert problems == []
