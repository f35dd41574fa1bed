"""The programs of examples/ in languages without a driver. Each is built once per run."""

import functools
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from harness.build import own, run
from harness.dependencies import maven, npm
from harness.paths import BUILD, ROOT
from harness.requires import missing, requires

EXAMPLES = ROOT / "examples"
BINDINGS = ROOT / "bindings"
OUT = BUILD / "examples"

Command = list[str]


def _luajit() -> Command:
    return [requires(shutil.which("luajit"), "luajit"), str(EXAMPLES / "luajit" / "activity.lua")]


def _php() -> Command:
    php = requires(shutil.which("php"), "php (Debian: php-cli)")
    return [php, "-d", "ffi.enable=1", str(EXAMPLES / "php" / "activity.php")]


def ruby(program: Path = EXAMPLES / "ruby" / "activity.rb") -> Command:
    interpreter = requires(shutil.which("ruby"), "ruby")
    return [interpreter, "-w", "-I", str(BINDINGS / "ruby" / "lib"), str(program)]


def _perl() -> Command:
    perl = requires(shutil.which("perl"), "perl")
    if subprocess.run([perl, "-MFFI::Platypus", "-e1"], capture_output=True, check=False).returncode != 0:
        missing("FFI::Platypus (Debian: libffi-platypus-perl)")
    return [perl, str(EXAMPLES / "perl" / "activity.pl")]


@functools.cache
def node_binding(program: str) -> Command:
    """Returns the command of a program in bindings/node."""
    node = requires(shutil.which("node"), "node")
    folder = BUILD / "bindings" / "node"
    npm(BINDINGS / "node", folder)
    return [node, str(folder / program)]


@functools.cache
def node(program: str = "activity") -> Command:
    # The example finds the package by its path relative to the example.
    [node, _] = node_binding("index.js")
    folder = OUT / "node"
    npm(EXAMPLES / "node", folder)
    return [node, str(folder / f"{program}.js")]


@functools.cache
def _java() -> Command:
    java, javac = requires(shutil.which("java"), "java"), requires(shutil.which("javac"), "javac")
    libraries = maven(EXAMPLES / "java" / "pom.xml", OUT / "java")
    classes = own(OUT / "java" / "classes")
    run([javac, "-d", str(classes), "-cp", libraries, str(EXAMPLES / "java" / "Activity.java")])
    return [java, "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", f"{classes}:{libraries}", "Activity"]


@functools.cache
def rust(program: str = "activity") -> Command:
    cargo = requires(shutil.which("cargo"), "cargo")
    target = ROOT / "target"
    crate = ["--manifest-path", str(ROOT / "Cargo.toml"), "--target-dir", str(target)]
    run([cargo, "build", "--quiet", *crate, "--example", program])
    return [str(target / "debug" / "examples" / program)]


# `make check-packages` covers dependencies that take a minute to fetch.
SLOW: dict[str, Callable[[], Command]] = {"java": _java}

PROGRAMS: dict[str, Callable[[], Command]] = {
    "luajit": _luajit,
    "php": _php,
    "ruby": ruby,
    "perl": _perl,
    "node": node,
    "rust": rust,
    **(SLOW if os.environ.get("THB_SLOW") == "1" else {}),
}
