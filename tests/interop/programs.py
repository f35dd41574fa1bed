"""Builds the programs of the peers, each once per run, and returns how to start them."""

import functools
import json
import shutil
import sys
from pathlib import Path

from harness.build import copy, own, run
from harness.dependencies import maven, npm
from harness.languages import library_environment
from harness.paths import BUILD, ROOT, TESTS
from harness.requires import requires

PEERS = TESTS / "interop" / "peers"
OUT = BUILD / "interop"

Command = list[str]


def environment() -> dict[str, str]:
    """Returns the environment of the Python programs: the paths of their modules and of the package under test."""
    return library_environment() | {"PYTHONPATH": f"{TESTS}:{ROOT / 'bindings' / 'python'}"}


def python_worker() -> Command:
    return [sys.executable, "-m", "interop.peers.python.worker"]


def python_child() -> Command:
    return [sys.executable, "-m", "interop.peers.python.child"]


def go_worker() -> Command:
    return [str(_go() / "worker")]


def go_child() -> Command:
    return [str(_go() / "child")]


def go_configuration() -> Command:
    return [str(_go() / "config")]


@functools.cache
def _go() -> Path:
    go = requires(shutil.which("go"), "go")
    folder = OUT / "go"
    folder.mkdir(parents=True, exist_ok=True)
    run([go, "-C", str(PEERS / "go"), "build", "-o", str(folder), "./worker", "./child", "./config"])
    return folder


def go_parent(code: str) -> Command:
    """Builds a worker with the activity Solve, a function of this source."""
    go = requires(shutil.which("go"), "go")
    folder = OUT / "go"
    folder.mkdir(parents=True, exist_ok=True)
    imports = ("context", "log", "os", "os/exec", "go.temporal.io/sdk/activity", "temporal-heartbeat.dev/go/handoff")
    source, overlay = folder / "solve.go", folder / "overlay.json"
    source.write_text("package main\n" + "".join(f'import "{package}"\n' for package in imports) + code)
    overlay.write_text(json.dumps({"Replace": {str(PEERS / "go" / "parent" / "solve.go"): str(source)}}))
    run([go, "-C", str(PEERS / "go"), "build", "-overlay", str(overlay), "-o", str(folder / "parent"), "./parent"])
    return [str(folder / "parent")]


@functools.cache
def typescript_worker() -> Command:
    node = requires(shutil.which("node"), "node")
    folder = OUT / "typescript"
    npm(PEERS / "typescript", folder)
    return [node, str(folder / "worker.js")]


def typescript_parent(code: str) -> Command:
    """Builds a worker with the activity of this module."""
    [node, worker] = typescript_worker()
    folder = Path(worker).parent
    (folder / "handoff.mjs").write_text(code)
    return [node, str(folder / "parent.mjs")]


@functools.cache
def java_worker() -> Command:
    sources = (PEERS / "java" / "interop").glob("*.java")
    return _java("interop.Main", "classes", *sources)


def java_parent(code: str) -> Command:
    """Builds a worker with the activity SolveImpl, a class of this source."""
    folder = OUT / "java" / "parent"
    copy(PEERS / "java" / "parent", folder)
    (folder / "SolveImpl.java").write_text(code)
    return _java("Parent", "parent-classes", *folder.glob("*.java"))


def _java(main: str, out: str, *sources: Path) -> Command:
    java, javac = requires(shutil.which("java"), "java"), requires(shutil.which("javac"), "javac")
    libraries = maven(PEERS / "java" / "pom.xml", OUT / "java")
    classes = own(OUT / "java" / out)
    run([javac, "-encoding", "UTF-8", "-d", str(classes), "-cp", libraries, *sorted(map(str, sources))])
    # Limits the memory, and compiles without optimization for a quick start.
    options = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8"]
    return [java, *options, "-cp", f"{classes}:{libraries}", main]
