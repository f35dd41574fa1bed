"""Another build of the same commit, in another folder, creates the same files byte for byte."""

import hashlib
import os
import tarfile
from pathlib import Path

import pytest

from harness.paths import ROOT, VENV_BIN
from packages.builds import fresh_environment, run
from release.artefacts import ARTEFACTS
from release.platforms import TOOLS, Platform

PLATFORM = Platform(f"linux-{os.uname().machine}-gnu")


def digests(folder: Path) -> dict[str, str]:
    files = [*folder.glob(f"*-{PLATFORM.name}*.tar.gz"), *folder.glob(PLATFORM.wheel.name), *folder.glob("*.cdx.json")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def commit_time(tarball: Path) -> int:
    with tarfile.open(tarball) as packed:
        return int(packed.getmembers()[0].mtime)


def test_second_build_creates_equal_files(tmp_path: Path) -> None:
    now = int(run("git", "log", "-1", "--format=%ct"))
    if run("git", "status", "--porcelain") or commit_time(PLATFORM.tarball) != now:
        pytest.skip("the artefacts aren't those of the checked-out commit without changes")
    clone = tmp_path / "another-folder"
    run("git", "clone", "--quiet", str(ROOT), str(clone))
    (clone / "target/tools").mkdir(parents=True)
    (clone / "target/tools/venv").symlink_to(TOOLS / "venv")
    # Newer than the list of tools in the clone, so that they aren't installed again.
    (TOOLS / "venv/.done").touch()
    (clone / ".venv").symlink_to(VENV_BIN.parent)
    (clone / ".venv/.done").touch()
    snapshot = "1" if "-snapshot-" in PLATFORM.tarball.name else ""
    run("make", "release", f"PLATFORMS={PLATFORM.name}", cwd=clone, env=fresh_environment(SNAPSHOT=snapshot))
    assert digests(clone / "target/artefacts") == digests(ARTEFACTS)
