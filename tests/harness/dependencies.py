"""Installs dependencies from a language's registry once, and again when the manifest changes."""

import hashlib
import shutil
from pathlib import Path

from harness.build import alone, copy, run
from harness.requires import requires


def npm(source: Path, folder: Path) -> None:
    """Copies the source, which has a package.json, to the folder, and installs its dependencies there."""
    copy(source, folder)
    program = requires(shutil.which("npm"), "npm")
    options = ["--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]
    with alone("npm.lock"):
        if _is_new(folder / "package.json"):
            run([program, "--prefix", str(folder), "install", *options])
            _is_done(folder / "package.json")


def maven(pom: Path, folder: Path) -> str:
    """Fetches the dependencies in a pom.xml, and returns their class path."""
    program = requires(shutil.which("mvn"), "mvn")
    folder.mkdir(parents=True, exist_ok=True)
    copied = Path(shutil.copy(pom, folder))
    libraries = folder / "libraries"
    copy = ["dependency:copy-dependencies", f"-DoutputDirectory={libraries}"]
    with alone("maven.lock"):
        if _is_new(copied):
            shutil.rmtree(libraries, ignore_errors=True)
            run([program, "--quiet", "--batch-mode", "--file", str(copied), *copy])
            _is_done(copied)
    return f"{libraries}/*"


def _is_new(manifest: Path) -> bool:
    stamp = manifest.with_suffix(".installed")
    return not stamp.exists() or stamp.read_text() != _digest(manifest)


def _is_done(manifest: Path) -> None:
    manifest.with_suffix(".installed").write_text(_digest(manifest))


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
