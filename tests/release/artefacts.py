"""The files of `make release`, and what is built from them."""

import os
from pathlib import Path

from harness.paths import ROOT
from harness.requires import requires
from packages.builds import run

ARTEFACTS = ROOT / "target" / "artefacts"

MACHINE = os.uname().machine


def artefact(pattern: str) -> Path:
    """Returns the file of target/artefacts whose name matches the pattern. `*` matches no `-debug`."""
    found = sorted(path for path in ARTEFACTS.glob(pattern) if ("-debug" in path.name) == ("-debug" in pattern))
    requires(found, f"{ARTEFACTS / pattern} (make release packages)")
    [path] = found
    return path


def unpacked(platform: str, folder: Path) -> Path:
    """Unpacks the tarball of a platform, and returns its folder."""
    tarball = artefact(f"temporal-heartbeat-*-{platform}.tar.gz")
    run("tar", "-xzf", str(tarball), "-C", str(folder))
    return folder / tarball.name.removesuffix(".tar.gz")
