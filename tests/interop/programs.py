"""How the programs of the peers are built and started; each once a run."""

import functools
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.languages import library_environment
from harness.needs import needs
from harness.paths import BUILD, ROOT, TESTS

PEERS = TESTS / "interop" / "peers"
OUT = BUILD / "interop"

Command = list[str]


def environment() -> dict[str, str]:
    """For the programs in Python: where their modules are, and the package under test."""
    return library_environment() | {"PYTHONPATH": f"{TESTS}:{ROOT / 'bindings' / 'python'}"}


def python_worker() -> Command:
    return [sys.executable, "-m", "interop.peers.python.worker"]


def python_child() -> Command:
    return [sys.executable, "-m", "interop.peers.python.child"]


def go_worker() -> Command:
    return [str(_go() / "worker")]


def go_child() -> Command:
    return [str(_go() / "child")]


@functools.cache
def _go() -> Path:
    go = needs(shutil.which("go"), "go")
    folder = OUT / "go"
    folder.mkdir(parents=True, exist_ok=True)
    _run([go, "-C", str(PEERS / "go"), "build", "-o", str(folder), "./worker", "./child"])
    return folder


@functools.cache
def typescript_worker() -> Command:
    node, npm = needs(shutil.which("node"), "node"), needs(shutil.which("npm"), "npm")
    folder = OUT / "typescript"
    shutil.copytree(PEERS / "typescript", folder, dirs_exist_ok=True)
    if _is_new(folder / "package.json"):
        install = ["install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]
        _run([npm, "--prefix", str(folder), *install])
        _is_done(folder / "package.json")
    return [node, str(folder / "worker.js")]


@functools.cache
def java_worker() -> Command:
    java, javac = needs(shutil.which("java"), "java"), needs(shutil.which("javac"), "javac")
    maven = needs(shutil.which("mvn"), "mvn")
    folder = OUT / "java"
    folder.mkdir(parents=True, exist_ok=True)
    libraries = folder / "libraries"
    pom = shutil.copy(PEERS / "java" / "pom.xml", folder)
    if _is_new(Path(pom)):
        shutil.rmtree(libraries, ignore_errors=True)
        copy = ["dependency:copy-dependencies", f"-DoutputDirectory={libraries}"]
        _run([maven, "--quiet", "--batch-mode", "--file", str(pom), *copy])
        _is_done(Path(pom))
    sources = sorted(map(str, (PEERS / "java" / "interop").glob("*.java")))
    classes = folder / "classes"
    _run([javac, "-encoding", "UTF-8", "-d", str(classes), "-cp", f"{libraries}/*", *sources])
    # Little memory, and a quick start rather than quick code.
    options = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8"]
    return [java, *options, "-cp", f"{classes}:{libraries}/*", "interop.Main"]


def _is_new(manifest: Path) -> bool:
    """Whether what this file asks for has yet to be installed beside it."""
    stamp = manifest.with_suffix(".installed")
    return not stamp.exists() or stamp.read_text() != _digest(manifest)


def _is_done(manifest: Path) -> None:
    manifest.with_suffix(".installed").write_text(_digest(manifest))


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
