"""The files of `make packages`: the same tarballs make the same packages."""

import shutil
from pathlib import Path

from harness.requires import requires
from packages.builds import run
from release.artefacts import ARTEFACTS, artefact

KINDS = ("*.deb", "*.rpm", "*.tgz", "*.gem", "*-go-module.tar.gz", "*-ports.tar.gz")


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for kind in KINDS for path in folder.glob(kind)}


def test_packages_are_reproducible(tmp_path: Path) -> None:
    for program in ("npm", "gem"):
        requires(shutil.which(program), program)
    ports = artefact("temporal-heartbeat-*-ports.tar.gz")
    version = ports.name.removeprefix("temporal-heartbeat-").removesuffix("-ports.tar.gz")
    for tarball in ARTEFACTS.glob(f"temporal-heartbeat-{version}-*.tar.gz"):
        if not tarball.name.endswith(("-ports.tar.gz", "-go-module.tar.gz")):
            shutil.copy(tarball, tmp_path)
    places = [f"ARTEFACTS={tmp_path}", f"RELEASE_URL=file://{ARTEFACTS}", f"RELEASE={version}"]
    run("make", "--no-print-directory", "packages", *places)
    made, before = files(tmp_path), files(ARTEFACTS)
    assert made.keys() == before.keys()
    assert [name for name, content in made.items() if content != before[name]] == []
    run("sha256sum", "--check", "--quiet", "SHA256SUMS", cwd=tmp_path)
